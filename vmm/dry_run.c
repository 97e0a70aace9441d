// SPDX-License-Identifier: Apache-2.0
/* The plan of a guest that is not started; see dry_run.h. Main. */
#include "vmm/dry_run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/cgroup/cgroup.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/log.h"
#include "vmm/memory/plan.h"
#include "vmm/options/options.h"
#include "vmm/place/place.h"
#include "vmm/vm.h"

static int print_threads(const struct guest_config *cfg)
{
	struct place place;
	char line[1024];
	int err = place_plan(&place, cfg);

	if (err)
		return err;
	place_head(line, sizeof(line), false);
	printf("\n%s\n", line);
	for (unsigned i = 0; i < place.n; i++) {
		place_line(&place.row[i], false, line, sizeof(line));
		puts(line);
	}
	place_free(&place);
	return 0;
}

static int print_memory(const struct guest_config *cfg)
{
	struct mem_plan memory;
	char line[1024];
	int err = mem_plan(&memory, cfg, "");

	if (err)
		return err;
	mem_plan_head(line, sizeof(line), false);
	printf("\n%s\n", line);
	for (unsigned i = 0; i < memory.n; i++) {
		mem_plan_line(&memory, i, false, line, sizeof(line));
		puts(line);
	}
	return 0;
}

/* Is there a KVM that answers? 0 or -errno. */
static int find_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), err = 0;

	if (fd < 0 || ioctl(fd, KVM_GET_API_VERSION, 0) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* The questions that the start asks before there is a VM. */
static int ask_kvm(const struct guest_config *cfg)
{
	struct guest_mem none = {0};
	int err = find_kvm();
	struct vm vm;

	if (err) {
		log_warn("--dry-run: /dev/kvm: %s; not checked: what only KVM knows of --cpus, --memory, "
			 "--irqchip, %s--pmu, --kvm, --profile and --halt-poll",
			strerror(-err), !strcmp(arch_name(), "x86") ? "--exits, " : "");
		return 0;
	}
	err = vm_init(&vm, cfg, &none);
	if (err)
		return err;
	err = arch_vm_check(&vm, cfg);
	if (!err)
		err = haltpoll_check(&vm);
	vm_exit(&vm);
	return err;
}

int dry_run(const struct guest_config *cfg)
{
	int err;

	options_print(stdout, cfg);
	err = print_threads(cfg);
	if (!err)
		err = print_memory(cfg);
	if (!err)
		err = cgroup_print_plan(stdout, cfg);
	return err ? err : ask_kvm(cfg);
}
