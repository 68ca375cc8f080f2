// SPDX-License-Identifier: GPL-2.0
/* One event of each peer, between two calls of mark(), for who counts locked instructions. */
#include "bench.h"

#define WARM	8

static int fd[1];

__attribute__((noinline)) void mark(void)
{
	__asm__ volatile("" ::: "memory");
}

static void alone(void)
{
	unsigned int i;

	open_eventfds(fd, 1);
	for (i = 0; i < WARM; i++)
		fire(fd[0]);
	mark();
	fire(fd[0]);
	mark();
}

static void told(void)
{
	unsigned int i;

	open_eventfds(fd, 1);
	peer->open(1);
	peer->add(fd, 0, 1);
	for (i = 0; i < WARM; i++) {
		fire(fd[0]);
		peer->take(0, 1);
	}
	mark();
	fire(fd[0]);
	peer->take(0, 1);
	mark();
}

void step_workloads(void)
{
	static const struct peer *const peers[] = {
		&kevent_ring, &kevent_get, &epoll_et, &uring, &uring_defer,
	};
	unsigned int i;

	in_child(alone);
	for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		peer = peers[i];
		in_child(told);
	}
}
