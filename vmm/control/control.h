/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running guest's control socket: its name (names.h), its clients (server.h), their requests (request.h)
 * and what these do (commands.c), all on main's loop. And the other end, as subcommands of pinvm.
 */
#ifndef PINVM_CONTROL_CONTROL_H
#define PINVM_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdio.h>

struct control;
struct guest;

/*
 * Claim the guest's name and listen; guest->loop and guest->cfg are set. *control is NULL with --control off,
 * or where the default cannot be had, which is a warning. 0, or -errno, logged. Main.
 */
int control_open(struct control **control, struct guest *guest);
/* Cut off the clients, remove the files. NULL is fine. Main. */
void control_close(struct control *control);

/* `pinvm ctl` and `pinvm list`: the exit status. One thread, no guest. */
int control_ctl(int argc, char **argv);
int control_list(int argc, char **argv);
/* Is it a command of `ctl`? */
bool control_knows(const char *word);
/* Their help, the commands of `ctl` for the man page (man(7) requests), and their names, blanks between. */
void control_ctl_help(FILE *out);
void control_list_help(FILE *out);
void control_man(FILE *out);
void control_words(FILE *out);

#endif
