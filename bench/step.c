// SPDX-License-Identifier: GPL-2.0
/* What is stepped through, between two calls of mark(): in the order of scripts/src/bench/step.rs. */
#include <pthread.h>

#include "bench.h"
#include "timers.h"

#define WARM	8
#define FEW	8
#define MANY	32
#define MS	1000000

static const struct timers *timers = &all_timers[0];

static int fd[FEW];

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

/* Many fire, and are taken in one go. */
static void batched(void)
{
	static int many[MANY];
	unsigned int i, j;

	open_eventfds(many, MANY);
	peer->open(MANY);
	peer->add(many, 0, MANY);
	for (i = 0; i <= WARM; i++) {
		if (i == WARM)
			mark();
		for (j = 0; j < MANY; j++)
			fire(many[j]);
		peer->take(0, MANY);
	}
	mark();
}

static void *answer(void *arg)
{
	unsigned int known;

	for (;;) {
		peer->wait(&known, 1, FOR_ONE);
		fire(fd[1]);
	}
	return arg;
}

/* Who takes it sleeps on the same processor, and answers. */
static void asleep(void)
{
	pthread_t thread;
	unsigned int i;
	uint64_t n;

	open_eventfds(fd, 2);
	peer->open(1);
	peer->add(fd, 0, 1);
	need(!pthread_create(&thread, NULL, answer, NULL), "pthread_create");
	for (i = 0; i <= WARM; i++) {
		if (i == WARM)
			mark();
		fire(fd[0]);
		need(read(fd[1], &n, sizeof(n)) == sizeof(n), "read");
	}
	mark();
}

/* It fires though it has not been taken since it fired last. */
static void again(void)
{
	unsigned int i;

	open_eventfds(fd, 1);
	peer->open(1);
	peer->add(fd, 0, 1);
	for (i = 0; i < WARM; i++)
		fire(fd[0]);
	mark();
	fire(fd[0]);
	mark();
}

static void added(void)
{
	unsigned int i;

	open_eventfds(fd, FEW);
	peer->open(FEW);
	for (i = 0; i < WARM; i++) {
		peer->add(fd, 0, FEW);
		peer->del(fd, 0, FEW);
	}
	mark();
	peer->add(fd, 0, FEW);
	mark();
}

static void removed(void)
{
	unsigned int i;

	open_eventfds(fd, FEW);
	peer->open(FEW);
	for (i = 0; i < WARM; i++) {
		peer->add(fd, 0, FEW);
		peer->del(fd, 0, FEW);
	}
	peer->add(fd, 0, FEW);
	mark();
	peer->del(fd, 0, FEW);
	mark();
}

static void open_timers(void)
{
	unsigned int i;

	timers->open(FEW);
	for (i = 0; i < WARM; i++) {
		timers->arm(0, FEW, HOUR);
		timers->cancel(0, FEW);
	}
}

static void arm(void)
{
	open_timers();
	mark();
	timers->arm(0, FEW, HOUR);
	mark();
}

static void rearm(void)
{
	open_timers();
	timers->arm(0, FEW, HOUR);
	mark();
	timers->again(0, FEW, 2 * HOUR);
	mark();
}

static void cancel(void)
{
	open_timers();
	timers->arm(0, FEW, HOUR);
	mark();
	timers->cancel(0, FEW);
	mark();
}

/* An interrupt comes between the marks. */
static void expire(void)
{
	uint64_t moment;

	open_timers();
	moment = now() + MS;
	timers->at(0, FEW, moment);
	mark();
	while (now() < moment)
		;
	timers->take(FEW);
	mark();
}

void step_workloads(void)
{
	static const struct {
		const struct peer *peer;
		void (*work)(void);
	} all[] = {
		{ NULL, alone },
		{ &kevent_ring, told }, { &kevent_get, told }, { &epoll_et, told },
		{ &uring, told }, { &uring_defer, told },
		{ &kevent_get, batched }, { &epoll_et, batched },
		{ &kevent_ring, again }, { &epoll_et, again },
		{ &kevent_ring, asleep }, { &kevent_get, asleep }, { &epoll_et, asleep },
		{ &kevent_ring, added }, { &epoll_et, added },
		{ &kevent_ring, removed }, { &epoll_et, removed },
		{ NULL, arm }, { NULL, rearm }, { NULL, cancel }, { NULL, expire },
	};
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		peer = all[i].peer;
		in_child(all[i].work);
	}
}
