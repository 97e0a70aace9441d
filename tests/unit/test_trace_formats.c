// SPDX-License-Identifier: Apache-2.0
/* Formats of tracepoints: made-up texts, lying ones among them; a made-up tracefs; the architectures' names.
 */
#include <errno.h>

#if defined(__x86_64__)
#include <asm/kvm.h>
#include <asm/svm.h>
#include <asm/vmx.h>
#endif

#include "tests/unit/fake_root.h"
#include "vmm/trace/priv.h"

#define TRACEFS "/sys/kernel/tracing"

#define COMMON                                                                 \
	"format:\n"                                                            \
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
#define FIELD(decl, offset, size, sign) \
	"\tfield:" decl ";\toffset:" #offset ";\tsize:" #size ";\tsigned:" #sign ";\n"
#define FORMAT(name, id, fields) \
	"name: " name "\nID: " #id "\n" COMMON fields "\nprint fmt: \"field:int trap;\"\n"

static const char *const names[TRACE_FIELDS] = {"irq", "name", "wide", "small"};
static struct trace_format format;

static const char sound[] = FORMAT("event", 225,
	FIELD("int irq", 8, 4, 1) FIELD("__data_loc char[] name", 12, 4, 0) FIELD("u64 wide", 16, 8, 0)
		FIELD("unsigned char small", 24, 1, 0) FIELD("char other[16]", 25, 16, 0));

START_TEST(what_a_format_says)
{
	ck_assert_int_eq(trace_format_parse(sound, names, &format), 0);
	ck_assert_uint_eq(format.id, 225);
	ck_assert(format.field[0].offset == 8 && format.field[0].size == 4 && format.field[0].is_signed);
	ck_assert(!format.field[0].is_text);
	ck_assert(format.field[1].offset == 12 && format.field[1].size == 4 && format.field[1].is_text);
	ck_assert(format.field[2].offset == 16 && format.field[2].size == 8 && !format.field[2].is_signed);
	ck_assert(format.field[3].offset == 24 && format.field[3].size == 1);
}
END_TEST

/* A name is a whole word; what is not there has no size; what follows "print fmt" is no field. */
START_TEST(fields_that_are_not_there)
{
	static const char *const near[TRACE_FIELDS] = {"ir", "mall", "trap", "char"};
	static const char *const few[TRACE_FIELDS] = {"small"};

	ck_assert_int_eq(trace_format_parse(sound, near, &format), 0);
	for (unsigned i = 0; i < TRACE_FIELDS; i++)
		ck_assert_uint_eq(format.field[i].size, 0);
	ck_assert_int_eq(trace_format_parse(sound, few, &format), 0);
	ck_assert_uint_eq(format.field[0].size, 1);
	ck_assert_uint_eq(format.field[1].size, 0);
}
END_TEST

START_TEST(lies)
{
	static const char *const text[] = {
		"",
		"name: event\n",
		"ID: \n" COMMON,
		"ID: 0\n" COMMON,
		"ID: 65536\n" COMMON,
		"ID: 99999999999999999999999999\n" COMMON,
		"ID: -1\n" COMMON,
		"ID: x\n" COMMON,
		"ID: 1",
		FORMAT("e", 1, FIELD("int irq", 4097, 4, 1)),
		FORMAT("e", 1, FIELD("int irq", 99999999999999999999, 4, 1)),
		FORMAT("e", 1, FIELD("int irq", -8, 4, 1)),
		FORMAT("e", 1, FIELD("int irq", 8, 0, 1)),
		FORMAT("e", 1, FIELD("int irq", 8, 3, 1)),
		FORMAT("e", 1, FIELD("int irq", 8, 16, 1)),
		FORMAT("e", 1, FIELD("int irq", 8, 4, 2)),
		FORMAT("e", 1, FIELD("int irq", 8, 4, x)),
		FORMAT("e", 1, FIELD("int irq", 8, 4, 1) FIELD("int irq", 12, 4, 1)),
		FORMAT("e", 1, FIELD("__data_loc char[] name", 8, 8, 0)),
		FORMAT("e", 1, "\tfield:int irq\toffset:8\tsize:4\tsigned:1\n"),
		FORMAT("e", 1, "\tfield:int irq;\toffset:8;\n"),
		FORMAT("e", 1, "\tfield:int irq;\n"),
		FORMAT("e", 1, "\tfield:\n"),
	};

	/* The last number that is all right, and an id alone: nobody's fields are there. */
	ck_assert_int_eq(trace_format_parse("ID: 1", names, &format), 0);
	ck_assert_int_eq(
		trace_format_parse(FORMAT("e", 65535, FIELD("int irq", 4096, 8, 1)), names, &format), 0);
	for (unsigned i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		int err;

		if (!strcmp(text[i], "ID: 1"))
			continue;
		err = trace_format_parse(text[i], names, &format);
		ck_assert_msg(err == -EPROTO, "%u: %d", i, err);
		ck_assert_uint_eq(format.id, 0);
	}
}
END_TEST

