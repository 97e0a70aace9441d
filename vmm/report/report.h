/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a run (--report FILE): one JSON object, written once, at the end. Main only. */
#ifndef PINVM_REPORT_H
#define PINVM_REPORT_H

#include "vmm/config.h"

struct guest;
struct report;

/* Open the file (created or truncated, 0600), before anything else of the guest exists. 0 or -errno, logged.
 */
int report_open(struct report **report, const struct guest_config *cfg);
/* Take the figures of a guest that has stopped, while it still exists. */
void report_guest(struct report *report, const struct guest *guest);
/* The same of a guest that runs, or may: a new object, NULL without memory. */
struct json_t;
struct json_t *report_now(const struct guest *guest);
/* Add how it ended, write, close. cause: in words. NULL report: nothing happens. 0 or -errno, logged. */
int report_close(struct report *report, int status, const char *cause);

#endif
