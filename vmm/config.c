// SPDX-License-Identifier: Apache-2.0
/* A guest's configuration: defaults and release by the options table, and the rules that bind options
 * together. Main. */
#include "vmm/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/log.h"
#include "vmm/memory/nodes.h"
#include "vmm/options/table.h"
#include "vmm/options/values.h"
#include "vmm/util.h"

void config_defaults(struct guest_config *cfg)
{
	struct opt_key key;

	memset(cfg, 0, sizeof(*cfg));
	for (const struct opt_row *row = opt_table; row < opt_table + opt_rows; row++)
		if (!row->size && !(row->flags & OPT_OUTSIDE))
			for (unsigned i = 0; opt_key_at(row, i, &key); i++)
				opt_key_default(&key, cfg);
	if (asprintf(&cfg->name, "pinvm-%d", (int)getpid()) < 0)
		cfg->name = NULL;
}

static void free_row(const struct opt_row *row, struct guest_config *cfg)
{
	struct opt_key key;

	for (unsigned e = 0; e < opt_elements(row, cfg); e++)
		for (unsigned i = 0; opt_key_at(row, i, &key); i++)
			opt_key_free(&key, opt_element(row, cfg, e));
	if (row->size)
		free(*(void **)((char *)cfg + row->value.at));
}

void config_free(struct guest_config *cfg)
{
	for (const struct opt_row *row = opt_table; row < opt_table + opt_rows; row++)
		if (!(row->flags & OPT_OUTSIDE))
			free_row(row, cfg);
	memset(cfg, 0, sizeof(*cfg));
}

/* sockets * cores * threads = count. What was not given: one thread, then all that is left in cores, then in
 * sockets. */
static int check_topology(struct cpu_config *cpus)
{
	uint64_t given = 1;

	given *= cpus->sockets ? cpus->sockets : 1;
	given *= cpus->cores ? cpus->cores : 1;
	given *= cpus->threads ? cpus->threads : 1;
	if (!cpus->count || cpus->count % given ||
		(cpus->sockets && cpus->cores && cpus->threads && given != cpus->count)) {
		log_err("--cpus %u: %u sockets of %u cores of %u threads do not make %u vCPUs; the product "
			"must be equal",
			cpus->count, cpus->sockets ? cpus->sockets : 1, cpus->cores ? cpus->cores : 1,
			cpus->threads ? cpus->threads : 1, cpus->count);
		return -EINVAL;
	}
	if (!cpus->cores)
		cpus->cores = cpus->count / given;
	else if (!cpus->sockets)
		cpus->sockets = cpus->count / given;
	else if (!cpus->threads)
		cpus->threads = cpus->count / given;
	cpus->threads = cpus->threads ? cpus->threads : 1;
	cpus->sockets = cpus->sockets ? cpus->sockets : 1;
	return 0;
}

/* A policy is one of nodes. */
static int check_policy(const struct guest_config *cfg)
{
	bool bound = cfg->memory.host_node;

	for (unsigned i = 0; i < cfg->nnumas; i++)
		bound = bound || cfg->numas[i].host_node;
	if (!cfg->memory.policy || bound)
		return 0;
	log_err("--memory policy: of which nodes? Add host-node=LIST");
	return -EINVAL;
}

static bool iothread_exists(const struct guest_config *cfg, const char *name, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(cfg->iothreads[i].name, name))
			return true;
	return !strcmp(name, "main");
}

int config_vcpu_of(const char *name)
{
	unsigned n = 0;
	char same[16];

	if (!name || sscanf(name, "vcpu%5u", &n) != 1)
		return -1;
	snprintf(same, sizeof(same), "vcpu%u", n);
	return strcmp(same, name) ? -1 : (int)n;
}

bool config_vcpu_serves(const struct guest_config *cfg, unsigned vcpu)
{
	char name[16];

	for (unsigned i = 0; i < cfg->ndisks; i++)
		if (config_vcpu_of(cfg->disks[i].iothread) == (int)vcpu)
			return true;
	for (unsigned i = 0; i < cfg->nnets; i++)
		for (unsigned j = 0; cfg->nets[i].iothread && !value_name_at(cfg->nets[i].iothread, j, name, sizeof(name)) && *name; j++)
			if (config_vcpu_of(name) == (int)vcpu)
				return true;
	return false;
}

