/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output of commands that print: what was printed must have arrived. One thread. */
#ifndef PINVM_PRINTED_H
#define PINVM_PRINTED_H

/* Write out what was printed. 0, or the -errno of the first failure, which main says; -EPIPE: a reader left. */
int printed_flush(void);

#endif
