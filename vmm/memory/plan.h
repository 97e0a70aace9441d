/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guest RAM is to be made of, decided and checked against this host before anything is created; and, after
 * mem_create(), what the kernel says it is made of. The memory half of what vmm/place/place.h is for threads. Main.
 */
#ifndef PINVM_MEMORY_PLAN_H
#define PINVM_MEMORY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/config.h"
#include "vmm/memory/nodes.h"
#include "vmm/memory/numa.h"

enum mem_pages {
	MEM_PAGES_DEFAULT, /* ordinary memory as the kernel gives it */
	MEM_PAGES_SMALL,   /* no transparent huge pages */
	MEM_PAGES_THP,	   /* transparent huge pages wanted */
	MEM_PAGES_HUGETLB, /* from the pool of a page size, or of a mount */
};

/* A piece of guest RAM with one wish. Adjacent pieces of a region lie side by side in the host. */
#define MEM_HOST_NODES CPU_SETSIZE

struct mem_block {
	uint64_t gpa, size; /* bytes */
	unsigned guest_node;
	enum mem_policy policy;
	node_set nodes;
	const char *nodes_why; /* the list as typed, NULL: no wish */
	bool from_numa;	       /* it was typed in --numa, not in --memory */

	/* Read back by mem_prove(), and by mem_look() at the end. */
	bool proven;
	enum mem_policy actual_policy;
	node_set actual_nodes;	/* of the policy */
	uint64_t actual_page;	/* bytes */
	uint64_t huge;		/* bytes that lie on transparent huge pages */
	uint64_t huge_room;	/* bytes that could: whole huge pages inside of the block */
	uint64_t locked;	/* bytes */
	uint64_t checked;	/* bytes whose node was asked for; what follows is of these */
	uint64_t present;	/* bytes that are there */
	node_set on;		/* nodes that hold some of them */
	uint64_t on_node[MEM_HOST_NODES]; /* bytes */
	uint64_t misplaced;		  /* bytes on nodes that the policy rules out */
};

struct mem_plan {
	const struct guest_config *cfg;
	enum mem_pages pages;
	uint64_t page;	 /* bytes: the size of the pages it is made of; ordinary memory: 4K */
	const char *dir; /* hugetlbfs directory, NULL: none */
	bool shared, prealloc, lock;
	struct guest_nodes guest;

	/* After mem_create(). */
	uint64_t filled, fill_ns; /* preallocated bytes, and how long it took */
	unsigned fill_threads;

	unsigned n;
	struct mem_block block[NODES_MAX_RANGES]; /* last, and large: those beyond n are never touched */
};

/* --memory hugepages=TEXT. NULL, or why not, in words that follow the option and its value. Pure. */
const char *mem_parse_hugepages(const char *text, enum mem_pages *pages, uint64_t *size);

/*
 * Make the plan and check that this host can keep it: pages of the size, per node and in the hugetlb cgroup; nodes that
 * exist and are allowed; transparent huge pages switched on; limits on locking. Creates nothing. root: numa.h.
 * 0, or -errno after one logged line.
 */
int mem_plan(struct mem_plan *plan, const struct guest_config *cfg, const char *root);


/* Whether any block has a wish for nodes. Pure. */
bool mem_is_bound(const struct mem_plan *plan);
/* The option a block's nodes were typed in, up to its equals sign. Pure. */
const char *mem_nodes_option(const struct mem_block *b);

/* What RAM is mapped from: "anonymous", "memfd", "hugetlb", "hugetlb memfd", "hugetlbfs". */
const char *mem_plan_backing(const struct mem_plan *plan);
/* "bind:0-1", "any" for no policy. */
void mem_format_policy(enum mem_policy policy, const node_set *nodes, char *out, size_t n);
/* The table as lines of text, as place_head() and place_line(). */
void mem_plan_head(char *line, size_t n, bool with_actual);
void mem_plan_line(const struct mem_plan *plan, unsigned block, bool with_actual, char *line, size_t n);

#endif