/* The vCPU's thread, named where an iothread could be. what: the option, as far as its key. */
static int check_vcpu_serves(const struct guest_config *cfg, const char *what, const char *of, const char *name)
{
	int vcpu = config_vcpu_of(name);

	if (vcpu < 0 || (unsigned)vcpu >= cfg->cpus.count)
		log_err("%s%s iothread=%s: no such vCPU; --cpus %u has vcpu0%s%.0u", what, of, name, cfg->cpus.count,
			cfg->cpus.count > 1 ? " to vcpu" : "", cfg->cpus.count - 1); /* of one: nothing */
	else if (cfg->transport == TRANSPORT_MMIO)
		log_err("%s%s iothread=%s: not with --transport mmio: a driver resets its device there by one write, which would "
			"wait for requests that this vCPU has yet to finish", what, of, name);
	else if (cfg->io_engine == IO_PLAIN)
		log_err("%s%s iothread=%s: a vCPU's thread serves with io_uring only; not with --io-engine plain", what, of, name);
	else
		return 0;
	return -EINVAL;
}

/* Where an iothread's name stands. what, of: as above; value: the whole of it. */
static int check_serves(const struct guest_config *cfg, const char *what, const char *of, const char *value, const char *name)
{
	char vcpu[16];

	if (!strncmp(name, "vcpu", 4))
		return check_vcpu_serves(cfg, what, of, name);
	if (iothread_exists(cfg, name, cfg->niothreads))
		return 0;
	snprintf(vcpu, sizeof(vcpu), "vcpu%.10s", strncasecmp(name, "vcpu", 4) ? "" : name + 4);
	if (config_vcpu_of(vcpu) >= 0)
		log_err("%s%s iothread=%s: no iothread %s; did you mean %s?", what, of, value, name, vcpu);
	else
		log_err("%s%s iothread=%s: no iothread %s; add --iothread %s", what, of, value, name, name);
	return -EINVAL;
}

static int check_net_iothreads(const struct guest_config *cfg, const struct net_config *net)
{
	char name[16] = "";
	unsigned i = 0;

	for (; net->iothread && !value_name_at(net->iothread, i, name, sizeof(name)) && *name; i++)
		if (check_serves(cfg, "--net", "", net->iothread, name))
			return -EINVAL;
	if (i <= net->pairs)
		return 0;
	log_err("--net iothread=%s: %u iothreads for pairs=%u", net->iothread, i, net->pairs);
	return -EINVAL;
}

/* The one that is always there: what was said of it has a place of its own. True: entry i was it. */
static bool take_main(struct guest_config *cfg, unsigned i)
{
	struct iothread_config *io = &cfg->iothreads[i];

	if (strcmp(io->name, "main") != 0)
		return false;
	cfg->main_iothread = *io;
	cfg->main_iothread.name = NULL;
	free(io->name);
	memmove(io, io + 1, (--cfg->niothreads - i) * sizeof(*io));
	return true;
}

static int check_polling(const struct iothread_config *io)
{
	if (!io->poll_weight || io->poll_max_ns)
		return 0;
	log_err("--iothread %s,poll-weight=%u: does nothing without poll-max=TIME", io->name, io->poll_weight);
	return -EINVAL;
}

static int check_iothreads(struct guest_config *cfg)
{
	bool main_named = false;

	for (unsigned i = 0; i < cfg->niothreads; i++) {
		const char *name = cfg->iothreads[i].name;

		if (check_polling(&cfg->iothreads[i]))
			return -EINVAL;

		if (!strncmp(name, "vcpu", 4)) {
			log_err("--iothread %s: names that start with vcpu mean vCPU threads; choose another",
				name);
			return -EINVAL;
		}
		if (strcmp(name, "main") ? iothread_exists(cfg, name, i) : main_named) {
			log_err("--iothread %s: named twice", name);
			return -EINVAL;
		}
		if (!strcmp(name, "main") && !cfg->iothreads[i].poll_max_ns) {
			log_err("--iothread main: it exists without being named; leave the option out, or add poll-max=TIME");
			return -EINVAL;
		}
		if (take_main(cfg, i)) {
			main_named = true;
			i--;
		}
	}
	for (unsigned i = 0; i < cfg->nnets; i++)
		if (check_net_iothreads(cfg, &cfg->nets[i]))
			return -EINVAL;
	for (unsigned i = 0; i < cfg->ndisks; i++) {
		const char *name = cfg->disks[i].iothread;

		if (name && check_serves(cfg, "--disk ", cfg->disks[i].path, name, name))
			return -EINVAL;
	}
	return 0;
}