/* Wherever it ends, nothing behind it is read (the allocation ends there), and no field is half there. */
START_TEST(every_short_text)
{
	static const unsigned offset[] = {8, 12, 16, 24};

	for (size_t len = 0; len <= strlen(sound); len++) {
		char *text = strndup(sound, len);
		int err = trace_format_parse(text, names, &format);

		for (unsigned i = 0; i < TRACE_FIELDS && !err; i++)
			ck_assert(!format.field[i].size || format.field[i].offset == offset[i]);
		ck_assert(!!err == !format.id);
		free(text);
	}
}
END_TEST

START_TEST(values_out_of_records)
{
	static const uint8_t raw[8] = {0xff, 0xfe, 0x7f, 0x80, 1, 2, 3, 4};
	struct trace_field f = {.offset = 0, .size = 1, .is_signed = true};
	int64_t v = 7;

	ck_assert(trace_field_get(&f, raw, 8, &v) && v == -1);
	f.is_signed = false;
	ck_assert(trace_field_get(&f, raw, 8, &v) && v == 255);
	f = (struct trace_field){.offset = 1, .size = 2, .is_signed = true};
	ck_assert(trace_field_get(&f, raw, 8, &v) && v == 0x7ffe);
	f = (struct trace_field){.offset = 0, .size = 4, .is_signed = true};
	ck_assert(trace_field_get(&f, raw, 8, &v) && v == (int32_t)0x807ffeff);
	f = (struct trace_field){.offset = 0, .size = 8};
	ck_assert(trace_field_get(&f, raw, 8, &v) && v == 0x04030201807ffeff);
	v = 7;
	ck_assert(!trace_field_get(&f, raw, 7, &v) && v == 7);
	f.offset = 1;
	ck_assert(!trace_field_get(&f, raw, 8, &v));
	f = (struct trace_field){.offset = 0};
	ck_assert(!trace_field_get(&f, raw, 8, &v) && v == 7);
}
END_TEST

/* Of __data_loc: the offset in the low half, the size in the high one, from the record's begin. */
START_TEST(strings_out_of_records)
{
	const struct trace_field f = {.offset = 0, .size = 4, .is_text = true},
				 number = {.offset = 0, .size = 4};
	uint8_t raw[12] = {4, 0, 8, 0, 'e', 't', 'h', '\n', 0x80, '0', 0, 'x'};
	char text[8];

	ck_assert(trace_field_text(&f, raw, 12, text, sizeof(text)));
	ck_assert_str_eq(text, "eth??0");
	ck_assert(trace_field_text(&f, raw, 12, text, 3));
	ck_assert_str_eq(text, "et");
	raw[2] = 3; /* no end in it */
	ck_assert(trace_field_text(&f, raw, 12, text, sizeof(text)));
	ck_assert_str_eq(text, "eth");
	raw[2] = 9; /* a byte too many */
	ck_assert(!trace_field_text(&f, raw, 12, text, sizeof(text)));
	ck_assert_str_eq(text, "");
	raw[2] = 0;
	raw[0] = 12; /* nothing, at the end */
	ck_assert(trace_field_text(&f, raw, 12, text, sizeof(text)));
	raw[0] = 13;
	ck_assert(!trace_field_text(&f, raw, 12, text, sizeof(text)));
	memset(raw, 0xff, 4);
	ck_assert(!trace_field_text(&f, raw, 12, text, sizeof(text)));
	ck_assert(!trace_field_text(&f, raw, 3, text, sizeof(text)));
	ck_assert(!trace_field_text(&number, raw, 12, text, sizeof(text)));
}
END_TEST

