/* SPDX-License-Identifier: Apache-2.0 */
/* CPU features that KVM gives or withholds, by the names of /proc/cpuinfo. Pure look-ups, any thread. */
#ifndef PINVM_ARM64_CPUFEATURE_H
#define PINVM_ARM64_CPUFEATURE_H

enum cpufeature { FEATURE_SVE, FEATURE_PACA, FEATURE_PACG, FEATURES };

enum wish { WISH_NONE, WISH_OFF, WISH_ON };

/* What -feat and +feat of --cpus say of a feature; the last word counts. list: as typed, or NULL. */
enum wish cpufeature_wish(const char *list, enum cpufeature feature);

#endif
