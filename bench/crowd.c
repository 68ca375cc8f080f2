// SPDX-License-Identifier: GPL-2.0
/*
 * Four producers fire 16 eventfds each, and one or four consumers take what fired. An eventfd fires
 * again once its event was handled, so each is counted. Consumers would rather sleep a little longer
 * than for a single event: kevent and io_uring can be told so. Without consumers it is what the
 * producers alone need, which no way of being told can be faster than.
 */
#include <pthread.h>
#include <sched.h>

#include "bench.h"

#define EVENTS		100000
#define PRODUCERS	4
#define EACH		16
#define YIELDS		2
#define SOURCES		(PRODUCERS * EACH)

/* The last one ends the consumers. */
static int fd[SOURCES + 1];
static struct {
	uint32_t busy;
	char apart[60];
} source[SOURCES];
static unsigned int consumers, handled;
static pthread_barrier_t ready;

static void *produce(void *arg)
{
	unsigned int first = EACH * (unsigned int)(uintptr_t)arg, alone = 0, i;

	while (__atomic_load_n(&handled, __ATOMIC_RELAXED) < EVENTS) {
		bool idle = true;

		for (i = first; i < first + EACH; i++) {
			if (__atomic_load_n(&source[i].busy, __ATOMIC_ACQUIRE))
				continue;
			idle = false;
			__atomic_store_n(&source[i].busy, consumers != 0, __ATOMIC_RELAXED);
			fire(fd[i]);
			alone++;
		}
		if (!consumers) {
			__atomic_fetch_add(&handled, alone, __ATOMIC_RELAXED);
			alone = 0;
		}
		if (idle)
			sched_yield();
	}
	return NULL;
}

static void *consume(void *arg)
{
	unsigned int known[BATCH], tries, i, n, sum;

	if (!arg) {
		peer->open(SOURCES + 1);
		peer->add(fd, 0, SOURCES + 1);
	}
	pthread_barrier_wait(&ready);
	for (;;) {
		/* Cheaper than to sleep is to let those run who fire. */
		for (tries = YIELDS; !(n = peer->wait(known, BATCH, NEVER)) && tries; tries--)
			sched_yield();
		if (!n)
			n = peer->wait(known, BATCH, FOR_MORE);
		for (i = 0; i < n; i++) {
			if (known[i] == SOURCES)
				return NULL;
			__atomic_store_n(&source[known[i]].busy, 0, __ATOMIC_RELEASE);
		}
		sum = __atomic_add_fetch(&handled, n, __ATOMIC_RELAXED);
		if (sum >= EVENTS) {
			/* Whoever sleeps is woken one after the other. */
			fire(fd[SOURCES]);
			return NULL;
		}
	}
}

static void work(void)
{
	pthread_t producer[PRODUCERS], consumer[PRODUCERS];
	char name[32];
	uint64_t begin;
	unsigned int i;

	open_eventfds(fd, SOURCES + 1);
	pthread_barrier_init(&ready, NULL, consumers + 1);
	for (i = 0; i < consumers; i++)
		need(!pthread_create(&consumer[i], NULL, consume, (void *)(uintptr_t)i), "thread");
	pthread_barrier_wait(&ready);
	begin_counting();
	begin = now();
	for (i = 0; i < PRODUCERS; i++)
		need(!pthread_create(&producer[i], NULL, produce, (void *)(uintptr_t)i), "thread");
	for (i = 0; i < PRODUCERS; i++)
		pthread_join(producer[i], NULL);
	snprintf(name, sizeof(name), "crowd-4x%u", consumers);
	report(name, consumers ? peer->name : "none", EVENTS, NULL, (double)(now() - begin) / EVENTS);
}

static void all(void)
{
	/* Once a round: it is the same with every peer. */
	consumers = 0;
	if (peer == &kevent_ring)
		in_child(work);
	consumers = 1;
	in_child(work);
	/* A ring of io_uring has one consumer. */
	consumers = 4;
	if (peer != &uring && peer != &uring_defer)
		in_child(work);
}

void crowd_workloads(void)
{
	rounds(all);
}