/* ---- a tracefs ---- */

static struct trace_formats formats;
static char why[512];

static void put_event(const char *event, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), TRACEFS "/events/%s/format", event);
	fake_root_put(path, text);
}

#define VMX_EXIT \
	FORMAT("kvm_exit", 103, FIELD("unsigned int exit_reason", 8, 4, 0) FIELD("u32 isa", 24, 4, 0))
#define USER_EXIT \
	FORMAT("kvm_userspace_exit", 42, FIELD("__u32 reason", 8, 4, 0) FIELD("int errno", 12, 4, 1))

START_TEST(events_of_a_tracefs)
{
	fake_root_open();
	put_event("kvm/kvm_exit", VMX_EXIT);
	put_event("kvm/kvm_userspace_exit", USER_EXIT);
	put_event("kvm/kvm_msr", FORMAT("kvm_msr", 99, FIELD("unsigned write", 8, 4, 0)));
	put_event("irq_vectors/local_timer_entry",
		FORMAT("local_timer_entry", 165, FIELD("int vector", 8, 4, 1)));
	ck_assert_int_eq(trace_formats_read(&formats, fake_root, why, sizeof(why)), 0);
	ck_assert_uint_eq(trace_event_of(&formats, 103), TRACE_EV_EXIT);
	ck_assert_uint_eq(trace_event_of(&formats, 42), TRACE_EV_USER_EXIT);
	ck_assert_uint_eq(trace_event_of(&formats, 165), TRACE_EV_LOCAL_TIMER);
	ck_assert_uint_eq(trace_event_of(&formats, 7), TRACE_EVENTS);
	ck_assert_uint_eq(trace_event_of(&formats, 0), TRACE_EVENTS);
	ck_assert(!formats.by_vendor);
	/* ecx is missing, and so is all of kvm_pio. */
	ck_assert_uint_eq(formats.event[TRACE_EV_MSR].id, 0);
	ck_assert_str_eq(formats.why[TRACE_EV_MSR], "its format is not one this program understands");
	ck_assert_str_eq(formats.why[TRACE_EV_PIO], "this kernel has no such tracepoint");
	fake_root_close();
}
END_TEST

/* Old kernels' exits do not say whose reason it is. */
START_TEST(the_vendor_of_the_cpu)
{
	static const struct {
		const char *cpuinfo;
		enum trace_isa isa;
	} rows[] = {
		{"processor\t: 0\nvendor_id\t: GenuineIntel\n", TRACE_ISA_VMX},
		{"vendor_id\t: AuthenticAMD\n", TRACE_ISA_SVM},
		{"vendor_id\t: HygonGenuine\n", TRACE_ISA_SVM},
		{"vendor_id\t: Somebody\n", TRACE_ISA_UNKNOWN},
		{"", TRACE_ISA_UNKNOWN},
	};

	fake_root_open();
	put_event("kvm/kvm_exit", FORMAT("kvm_exit", 103, FIELD("unsigned int exit_reason", 8, 4, 0)));
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_root_put("/proc/cpuinfo", rows[i].cpuinfo);
		ck_assert_int_eq(trace_formats_read(&formats, fake_root, why, sizeof(why)), 0);
		ck_assert(formats.by_vendor && formats.isa == rows[i].isa);
	}
	fake_root_close();
}
END_TEST

START_TEST(what_is_missing)
{
	fake_root_open();
	ck_assert_int_eq(trace_formats_read(&formats, fake_root, why, sizeof(why)), -ENOENT);
	ck_assert_ptr_nonnull(
		strstr(why, "tracefs is not mounted at /sys/kernel/tracing: mount -t tracefs tracefs "));
	put_event("irq/irq_handler_entry", FORMAT("irq_handler_entry", 3, ""));
	ck_assert_int_eq(trace_formats_read(&formats, fake_root, why, sizeof(why)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "is the kvm module loaded?"));
	put_event("kvm/kvm_exit", FORMAT("kvm_exit", 103, FIELD("int vector", 8, 4, 1)));
	ck_assert_int_eq(trace_formats_read(&formats, fake_root, why, sizeof(why)), -ENOENT);
	ck_assert_ptr_nonnull(
		strstr(why, "neither kvm_exit nor kvm_userspace_exit can be traced: this kernel has no"));
	ck_assert_str_eq(formats.why[TRACE_EV_EXIT], "its format has no reason of an exit");
	put_event("kvm/kvm_userspace_exit", USER_EXIT);
	ck_assert_int_eq(trace_formats_read(&formats, fake_root, why, sizeof(why)), 0);
	fake_root_close();
}
END_TEST

