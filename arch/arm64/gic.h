/* SPDX-License-Identifier: Apache-2.0 */
/* Which interrupt controller the guest has: what the host's own allows. Constant data, any thread. */
#ifndef PINVM_ARM64_GIC_H
#define PINVM_ARM64_GIC_H

enum gic_kind { GIC_V3, GIC_V2 };

#endif
