// SPDX-License-Identifier: GPL-2.0
/* 64 eventfds: one fires and is taken, all fire and are taken, one fires 64 times. */
#include "bench.h"

#define EVENTS	20480

static int fd[BATCH];

static void drain(unsigned int i)
{
	uint64_t n;

	calls++;
	need(read(fd[i], &n, sizeof(n)) == sizeof(n), "read");
}

static void open_fds(void)
{
	open_eventfds(fd, BATCH);
}

static void watch(void)
{
	open_fds();
	peer->open(BATCH);
	peer->add(fd, 0, BATCH);
}

static void one_alone(unsigned int events)
{
	while (events--)
		fire(fd[events % BATCH]);
}

static void one(unsigned int events)
{
	unsigned int i;

	for (i = 0; i < events; i++) {
		fire(fd[i % BATCH]);
		peer->take(i % BATCH, 1);
		if (peer->level)
			drain(i % BATCH);
	}
}

static void batch_alone(unsigned int events)
{
	unsigned int i;

	for (; events; events -= BATCH)
		for (i = 0; i < BATCH; i++)
			fire(fd[i]);
}

static void batch(unsigned int events)
{
	unsigned int i;

	for (; events; events -= BATCH) {
		for (i = 0; i < BATCH; i++)
			fire(fd[i]);
		peer->take(0, BATCH);
		for (i = 0; peer->level && i < BATCH; i++)
			drain(i);
	}
}

static void storm_alone(unsigned int events)
{
	unsigned int i;

	for (; events; events -= BATCH)
		for (i = 0; i < BATCH; i++)
			fire(fd[0]);
}

/* A default io_uring completes each time that the one source fires. */
static void storm(unsigned int events)
{
	unsigned int i, told = peer == &uring ? BATCH : 1;

	for (; events; events -= BATCH) {
		for (i = 0; i < BATCH; i++)
			fire(fd[0]);
		for (i = 0; i < told; i++)
			peer->take(0, 1);
		if (peer->level)
			drain(0);
	}
}

void eventfd_workloads(void)
{
	static const struct peer *const peers[] = {
		&kevent_ring, &kevent_get, &epoll_et, &epoll_lt, &uring, &uring_defer,
	};
	unsigned int i;

	measure("eventfd-one", "none", EVENTS, open_fds, one_alone);
	measure("eventfd-batch", "none", EVENTS, open_fds, batch_alone);
	measure("eventfd-storm", "none", EVENTS, open_fds, storm_alone);
	for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		peer = peers[i];
		measure("eventfd-one", peer->name, EVENTS, watch, one);
		measure("eventfd-batch", peer->name, EVENTS, watch, batch);
		measure("eventfd-storm", peer->name, EVENTS, watch, storm);
	}
}