/* Where only debugfs has it. */
START_TEST(the_other_place)
{
	fake_root_open();
	fake_root_put("/sys/kernel/debug/tracing/events/kvm/kvm_exit/format", VMX_EXIT);
	ck_assert_int_eq(trace_formats_read(&formats, fake_root, why, sizeof(why)), 0);
	ck_assert_uint_eq(formats.event[TRACE_EV_EXIT].id, 103);
	fake_root_close();
}
END_TEST

/* A directory that may not be read, and a file in it. As somebody else, for root may read all. */
START_TEST(what_may_not_be_read)
{
	char path[PATH_MAX];

	fake_root_open();
	put_event("kvm/kvm_exit", VMX_EXIT);
	if (!geteuid()) {
		static const char *const dir[] = {"", "/sys", "/sys/kernel", TRACEFS};

		for (unsigned i = 0; i < 4; i++) {
			snprintf(path, sizeof(path), "%s%s", fake_root, dir[i]);
			ck_assert_int_eq(chmod(path, 0755), 0);
			ck_assert_int_eq(chown(path, 65534, 65534), 0);
		}
		ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
	}
	snprintf(path, sizeof(path), "%s" TRACEFS, fake_root);
	ck_assert_int_eq(chmod(path, 0), 0);
	ck_assert_int_eq(trace_formats_read(&formats, fake_root, why, sizeof(why)), -EACCES);
	ck_assert_ptr_nonnull(strstr(why, "/sys/kernel/tracing may not be read by this user"));
	ck_assert_int_eq(chmod(path, 0700), 0);
	setresuid(0, 0, 0); /* who was root is again */
	fake_root_close();
}
END_TEST

/* ---- what is said where the kernel refuses ---- */

#define CAPS(bits) "Name:\tpinvm\nCapEff:\t" bits "\n"

START_TEST(refusals)
{
	static const struct {
		const char *caps, *paranoid, *words;
	} rows[] = {
		{CAPS("0000000000000000"), "2\n",
			"CAP_PERFMON is missing (before Linux 5.8 CAP_SYS_ADMIN), and "
			"kernel.perf_event_paranoid is 2"},
		{CAPS("0000000000000000"), "3\n", "CAP_PERFMON is missing"},
		{CAPS("0000000000000000"), "-1\n", "the guest runs as another user"},
		{CAPS("0000000000000000"), "nonsense\n", "kernel.perf_event_paranoid is unknown"},
		{CAPS("0000004000000000"), "2\n", "a container's seccomp profile or a security module"},
		{CAPS("0000004000000000"), "3\n", "set kernel.perf_event_paranoid=2"},
		{CAPS("0000000000200000"), "4\n", "a container's seccomp profile or a security module"},
		{"", "2\n", "CAP_PERFMON is missing"},
	};

	fake_root_open();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_root_put("/proc/self/status", rows[i].caps);
		fake_root_put("/proc/sys/kernel/perf_event_paranoid", rows[i].paranoid);
		trace_say_open(i % 2 ? -EPERM : -EACCES, 7, fake_root, why, sizeof(why));
		ck_assert_msg(strstr(why, rows[i].words) != NULL, "%u: %s", i, why);
	}
	trace_say_open(-ENOSYS, 7, fake_root, why, sizeof(why));
	ck_assert_ptr_nonnull(strstr(why, "CONFIG_PERF_EVENTS"));
	trace_say_open(-ESRCH, 7, fake_root, why, sizeof(why));
	ck_assert_ptr_nonnull(strstr(why, "thread 7 is gone"));
	trace_say_open(-EINVAL, 7, fake_root, why, sizeof(why));
	ck_assert_ptr_nonnull(strstr(why, "thread 7: Invalid argument"));
	fake_root_put("/proc/sys/kernel/perf_event_mlock_kb", "516\n");
	trace_say_locked(-ENOMEM, 255, fake_root, why, sizeof(why));
	ck_assert_ptr_nonnull(strstr(why, "rings of 255 vCPUs may not be locked"));
	ck_assert_ptr_nonnull(strstr(why, "perf_event_mlock_kb (it is 516, for each CPU)"));
	fake_root_close();
}
END_TEST