/* Who typed no size gets what the nodes need. */
static int check_memory(struct guest_config *cfg)
{
	uint64_t nodes, page = sysconf(_SC_PAGESIZE); /* KVM maps no less */
	int ret = nodes_size(cfg, &nodes);

	if (ret)
		return ret;
	if (!cfg->memory.size)
		cfg->memory.size = nodes ? nodes : CONFIG_MEMORY_DEFAULT;
	if (cfg->memory.size % page) {
		log_err("--memory: must be a multiple of %lluK", (unsigned long long)page >> 10);
		return -EINVAL;
	}
	return check_policy(cfg);
}

static int check_burst(const char *what, const char *which, const char *rate, bool limited, bool bursts)
{
	if (limited || !bursts)
		return 0;
	log_err("%s %s %s-burst: without a rate nothing is held back; add %s=", what, which, rate, rate);
	return -EINVAL;
}

/* By its name: other names of it are found by the lock on the file. */
static int check_image(const struct guest_config *cfg, const struct disk_config *disk)
{
	for (const struct disk_config *other = cfg->disks; other < disk; other++)
		if (!strcmp(other->path, disk->path) && !(other->ro && disk->ro)) {
			log_err("--disk %s: given twice, and one of them may write; add ro to both", disk->path);
			return -EINVAL;
		}
	return 0;
}

static int check_disk(const struct guest_config *cfg, const struct disk_config *disk)
{
	int ret;

	if (!disk->path) {
		log_err("--disk: needs a PATH");
		return -EINVAL;
	}
	ret = check_image(cfg, disk);
	if (!ret)
		ret = check_burst("--disk", disk->path, "bps", disk->bps, disk->bps_burst);
	return ret ? ret : check_burst("--disk", disk->path, "iops", disk->iops, disk->iops_burst);
}

static int check_mac(const struct guest_config *cfg, const struct net_config *net)
{
	static const uint8_t none[6];
	char text[MAC_TEXT];

	for (const struct net_config *other = cfg->nets; memcmp(net->mac, none, 6) != 0 && other < net; other++)
		if (!memcmp(other->mac, net->mac, 6)) {
			log_err("--net mac=%s: given twice; each device needs an address of its own", mac_text(net->mac, text));
			return -EINVAL;
		}
	return 0;
}

/* A descriptor for each pair, and for no other device. */
static int check_fds(const struct guest_config *cfg, const struct net_config *net)
{
	cpu_set_t fds, others;

	if (value_cpulist(net->fd, &fds, sizeof(fds)) || CPU_COUNT(&fds) != (int)net->pairs) {
		if (CPU_COUNT(&fds) > (int)net->pairs)
			log_err("--net fd=%s: a pair of queues for each descriptor: add pairs=%d", net->fd, CPU_COUNT(&fds));
		else
			log_err("--net fd=%s: pairs=%u needs as many descriptors", net->fd, net->pairs);
		return -EINVAL;
	}
	for (const struct net_config *other = cfg->nets; other < net; other++) {
		if (!other->fd || value_cpulist(other->fd, &others, sizeof(others)))
			continue;
		CPU_AND(&others, &others, &fds);
		if (CPU_COUNT(&others)) {
			log_err("--net fd=%s: given twice; each device needs descriptors of its own", net->fd);
			return -EINVAL;
		}
	}
	return 0;
}

static int check_net(const struct guest_config *cfg, const struct net_config *net)
{
	const char *which;
	int ret;

	if (!net->tap == !net->fd) {
		log_err("--net: %s", net->tap ? "tap= and fd= exclude each other" : "needs tap=NAME or fd=N");
		return -EINVAL;
	}
	for (const struct net_config *other = cfg->nets; net->tap && other < net; other++)
		if (other->tap && !strcmp(other->tap, net->tap)) {
			log_err("--net tap=%s: given twice; each device needs a tap of its own", net->tap);
			return -EINVAL;
		}
	ret = net->fd ? check_fds(cfg, net) : 0;
	if (ret)
		return ret;
	which = net->tap ? net->tap : net->fd;
	ret = check_mac(cfg, net);
	if (!ret)
		ret = check_burst("--net", which, "bps", net->bps, net->bps_burst);
	return ret ? ret : check_burst("--net", which, "pps", net->pps, net->pps_burst);
}

