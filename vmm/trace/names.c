// SPDX-License-Identifier: Apache-2.0
/* What the rows of a vCPU's account are called; see trace.h. Any thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/trace/priv.h"
#include "vmm/vcpu.h"

const char *trace_reason_text(const struct trace_reason *r, char text[TRACE_TEXT])
{
	const char *name = trace_reason_name(r->isa, r->code);

	if (name)
		snprintf(text, TRACE_TEXT, "%s", name);
	else
		snprintf(text, TRACE_TEXT, "%u", r->code);
	return text;
}

static void user_text(int64_t reason, char text[TRACE_TEXT])
{
	const char *name = reason >= 0 && reason <= UINT16_MAX ? vcpu_exit_name(reason) : NULL;

	if (reason == -EINTR)
		snprintf(text, TRACE_TEXT, "signal");
	else if (name)
		snprintf(text, TRACE_TEXT, "%s", name);
	else
		snprintf(text, TRACE_TEXT, "%s%lld", reason < 0 ? "error " : "",
			(long long)(reason < 0 ? -reason : reason));
}

const char *trace_reached_name(const struct trace_reached *r)
{
	return r->kind == TRACE_MSR ? trace_msr_name(r->address) : r->kind == TRACE_APIC ? trace_apic_name(r->address) : NULL;
}

const char *trace_reached_text(const struct trace_reached *r, char text[TRACE_TEXT])
{
	static const char *const kinds[TRACE_REACHES] = {[TRACE_MSR] = "msr",
		[TRACE_PIO] = "pio",
		[TRACE_MMIO] = "mmio",
		[TRACE_FAST_MMIO] = "doorbell",
		[TRACE_APIC] = "apic"};
	const char *name = trace_reached_name(r);

	if (r->kind == TRACE_USER)
		user_text(r->address, text);
	else
		snprintf(text, TRACE_TEXT, "%s %s 0x%llx%s%s", kinds[r->kind], r->write ? "write" : "read",
			(unsigned long long)r->address, name ? " " : "", name ? name : "");
	return text;
}

const char *trace_cause_text(const struct trace_cause *c, char text[TRACE_TEXT])
{
	if (c->irq < 0)
		snprintf(text, TRACE_TEXT, "%s", c->name);
	else
		snprintf(text, TRACE_TEXT, "irq %d %s", c->irq, c->name);
	return text;
}
