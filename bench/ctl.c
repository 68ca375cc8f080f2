// SPDX-License-Identifier: GPL-2.0
/* Registration and removal of eventfds, 64 at a time. */
#include "bench.h"

#define EVENTS	20480

static int fd[BATCH];

static void set_up(void)
{
	open_eventfds(fd, BATCH);
	peer->open(BATCH);
}

static void add(unsigned int events)
{
	for (; events; events -= BATCH) {
		count_from_here();
		peer->add(fd, 0, BATCH);
		count_to_here();
		peer->del(fd, 0, BATCH);
	}
}

static void del(unsigned int events)
{
	for (; events; events -= BATCH) {
		peer->add(fd, 0, BATCH);
		count_from_here();
		peer->del(fd, 0, BATCH);
		count_to_here();
	}
}

void ctl_workloads(void)
{
	static const struct peer *const peers[] = {
		&kevent_ring, &epoll_et, &uring, &uring_defer,
	};
	unsigned int i;

	for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		peer = peers[i];
		measure("ctl-add", peer->name, EVENTS, set_up, add);
		measure("ctl-del", peer->name, EVENTS, set_up, del);
	}
}
