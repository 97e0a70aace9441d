# SPDX-License-Identifier: Apache-2.0
# pinvm. `make help` lists the targets. Variables: ARCH CROSS_COMPILE CC CFLAGS LDFLAGS SAN=asan|ubsan|tsan|fuzz STATIC=1 WERROR=0
# V=1 PREFIX DESTDIR KERNEL INITRD LAB=native|software.

VERSION := 0.1.0

HOST_ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
ARCH ?= $(HOST_ARCH)
# Other projects' spellings, too, and from the environment: kernel builds want ARCH=x86_64 there.
override ARCH := $(patsubst aarch64,arm64,$(patsubst amd64,x86,$(patsubst x86_64,x86,$(or $(strip $(ARCH)),$(HOST_ARCH)))))
ifneq ($(words $(filter x86 arm64,$(ARCH)) $(ARCH)),2)
$(error ARCH=$(ARCH): there are ARCH=x86 and ARCH=arm64)
endif
ifeq ($(ARCH)$(filter x86,$(HOST_ARCH)),x86)
$(error ARCH=x86: on a machine of $(HOST_ARCH) there is ARCH=$(HOST_ARCH) only)
endif
# The compiler for arm64 that tools/setup installs needs not be named.
ifeq ($(origin CROSS_COMPILE)$(filter-out $(HOST_ARCH),$(ARCH)),undefinedarm64)
CROSS_COMPILE := $(if $(shell command -v aarch64-linux-gnu-gcc),aarch64-linux-gnu-)
endif
CROSS_COMPILE ?=
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
AR := $(CROSS_COMPILE)ar
IASL ?= iasl
PREFIX ?= /usr/local
DESTDIR ?=
WERROR ?= 1

# For another machine: static, against libraries of its own (tools/sysroot), never against this machine's.
cross := $(filter-out $(HOST_ARCH),$(ARCH))
ifeq ($(cross),)
STATIC ?= 0
PKG_CONFIG ?= pkg-config
else
STATIC ?= 1
triplet := $(patsubst %-,%,$(notdir $(CROSS_COMPILE)))
ifeq ($(origin SYSROOT),undefined)
SYSROOT := $(shell tools/sysroot $(ARCH))
endif
PKG_CONFIG ?= PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) PKG_CONFIG_LIBDIR=$(SYSROOT)/usr/lib/$(triplet)/pkgconfig pkg-config
sysroot_cflags := -isystem $(SYSROOT)/usr/include
sysroot_ldflags := -L$(SYSROOT)/usr/lib/$(triplet)
endif
# Starts a program that was built for another machine.
RUN ?= $(if $(filter arm64,$(cross)),qemu-aarch64-static)

# One build directory a configuration; the plain one is build/ itself.
variant := $(cross)$(if $(SAN),$(SAN))$(if $(cross),,$(if $(filter 1,$(STATIC)),static))
ifneq ($(findstring clang,$(CC)),)
variant := $(variant)clang
endif
B := build$(if $(variant),/$(variant))

CFLAGS ?= -O2 -g
warnings := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wundef \
	-Wno-unused-parameter -Wno-missing-field-initializers
ifeq ($(WERROR),1)
warnings += -Werror
endif
san_asan := -fsanitize=address,undefined -fno-omit-frame-pointer
san_ubsan := -fsanitize=undefined -fno-sanitize-recover=all
san_tsan := -fsanitize=thread
san_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
sanflags := $(if $(SAN),$(san_$(SAN)))
libs := liburing libcap-ng jansson inih
pkgflags := $(shell $(PKG_CONFIG) --cflags $(libs) 2>/dev/null)
pkgstatic := $(if $(filter 1,$(STATIC)),--static)
pkglibs := $(shell $(PKG_CONFIG) $(pkgstatic) --libs $(libs) 2>/dev/null || echo -luring -lcap-ng -ljansson -linih)
ifeq ($(ARCH),arm64)
pkglibs += -lfdt -lz
endif
all_cflags := -std=gnu17 -D_GNU_SOURCE -I. -I$(B)/gen $(warnings) -fstack-protector-strong \
	-ffunction-sections -fdata-sections $(sanflags) $(sysroot_cflags) $(pkgflags) $(CPPFLAGS) $(CFLAGS)
