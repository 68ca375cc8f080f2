// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of the kernel per registration: by how much 100,000 of them lessen the pages that are free.
 * That has slabs, tables and what they waste in it.
 */
#include <sys/sysinfo.h>

#include "timers.h"

#define NUM	100000

/* Pages that a processor keeps for itself do not count as free: it is to keep few. */
#define KEEP	"/proc/sys/vm/percpu_pagelist_high_fraction"

static int fd[NUM];
static const struct timers *timers;

static uint64_t free_bytes(void)
{
	struct sysinfo s;

	/* What processes before this one gave up late is free then. */
	usleep(500000);
	need(!sysinfo(&s), "sysinfo");
	return (uint64_t)s.freeram * s.mem_unit;
}

static void files(void)
{
	uint64_t before;

	open_eventfds(fd, NUM);
	peer->open(NUM);
	peer->add(fd, 0, BATCH);
	before = free_bytes();
	begin_counting();
	peer->add(fd + BATCH, BATCH, NUM - BATCH);
	report("memory-fd", peer->name, NUM - BATCH, "bytes",
	       (double)(before - free_bytes()) / (NUM - BATCH));
}

static void armed(void)
{
	unsigned int i, num = NUM / BATCH * BATCH;
	uint64_t before;

	timers->open(NUM);
	timers->arm(0, BATCH, HOUR);
	before = free_bytes();
	begin_counting();
	for (i = BATCH; i < num; i += BATCH)
		timers->arm(i, BATCH, HOUR);
	report("memory-timer", timers->name, num - BATCH, "bytes",
	       (double)(before - free_bytes()) / (num - BATCH));
}

void memory_workloads(void)
{
	static const struct peer *const peers[] = { &kevent_ring, &epoll_et, &uring_defer };
	FILE *f = fopen(KEEP, "w");
	unsigned int i;

	need(f && fprintf(f, "1000000\n") > 0 && !fclose(f), KEEP);
	for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		peer = peers[i];
		in_child(files);
	}
	for (timers = all_timers; timers->name; timers++)
		in_child(armed);
}
