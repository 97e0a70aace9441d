/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the names of guests are: the directory RUNTIME_DIR/pinvm, a socket NAME.sock for each guest, or a
 * symbolic link where its socket is elsewhere. RUNTIME_DIR is $XDG_RUNTIME_DIR where that is this user's,
 * /run for a root who may write there, else /tmp/pinvm-UID; the directory is the user's alone (0700). Main,
 * or the client's one thread.
 */
#ifndef PINVM_CONTROL_NAMES_H
#define PINVM_CONTROL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/listener.h"

#define NAMES_SUFFIX ".sock"

/* How long the guest's name is of which a file of the directory is the socket, as its name goes; 0: it is none. */
size_t names_length(const char *file);

/* A guest's name, and the socket it is controlled by. */
struct names_claim {
	int fd;			      /* listens; -1: nothing is claimed */
	struct own_file socket, link; /* link: where the socket is elsewhere */
};

/*
 * Open the directory, made first if `make`; its path goes to dir[n]. Returns the descriptor, -ENOENT without
 * one, -EPERM when it is not this user's alone, or another -errno.
 */
int names_open(char *dir, size_t n, bool make);

/*
 * Place i where this user's guests may be: 0 is that of names_open(), the others are where it is from other sessions, with or
 * without $XDG_RUNTIME_DIR. As names_open(), or -ERANGE: there are no more.
 */
int names_look(unsigned i, char *dir, size_t n);

/*
 * Claim `name`, and listen there, or at `path` unless that is NULL. 0, or -errno, logged; then nothing is
 * left behind, and claim->fd is -1. Where the directory cannot be had that is only a warning: without a path
 * nobody listens then (0, and fd is -1), with one the guest is not found by its name.
 */
int names_claim(struct names_claim *claim, const char *name, const char *path);
/*
 * Remove what guests that were killed have left in the directory: sockets at which nobody listens, `own` not among them. Other
 * starters wait meanwhile; one that is at it is not waited for. What cannot be removed stays; nothing is logged.
 */
void names_sweep(const char *own);
/* Remove the files; the descriptor is its user's to close. Harmless without any. */
void names_release(struct names_claim *claim);

#endif