all_ldflags := -Wl,--gc-sections -Wl,-z,relro,-z,now -pthread $(sanflags) $(if $(filter 1,$(STATIC)),-static) $(sysroot_ldflags) \
	$(LDFLAGS)

# A tier that this architecture does not have ends like one whose tests were all skipped.
skip = echo 'skip: $(1)'; echo '0 passed, 0 failed, 1 skipped'
x86_only = $(if $(filter x86,$(ARCH)),,$(call skip,its guests are programs for x86; check-guest and check-arm64 boot those of arm64))

# For what a recipe builds: all CPUs, unless the person has said how many.
jobs = $(if $(findstring j,$(filter-out --%,$(MAKEFLAGS))),,-j$(shell nproc))

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2);)

lib_src := $(filter-out vmm/main.c,$(wildcard vmm/*.c vmm/*/*.c arch/$(ARCH)/*.c devices/*.c devices/virtio/*.c))
lib_obj := $(lib_src:%.c=$(B)/obj/%.o)
# What only one architecture has is tested in a folder of its name.
unit_src := $(wildcard tests/unit/test_*.c tests/unit/$(ARCH)/test_*.c)
unit_bin := $(addprefix $(B)/tests/,$(notdir $(unit_src:.c=)))
# Tests with malloc() of their own do without it there: a static C library does not stand aside for one.
ifeq ($(STATIC),1)
$(B)/obj/tests/unit/%.o: all_cflags += -DOWN_ALLOCATOR=0
endif
# The loader of arm64 needs nothing of such a machine, so every machine fuzzes it.
fuzz_src := $(sort $(wildcard tests/fuzz/fuzz_*.c tests/fuzz/$(ARCH)/fuzz_*.c tests/fuzz/arm64/fuzz_*.c))
fuzz_names := $(patsubst fuzz_%.c,%,$(notdir $(fuzz_src)))
unit_common := $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(unit_src),$(wildcard tests/unit/*.c tests/unit/$(ARCH)/*.c)))
generated := $(B)/gen/version.h
ifneq ($(wildcard arch/x86/dsdt.asl),)
ifeq ($(ARCH),x86)
generated += $(B)/gen/dsdt.h
endif
endif

.DEFAULT_GOAL := all
all: $(B)/libpinvm.a $(if $(wildcard vmm/main.c),$(B)/pinvm) $(if $(cross),,compile_commands.json) ## the program: build/pinvm

$(B)/pinvm: $(B)/obj/vmm/main.o $(B)/libpinvm.a
	$(call say,LINK,$@)$(CC) $(all_ldflags) -o $@ $^ $(pkglibs)

# The program prints its own option list: what the man page and the completion say is what the parser knows.
# PLACE.command: where the lists of a command stand in the page.
man_lists := OPTIONS.run STAT.stat METRICS.metrics CONTROL.ctl PERF.perf
man_put = -e '/^@$(1)@$$/{' -e 'r $(B)/gen/$(2).man' -e d -e '}'
$(B)/pinvm.1: docs/pinvm.1.in tools/man-table README.md $(B)/pinvm
	$(call say,MAN,$@)for c in $(patsubst .%,%,$(suffix $(man_lists))); do $(RUN) $(B)/pinvm man $$c > $(B)/gen/$$c.man || exit 1; done
	@tools/man-table arm64 README.md > $(B)/gen/arm64.man
	@sed $(foreach l,$(man_lists),$(call man_put,$(basename $l),$(patsubst .%,%,$(suffix $l)))) $(call man_put,ARM64,arm64) \
		-e 's/@VERSION@/$(VERSION)/' $< > $@

$(B)/completion/pinvm: $(B)/pinvm
	@mkdir -p $(@D)
	$(call say,GEN,$@)$(RUN) $(B)/pinvm completion bash > $@

man: $(B)/pinvm.1 $(B)/completion/pinvm ## the man page and the bash completion

install: all man ## program, man page and completion into DESTDIR and PREFIX
	install -D -m 755 $(B)/pinvm $(DESTDIR)$(PREFIX)/bin/pinvm
	install -D -m 644 $(B)/pinvm.1 $(DESTDIR)$(PREFIX)/share/man/man1/pinvm.1
	install -D -m 644 $(B)/completion/pinvm $(DESTDIR)$(PREFIX)/share/bash-completion/completions/pinvm
.PHONY: man install

$(B)/libpinvm.a: $(lib_obj)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(B)/obj/%.o: %.c $(generated) $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

$(B)/gen/version.h: Makefile
	@mkdir -p $(@D) && echo '#define PINVM_VERSION "$(VERSION)"' > $@

# Anything that changes the command line rebuilds what it built.
$(B)/flags: FORCE
	@mkdir -p $(B) && echo '$(CC) $(all_cflags)' | cmp -s - $@ || echo '$(CC) $(all_cflags)' > $@

$(B)/gen/dsdt.h: arch/x86/dsdt.asl $(wildcard arch/x86/layout.h)
	@mkdir -p $(@D)
	$(call say,IASL,$<)$(IASL) -we -vs -tc -p $(B)/gen/dsdt $< > $(B)/gen/dsdt.log 2>&1 || { cat $(B)/gen/dsdt.log; exit 1; }
	@sed 's/^unsigned char/static const unsigned char/' $(B)/gen/dsdt.hex > $@

define link_unit
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(all_ldflags) -o $@ $^ $(pkglibs) $(shell $(PKG_CONFIG) $(pkgstatic) --libs check)
endef

$(B)/tests/test_%: $(B)/obj/tests/unit/test_%.o $(unit_common) $(B)/libpinvm.a
	$(link_unit)

$(B)/tests/test_%: $(B)/obj/tests/unit/$(ARCH)/test_%.o $(unit_common) $(B)/libpinvm.a
	$(link_unit)

# A test that makes calls fail stands between pinvm and the C library.
wrapped := malloc calloc realloc reallocarray aligned_alloc mmap eventfd epoll_create1 pthread_create ioctl
$(B)/tests/test_guest_faults: all_ldflags += $(wrapped:%=-Wl,--wrap=%)
$(B)/tests/test_perf_counters: all_ldflags += -Wl,--wrap=syscall,--wrap=read,--wrap=ioctl,--wrap=close
$(B)/tests/test_fdt: all_ldflags += -Wl,--wrap=fdt_finish
$(B)/tests/test_control_commands: all_ldflags += -Wl,--wrap=report_now

# What needs more of a kernel than an emulator of programs (RUN) has: io_uring, epoll_pwait2, memory policies, terminals.
unit_kernel := blk_threads console console_clients control_server disk fill fill_end fill_threads guardian loop loop_io loop_plain \
	mem mem_plan net_threads series tap tap_link tap_view thread tty virtio_pci_rng
unit_kernel += errand place_live place_live_policy place_live_workers control_commands
unit_run = $(if $(RUN),$(filter-out $(unit_kernel:%=$(B)/tests/test_%),$(unit_bin)),$(unit_bin))

check-unit: $(unit_bin) ## unit tests only
	$(Q)$(if $(RUN),echo "  skip: $(words $(unit_kernel)) programs need a real kernel: tests/lab/arm64/run --unit")
	$(Q)RUN="$(RUN)" sh tests/unit/run $(unit_run)

# What really has two threads, under ThreadSanitizer: a race is a failure. test_loop_syscalls counts system calls, and
# TSan makes its own.
tsan_tests := blk_threads console console_clients disk fill fill_end fill_threads irq lapic_threads limit loop loop_io loop_poll \
	mmio_life msix net_threads pci profile serial tap_view thread virtio_config virtio_pci_life virtio_pci_rng virtq_race
tsan_tests += errand userchip_threads
check-tsan: ## tests of threads with ThreadSanitizer
	$(Q)$(if $(cross),$(call skip,ThreadSanitizer runs on the machine itself only),$(MAKE) --no-print-directory $(jobs) SAN=tsan tsan-run)

tsan-run: $(tsan_tests:%=$(B)/tests/test_%)
	$(Q)sh tests/unit/run $^

# A fuzzer links with libFuzzer (SAN=fuzz) or with a main that replays its corpus.
fuzz_main := $(if $(filter fuzz,$(SAN)),,$(B)/obj/tests/fuzz/replay.o)
define link_fuzz
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(all_ldflags) $(if $(fuzz_main),,-fsanitize=fuzzer) -o $@ $^ $(pkglibs)
endef

$(B)/fuzz/%: $(B)/obj/tests/fuzz/fuzz_%.o $(fuzz_main) $(B)/libpinvm.a
	$(link_fuzz)

$(B)/fuzz/%: $(B)/obj/tests/fuzz/$(ARCH)/fuzz_%.o $(fuzz_main) $(B)/libpinvm.a
	$(link_fuzz)

$(B)/fuzz/image: pkglibs += -lfdt -lz
$(B)/fuzz/image: $(B)/obj/tests/fuzz/arm64/fuzz_image.o $(patsubst %,$(B)/obj/arch/arm64/%.o,boot gzip fdt layout) $(fuzz_main) \
		$(B)/libpinvm.a
	$(link_fuzz)

# Bare-metal guests: tests/guest/NAME.c and tests/guest/lib make build/guest/NAME.elf. Nothing of the host's flags is
# right for them; SSE and the like stay off, because some hosts emulate ring 0. Loaders want Multiboot as ELF32.
guest_names := $(patsubst tests/guest/%.c,%,$(wildcard tests/guest/*.c))
guest_lib := $(patsubst tests/guest/lib/%,$(B)/guest/lib/%.o,$(wildcard tests/guest/lib/*.c tests/guest/lib/*.S))
guest_cflags := -std=gnu17 -I. $(warnings) -O2 -g -m64 -ffreestanding -fno-builtin -fno-pic -fno-pie -mcmodel=small \
	-mno-red-zone -mno-mmx -mno-sse -mno-sse2 -mno-80387 -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables
guest_ldflags := -m64 -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096

guest_hosts := $(patsubst tests/guest/host/%.c,$(B)/guest/host/%,$(wildcard tests/guest/host/*.c))
ifeq ($(ARCH),x86)
guests: $(guest_names:%=$(B)/guest/%.elf) $(guest_hosts) ## the bare-metal test guests, and programs at their other ends
endif

ifeq ($(ARCH),arm64)
guests: $(B)/guest/exits.image
endif

arm64_guest_flags := -std=gnu17 -I. $(warnings) -O2 -g -ffreestanding -fno-builtin -fno-pic -fno-pie -mgeneral-regs-only \
	-mstrict-align -fno-stack-protector -fno-asynchronous-unwind-tables
$(B)/guest/exits.image: $(wildcard tests/guest/arm64/*.S tests/guest/arm64/*.c tests/guest/arm64/guest.ld) $(B)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$@)$(CC) $(arm64_guest_flags) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
		-Wl,-T,tests/guest/arm64/guest.ld -o $(@:.image=.elf) $(filter %.S %.c,$^) && \
		$(CROSS_COMPILE)objcopy -O binary $(@:.image=.elf) $@

$(B)/guest/host/%: tests/guest/host/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -std=gnu17 -D_GNU_SOURCE $(warnings) -O2 -o $@ $<

$(B)/guest/lib/%.o: tests/guest/lib/% $(B)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$<)$(CC) $(guest_cflags) -MMD -MP -c -o $@ $<

$(B)/guest/%.o: tests/guest/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,GUEST,$<)$(CC) $(guest_cflags) -MMD -MP -c -o $@ $<

$(B)/guest/%.elf: $(B)/guest/%.o $(guest_lib) tests/guest/lib/guest.ld
	$(call say,GUEST,$@)$(CC) $(guest_ldflags) -Wl,-T,tests/guest/lib/guest.ld -o $@64 $(filter %.o,$^) && \
		$(CROSS_COMPILE)objcopy -I elf64-x86-64 -O elf32-i386 $@64 $@

# Built for another machine, they run in that machine's lab.
guest_cross = echo 'exec sh /guest/run pinvm /guest $(CASE)' >$(B)/guest/job && tools/lab-arm64 --quiet --timeout 300 \
	--add $(B)/pinvm:/bin/pinvm --add $(B)/guest/exits.image:/guest/exits.image --add tests/guest/arm64/run:/guest/run $(B)/guest/job
guest_arm64 = $(if $(cross),$(guest_cross),tests/guest/arm64/run $(B)/pinvm $(B)/guest $(CASE))
check-guest: all guests ## bare-metal guests on /dev/kvm
	$(Q)$(if $(x86_only),$(guest_arm64),tests/guest/run $(B) $(CASE))

FUZZ_SECONDS ?= 60
FUZZ ?= $(fuzz_names)

fuzz: ## fuzz every door for FUZZ_SECONDS (60) each, with clang; FUZZ="boot ..." picks some
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=fuzz WERROR=0 fuzz-run

fuzz-run: $(FUZZ:%=$(B)/fuzz/%)
	$(Q)tests/fuzz/run $(B) $(FUZZ_SECONDS) $(FUZZ)

check-corpus: $(FUZZ:%=$(B)/fuzz/%) ## replay the fuzzers' corpora
	$(Q)ok=0; bad=0; for f in $(FUZZ); do \
		if timeout 300 $(RUN) $(B)/fuzz/$$f tests/fuzz/corpus/$$f; then ok=$$((ok + 1)); else bad=$$((bad + 1)); echo "  $$f: FAILED"; fi; \
		done; echo "corpora: $$ok passed, $$bad failed, 0 skipped"; [ $$bad = 0 ]

check-model: ## the sleep and the kick of a queue and of a vCPU, by spin
	$(Q)tests/model/run $(B)/model

# The simulator of halt polling is several files, and a unit test has them, too.
haltpoll_sim := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/bench/haltpoll/*.c))
$(B)/bench/haltpoll: $(haltpoll_sim)
$(B)/tests/test_haltpoll_sim: $(haltpoll_sim)
$(B)/bench/haltpoll $(B)/tests/test_haltpoll_sim: pkglibs := $(B)/libpinvm.a $(pkglibs) -lm

$(B)/bench/%: $(B)/obj/tests/bench/%.o $(B)/libpinvm.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(all_ldflags) -o $@ $^ $(pkglibs)

# Guests of the lab: built here, because the lab's host is slow.
lab_init := tools/initramfs tests/lab/guest-init
lab_modules := virtio_pci virtio_mmio virtio_blk virtio_rng pvpanic-mmio button evdev
lab_base = tools/initramfs -o $@ --init tests/lab/guest-init --kernel `tools/kernel cloud dir` \
	$(lab_modules:%=--module %) --add-exec blkdiscard

$(B)/lab/guest.cpio: $(lab_init)
	@mkdir -p $(@D)
	$(call say,INIT,$@)$(lab_base)

$(B)/lab/fio.cpio: $(lab_init)
	@mkdir -p $(@D)
	$(call say,INIT,$@)$(lab_base) --add-exec fio

# Programs of the lab's tests; those of guests have no libraries.
lab_programs := packets tapfd cpu-load ask wakes
$(lab_programs:%=$(B)/lab/%): $(B)/lab/%: tests/lab/%.c tests/lab/program.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -std=gnu17 $(warnings) -O2 -static -o $@ $<

lab_net = $(lab_base) --module virtio_net --add-exec ping --add-exec ethtool --add-exec tc \
	--add $(B)/lab/packets:/bin/packets
$(B)/lab/net.cpio: $(lab_init) $(B)/lab/packets
	$(call say,INIT,$@)$(lab_net)

$(B)/lab/iperf.cpio: $(lab_init) $(B)/lab/packets
	$(call say,INIT,$@)$(lab_net) --add-exec iperf3

# A guest that compiles: gcc without its headers, and C files of ours, preprocessed here.
build_sources := $(patsubst vmm/%.c,%,$(wildcard vmm/haltpoll/*.c vmm/loop/*.c))
build_files := $(patsubst %,$(B)/lab/build/%.i,$(subst /,-,$(build_sources)))
$(build_files): $(generated)
	@mkdir -p $(@D)
	$(Q)gcc -E -P -std=gnu17 -D_GNU_SOURCE -I. -I$(B)/gen -o $@ vmm/$(subst -,/,$(basename $(@F))).c

$(B)/lab/build.cpio: $(lab_init) tests/lab/build.mk $(build_files)
	$(call say,INIT,$@)PATH=$$PATH:$$(dirname $$(gcc -print-prog-name=cc1)) $(lab_base) --add-exec gcc --add-exec cc1 --add-exec as \
		--add-exec make --add tests/lab/build.mk:/build/Makefile $(foreach f,$(build_files),--add $(f):/build/$(notdir $(f)))

lab_cpios := guest fio net iperf
lab-files: all guests $(lab_cpios:%=$(B)/lab/%.cpio) $(lab_programs:%=$(B)/lab/%) $(B)/bench/haltpoll ## what the lab's tests boot
	$(Q)tools/kernel cloud vmlinux >/dev/null

LAB_LIMIT ?= 7200
TESTS ?=

check-lab: $(if $(x86_only),,lab-files) ## stock guests in the lab: one short test a feature; TESTS="disk life.panic" picks some
	$(Q)$(or $(x86_only),tests/lab/hosts $(B)/lab/out 1500 --quick $(TESTS))

lab: $(if $(x86_only),lab-arm64,lab-x86) ## stock guests in the lab: the full matrix

lab-x86: lab-files
	$(Q)tests/lab/mkdebian >/dev/null || echo "lab: no Debian disk; its test will be skipped"
	$(Q)tests/lab/hosts $(B)/lab/out $(LAB_LIMIT) $(TESTS)
	$(Q)$(if $(TESTS),:,LAB_HOST=--nested-paging tests/lab/hosts $(B)/lab/out-npt 900 pages.truth)

LOOKS ?=
study-exits: $(if $(x86_only),,lab-files) ## why a stock guest leaves the guest, at four loads: docs/exits.md; LOOKS="net_base ..." picks some
	$(Q)$(or $(x86_only),tools/study-exits $(LOOKS))
.PHONY: lab-files check-lab lab lab-x86 study-exits

bench-virtq: $(B)/bench/virtq_ir ## instructions per block request
	$(Q)sh tests/bench/virtq_ir.sh $<

# TRACES="FILE ..." plays recordings of tools/halts alone; HELD_OUT=1 what the controller was not tuned with.
haltpoll_recorded := $(wildcard tests/bench/haltpoll/recorded/*-[0-9])
haltpoll_plays = $(or $(TRACES),$(if $(HELD_OUT),--held-out,--made) $(haltpoll_recorded))
bench-haltpoll: $(B)/bench/haltpoll ## regret of halt polling in simulation; status 1: a limit was missed
	$(Q)$(RUN) $< --svg $(B)/bench/haltpoll.svg $(haltpoll_plays) && echo "plot: $(B)/bench/haltpoll.svg"

STUDY ?=
study-haltpoll: $(if $(x86_only),,all guests) ## what a wake-up costs in each mode of waiting: docs/wakeups.md; STUDY="--rounds 9" and the like
	$(Q)$(or $(x86_only),tools/study-haltpoll --build $(B) $(STUDY))
.PHONY: bench-haltpoll study-haltpoll

record-haltpoll: $(if $(x86_only),,lab-files $(B)/lab/build.cpio) ## halts of stock guests for bench-haltpoll, anew; LOADS="rr fio" picks some
	$(Q)$(or $(x86_only),tools/record-haltpoll $(LOADS))
.PHONY: record-haltpoll

bench_programs := $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*.c))
bench: all guests $(bench_programs) $(B)/lab/packets ## pinvm's figures beside QEMU's, in one table; BENCH=--no-lab for a short one
	$(Q)$(if $(x86_only),echo 'bench: its guests are programs for x86'; exit 1,tools/setup build check bench)
	$(Q)$(MAKE) --no-print-directory STATIC=1 build/static/pinvm || echo 'bench: no static program'
	$(Q)tools/bench --build $(B) $(BENCH)
.PHONY: bench

# Written from the same variables as the compile rule, so that editors and clang-tidy see the real flags.
compile_commands.json: $(B)/flags $(lib_src) $(unit_src) $(fuzz_src)
	@{ echo '['; sep=; for f in $(lib_src) vmm/main.c $(unit_src) $(fuzz_src); do \
		printf '%s{"directory":"%s","file":"%s","command":"%s -c %s"}\n' "$$sep" '$(CURDIR)' "$$f" \
		'$(CC) $(all_cflags)' "$$f"; sep=,; done; echo ']'; } > $@

check-cli: $(B)/pinvm guests ## the program with bad and good input
	$(Q)RUN='$(RUN)' tests/cli/run $(B)/pinvm $(B)/guest

# Static, because that lab's host has no libraries.
ifeq ($(HOST_ARCH),arm64)
arm64_pinvm := build/static/pinvm
arm64_make = $(MAKE) --no-print-directory $(jobs) STATIC=1 $(arm64_pinvm) guests
else
arm64_pinvm := build/arm64/pinvm
arm64_make = $(MAKE) --no-print-directory $(jobs) ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- $(arm64_pinvm) guests
endif
check-arm64: ## stock arm64 guests on an arm64 host in QEMU, cross built; one short test a feature
	$(Q)if command -v aarch64-linux-gnu-gcc >/dev/null; then $(arm64_make); fi
	$(Q)tests/lab/arm64/run --quick --pinvm $(arm64_pinvm)

lab-arm64: ## all of those, on hosts with and without VHE, GICv3 and GICv2, SVE and pointer authentication
	$(Q)$(arm64_make)
	$(Q)tests/lab/arm64/run --pinvm $(arm64_pinvm)
.PHONY: check-arm64 lab-arm64

# Every target check-TIER is a tier, in the order of this file.
tiers := $(shell sed -n 's/^check-\([a-z0-9]*\):.*/\1/p' Makefile)
check: ## unit tests, corpora, bare-metal guests, some stock ones: up to 15 minutes
	$(Q)tools/setup build check arm64
	$(Q)$(MAKE) --no-print-directory $(jobs) all guests $(unit_bin) $(FUZZ:%=$(B)/fuzz/%)
	$(Q)MAKE="$(MAKE)" tools/check $(tiers)

.PHONY: demo
demo: ## boot a stock Linux guest and check what it saw; ARCH=arm64; KERNEL=FILE and INITRD=FILE for other distributions
	$(Q)tools/demo $(if $(cross),--arch $(ARCH)) $(if $(KERNEL),--kernel '$(KERNEL)') $(if $(INITRD),--initrd '$(INITRD)')

format: ## rewrite C files as .clang-format says
	clang-format -i $(shell git ls-files '*.c' '*.h')

lint: all ## clang-tidy, cppcheck, shellcheck
	$(Q)tools/lint

clean: ## remove build/
	rm -rf build compile_commands.json

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'
	@echo
	@echo '  SAN=asan|ubsan|tsan, CC=clang, STATIC=1 and ARCH= with CROSS_COMPILE= build in directories of their own'
	@echo '  below build/. WERROR=0 lets warnings pass, V=1 shows commands, PREFIX= and DESTDIR= say where to install.'

.PHONY: all check check-unit check-corpus check-model check-guest check-tsan tsan-run fuzz fuzz-run guests format lint clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:
# Only of files that are still there: a source that moved must not haunt the build.
-include $(patsubst %.c,$(B)/obj/%.d,$(lib_src) vmm/main.c $(unit_src) $(filter-out $(unit_src),$(wildcard tests/unit/*.c)) $(fuzz_src))
-include $(wildcard $(B)/obj/tests/fuzz/*.d $(B)/obj/tests/fuzz/*/*.d $(B)/obj/arch/*/*.d $(B)/obj/tests/bench/*.d $(B)/obj/tests/bench/*/*.d $(B)/guest/*.d $(B)/guest/lib/*.d)
