// SPDX-License-Identifier: GPL-2.0
/*
 * Ping-pong: a consumer sleeps on one processor, and is woken by another, which waits for its answer;
 * or both are on the same one.
 */
#include <pthread.h>
#include <sys/sysinfo.h>

#include "bench.h"

static const char *workload;
static unsigned int events;
static int ping, pong;
static pthread_barrier_t ready;

static void *consume(void *arg)
{
	unsigned int known, left = events;

	(void)arg;
	run_on(get_nprocs() - 1);
	peer->open(1);
	peer->add(&ping, 0, 1);
	pthread_barrier_wait(&ready);
	for (; left; left--) {
		need(peer->wait(&known, 1, FOR_ONE) == 1 && known == 0, "another source");
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
	for (left = events; left; left--) {
		fire(ping);
		need(read(pong, &n, sizeof(n)) == sizeof(n), "read");
	}
	report(workload, peer->name, events, NULL, (double)(now() - begin) / events);
	pthread_join(thread, NULL);
}

static void both(void)
{
	settle();
	in_child(play);
}

void pair_workloads(void)
{
	workload = "pair";
	events = 20000;
	rounds(both);
}

void asleep_workloads(void)
{
	workload = "asleep";
	events = 2000;
	rounds(both);
}
