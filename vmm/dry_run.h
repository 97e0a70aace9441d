/* SPDX-License-Identifier: Apache-2.0 */
/* --dry-run: the plan, and what this host would refuse of it. Nothing is made, not even a VM. Main. */
#ifndef PINVM_DRY_RUN_H
#define PINVM_DRY_RUN_H

struct guest_config;

/*
 * Print every option, where each thread would run, and what each piece of memory would be; ask /dev/kvm for what it can do.
 * 0, or -errno after one logged line that says what would be refused. A /dev/kvm that cannot be asked is a warning.
 */
int dry_run(const struct guest_config *cfg);

#endif