/* ---- names ---- */

#define name_is(isa, code, name) ck_assert_str_eq(trace_reason_name(isa, code), name)

START_TEST(the_architectures_names)
{
	name_is(TRACE_ISA_VMX, 0, "EXCEPTION_NMI");
	name_is(TRACE_ISA_VMX, 1, "EXTERNAL_INTERRUPT");
	name_is(TRACE_ISA_VMX, 12, "HLT");
	name_is(TRACE_ISA_VMX, 32, "MSR_WRITE");
	name_is(TRACE_ISA_VMX, 40, "PAUSE_INSTRUCTION");
	name_is(TRACE_ISA_VMX, 49, "EPT_MISCONFIG");
	name_is(TRACE_ISA_SVM, 0x60, "INTR");
	name_is(TRACE_ISA_SVM, 0x78, "HLT");
	name_is(TRACE_ISA_SVM, 0x7c, "MSR");
	name_is(TRACE_ISA_SVM, 0x400, "NPF");
	name_is(TRACE_ISA_SVM, 0x4e, "EXCP_PF");
	name_is(TRACE_ISA_SVM, UINT32_MAX, "ERR");
	name_is(TRACE_ISA_ARM, 0, "IRQ");
	name_is(TRACE_ISA_ARM_EC, 1, "WFx");
	name_is(TRACE_ISA_ARM_EC, 0x16, "HVC64");
	name_is(TRACE_ISA_ARM_EC, 0x24, "DABT_LOW");
	ck_assert_str_eq(trace_msr_name(0x6e0), "IA32_TSC_DEADLINE");
	ck_assert_str_eq(trace_msr_name(0x80b), "X2APIC_EOI");
	ck_assert_str_eq(trace_msr_name(0x830), "X2APIC_ICR");
	ck_assert_str_eq(trace_apic_name(0x300), "ICR");
	ck_assert_ptr_null(trace_reason_name(TRACE_ISA_VMX, 11));
	ck_assert_ptr_null(trace_reason_name(TRACE_ISA_SVM, 0x77777));
	ck_assert_ptr_null(trace_reason_name(TRACE_ISA_UNKNOWN, 12));
	ck_assert_ptr_null(trace_msr_name(0x12345));
}
END_TEST

#if defined(__x86_64__)
/* Each name that the kernel's own headers have for tracing is ours. */
START_TEST(the_kernels_tables)
{
	static const struct {
		uint32_t code;
		const char *name;
	} vmx[] = {VMX_EXIT_REASONS}, svm[] = {SVM_EXIT_REASONS};

	for (unsigned i = 0; i < sizeof(vmx) / sizeof(vmx[0]); i++)
		name_is(TRACE_ISA_VMX, vmx[i].code, vmx[i].name);
	ck_assert_uint_gt(sizeof(vmx) / sizeof(vmx[0]), 60);
	/* Those of SVM are spelled as the instructions are: it is enough that there is one. */
	for (unsigned i = 0; i < sizeof(svm) / sizeof(svm[0]); i++)
		ck_assert_msg(trace_reason_name(TRACE_ISA_SVM, svm[i].code) != NULL, "0x%x %s", svm[i].code,
			svm[i].name);
}
END_TEST
#else
START_TEST(the_kernels_tables)
{
	fprintf(stderr, "skip: the headers have the tables of x86 only\n");
}
END_TEST
#endif

UNIT_MAIN("trace_formats", what_a_format_says, fields_that_are_not_there, lies, every_short_text,
	values_out_of_records, strings_out_of_records, events_of_a_tracefs, the_vendor_of_the_cpu,
	what_is_missing, the_other_place, what_may_not_be_read, refusals, the_architectures_names,
	the_kernels_tables)
