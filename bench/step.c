// SPDX-License-Identifier: GPL-2.0
/* What is stepped through, between two calls of mark(): in the order of scripts/src/bench/step.rs. */
#include "bench.h"
#include "timers.h"

#define WARM	8
#define FEW	8

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

static void arm(void)
{
	unsigned int i;

	all_timers[0].open(FEW);
	for (i = 0; i < WARM; i++) {
		all_timers[0].arm(0, FEW, HOUR);
		all_timers[0].cancel(0, FEW);
	}
	mark();
	all_timers[0].arm(0, FEW, HOUR);
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
		{ &kevent_ring, again }, { &epoll_et, again },
		{ &kevent_ring, added }, { &epoll_et, added },
		{ &kevent_ring, removed }, { &epoll_et, removed },
		{ NULL, arm },
	};
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		peer = all[i].peer;
		in_child(all[i].work);
	}
}
