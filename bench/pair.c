// SPDX-License-Identifier: GPL-2.0
/* Ping-pong: a consumer sleeps on one processor, and is woken by another, which waits for its answer. */
#include <pthread.h>

#include "bench.h"

#define EVENTS	20000

static int ping, pong;
static pthread_barrier_t ready;

static void *consume(void *arg)
{
	unsigned int known, left = EVENTS;

	(void)arg;
	run_on(1);
	peer->open(1);
	peer->add(&ping, 0, 1);
	pthread_barrier_wait(&ready);
	for (; left; left--) {
		need(peer->wait(&known, 1, false) == 1 && known == 0, "another source");
		fire(pong);
	}
	return NULL;
}

static void play(void)
{
	uint64_t begin, n;
	unsigned int left;
	pthread_t thread;

	open_eventfds(&ping, 1);
	open_eventfds(&pong, 1);
	run_on(0);
	pthread_barrier_init(&ready, NULL, 2);
	need(!pthread_create(&thread, NULL, consume, NULL), "pthread_create");
	pthread_barrier_wait(&ready);
	begin_counting();
	begin = now();
	for (left = EVENTS; left; left--) {
		fire(ping);
		need(read(pong, &n, sizeof(n)) == sizeof(n), "read");
	}
	report("pair", peer->name, EVENTS, NULL, (double)(now() - begin) / EVENTS);
	pthread_join(thread, NULL);
}

static void both(void)
{
	in_child(play);
}

void pair_workloads(void)
{
	rounds(both);
}
