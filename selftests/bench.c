// SPDX-License-Identifier: GPL-2.0
/*
 * kevent against epoll, in one boot, for the same work: one of 64 sources fires, and the thread is
 * told and takes it; either one by one, or 64 fired and then taken.
 *
 * With KEVENT_ICOUNT=1 the machine's clock is known to advance by 1 ns per instruction (QEMU:
 * -icount shift=0,sleep=off), and what is measured is called so. Totals are reported: the loop
 * around, the wrappers and the counting of system calls are in both columns.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "kevent.h"

#define SOURCES	64
#define SLOTS	128
#define WARM	2048
#define EVENTS	20032	/* whole rounds of 64 */

static uint64_t calls;	/* every system call of the measured loops */

static int efd[SOURCES], epfd;
static struct epoll_event told[SOURCES];

static struct kevent_consumer c;
static struct ukevent batch[SOURCES];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void write_one(int source)
{
	static const uint64_t one = 1;

	calls++;
	if (write(efd[source], &one, sizeof(one)) != sizeof(one))
		fail("write");
}

static void epoll_take(int first, int num)
{
	int i;

	calls++;
	if (epoll_wait(epfd, told, num, 0) != num)
		fail("epoll_wait");
	for (i = 0; i < num; i++)
		if (told[i].data.u64 != (uint64_t)(first + i))
			fail("epoll: another source");
}

static void ready(int first, int num)
{
	calls++;
	if (kevent_ctl(c.fd, KEVENT_CTL_READY, num, &batch[first]) != num)
		fail("kevent_ctl");
}

static void ring_take(int first, int num)
{
	struct ukevent *ev;
	int i;

	for (i = 0; i < num; i++) {
		ev = kevent_ring_take(&c);
		if (!ev || ev->user != (uint64_t)(first + i))
			fail("kevent: another source");
		kevent_ring_finish(&c, ev);
	}
}

static void write_only(int events)
{
	while (events--)
		write_one(events % SOURCES);
}

static void epoll_one(int events)
{
	int i;

	for (i = 0; i < events; i++) {
		write_one(i % SOURCES);
		epoll_take(i % SOURCES, 1);
	}
}

static void kevent_one(int events)
{
	int i;

	for (i = 0; i < events; i++) {
		ready(i % SOURCES, 1);
		ring_take(i % SOURCES, 1);
	}
}

static void epoll_batch(int events)
{
	int i;

	for (; events; events -= SOURCES) {
		for (i = 0; i < SOURCES; i++)
			write_one(i);
		epoll_take(0, SOURCES);
	}
}

static void kevent_batch(int events)
{
	for (; events; events -= SOURCES) {
		ready(0, SOURCES);
		ring_take(0, SOURCES);
	}
}

struct cost {
	double calls;		/* per event */
	double time;		/* ns, or instructions */
};

static struct cost measure(void (*work)(int events))
{
	uint64_t begin, end;

	work(WARM);
	calls = 0;
	begin = now();
	work(EVENTS);
	end = now();
	return (struct cost){
		.calls = (double)calls / EVENTS,
		.time = (double)(end - begin) / EVENTS,
	};
}

static void set_up_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int i;

	epfd = epoll_create1(0);
	if (epfd < 0)
		fail("epoll_create1");
	for (i = 0; i < SOURCES; i++) {
		ev.data.u64 = i;
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, efd[i], &ev))
			fail("epoll_ctl");
	}
	/* They count something already; that is not part of the work. */
	if (epoll_wait(epfd, told, SOURCES, 0) != SOURCES)
		fail("epoll_wait");
}

static void set_up_kevent(void)
{
	int i;

	if (kevent_ring_open(&c, SLOTS, 0, 1))
		fail("kevent_ring_open");
	for (i = 0; i < SOURCES; i++)
		batch[i] = (struct ukevent){
			.id = i,
			.type = KEVENT_USER,
			.event = 1,
			.user = i,
		};
	if (kevent_ctl(c.fd, KEVENT_CTL_ADD, SOURCES, batch) != SOURCES)
		fail("kevent_ctl");
	for (i = 0; i < SOURCES; i++)
		batch[i].data = 1;
}

static void report(const char *name, const char *what, struct cost cost, const char *unit)
{
	printf("%-12s %-28s %6.2f calls %10.2f %s\n", name, what, cost.calls, cost.time, unit);
}

static void machine_line(const char *name, struct cost kevent, struct cost epoll,
			 const char *unit)
{
	printf("BENCH case=%s events=%d", name, EVENTS);
	printf(" kevent_syscalls=%.2f kevent_%s=%.2f", kevent.calls, unit, kevent.time);
	printf(" epoll_syscalls=%.2f epoll_%s=%.2f\n", epoll.calls, unit, epoll.time);
}

int main(void)
{
	const char *icount = getenv("KEVENT_ICOUNT");
	const char *unit = icount && !strcmp(icount, "1") ? "instructions" : "ns";
	struct cost unwatched, epoll[2], kevent[2];
	int i;

	for (i = 0; i < SOURCES; i++) {
		efd[i] = eventfd(0, 0);
		if (efd[i] < 0)
			fail("eventfd");
	}
	unwatched = measure(write_only);
	set_up_epoll();
	epoll[0] = measure(epoll_one);
	epoll[1] = measure(epoll_batch);
	set_up_kevent();
	kevent[0] = measure(kevent_one);
	kevent[1] = measure(kevent_batch);

	printf("per event, %d events:\n", EVENTS);
	report("eventfd", "write, nobody watches", unwatched, unit);
	report("epoll", "one by one", epoll[0], unit);
	report("kevent", "one by one", kevent[0], unit);
	report("epoll", "64 fired, then taken", epoll[1], unit);
	report("kevent", "64 fired, then taken", kevent[1], unit);
	machine_line("one", kevent[0], epoll[0], unit);
	machine_line("batch", kevent[1], epoll[1], unit);
	return 0;
}