/* A vCPU that halts in this process halts neither in the guest nor in KVM. */
static int check_user_irqchip(const struct guest_config *cfg, const struct haltpoll_spec *poll)
{
	const char *what = poll->mode == HALTPOLL_VMM ? "--halt-poll vmm" : "--irqchip user";

	if (cfg->exits.hlt == TRI_OFF) {
		log_err("%s: not with --exits hlt=off, which lets the guest halt where nothing but an interrupt of "
			"KVM's own ends it",
			what);
		return -EINVAL;
	}
	if (cfg->pmu) {
		log_err("%s: not with --pmu on, whose interrupts need a local APIC in KVM", what);
		return -EINVAL;
	}
	if (poll->mode == HALTPOLL_FIXED || poll->mode == HALTPOLL_AUTO) {
		log_err("--halt-poll %s: not with --irqchip user, whose vCPUs do not halt in KVM: vmm is the mode that polls "
			"there",
			cfg->halt_poll.mode);
		return -EINVAL;
	}
	return 0;
}

/* An ITS takes MSIs, and nothing else. */
static int check_irqchip(const struct guest_config *cfg, const struct haltpoll_spec *poll)
{
	if (cfg->irqchip == IRQCHIP_USER)
		return check_user_irqchip(cfg, poll);
	if (cfg->irqchip != IRQCHIP_ITS || cfg->transport == TRANSPORT_PCI)
		return 0;
	log_err("--irqchip its: with --transport mmio no device sends MSIs, and an ITS is for nothing else; leave one of them "
		"out");
	return -EINVAL;
}

/* Is there a slot for every device? */
static int check_room(const struct guest_config *cfg)
{
	unsigned devices = cfg->ndisks + cfg->nnets + cfg->rng;

	if (cfg->transport == TRANSPORT_MMIO && devices > arch_mmio_slots()) {
		log_err("--transport mmio: %u devices are given; the board has pins for %u: give less, or use "
			"--transport pci",
			devices, arch_mmio_slots());
		return -EINVAL;
	}
	if (devices > CONFIG_MAX_DEVICES) {
		log_err("%s: %u are given; the PCI bus has room for %u%s",
			!cfg->nnets ? "--disk" : cfg->ndisks ? "--disk, --net" : "--net", cfg->ndisks + cfg->nnets,
			CONFIG_MAX_DEVICES - cfg->rng, cfg->rng ? " beside --rng" : "");
		return -EINVAL;
	}
	return 0;
}

/* Polling here needs vCPUs that halt here: they do, unless another controller was asked for. */
static int check_halt_poll(struct guest_config *cfg, struct haltpoll_spec *spec)
{
	const char *why = haltpoll_spec(&cfg->halt_poll, spec);

	if (!why && spec->mode == HALTPOLL_VMM && cfg->irqchip_given && cfg->irqchip != IRQCHIP_USER)
		why = "needs --irqchip user, which it implies: with others vCPUs halt in KVM";
	if (!why && cfg->exits.hlt == TRI_OFF && (spec->mode == HALTPOLL_FIXED || spec->mode == HALTPOLL_AUTO))
		why = "not with --exits hlt=off, with which the guest keeps the CPU when it halts: nothing is left to poll for";
	if (!why && spec->mode == HALTPOLL_VMM)
		cfg->irqchip = IRQCHIP_USER;
	if (!why)
		return 0;
	log_err("--halt-poll %s: %s", cfg->halt_poll.mode ? cfg->halt_poll.mode : "", why);
	return -EINVAL;
}

int config_check(struct guest_config *cfg)
{
	struct guest_nodes nodes;
	struct haltpoll_spec poll;
	int ret;

	if (!cfg->kernel) {
		log_err("no kernel given: name its file, as in `pinvm run vmlinuz`, or with --kernel FILE");
		return -EINVAL;
	}
	ret = check_memory(cfg);
	if (ret)
		return ret;
	ret = check_room(cfg);
	if (!ret)
		ret = check_halt_poll(cfg, &poll);
	if (!ret)
		ret = check_irqchip(cfg, &poll);
	if (ret)
		return ret;
	for (unsigned i = 0; i < cfg->ndisks; i++) {
		ret = check_disk(cfg, &cfg->disks[i]);
		if (ret)
			return ret;
	}
	for (unsigned i = 0; i < cfg->nnets; i++)
		if (check_net(cfg, &cfg->nets[i]))
			return -EINVAL;
	ret = check_topology(&cfg->cpus);
	if (!ret && cfg->nnumas) /* without, what can fail is this host's doing: mem_plan() */
		ret = guest_nodes(&nodes, cfg);
	return ret ? ret : check_iothreads(cfg);
}
