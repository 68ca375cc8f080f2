// SPDX-License-Identifier: GPL-2.0
/* Timers beside 10,000 that are armed: to arm, to set anew and to cancel 64 of them. */
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "ring.h"

#define EVENTS	2560
#define ARMED	10000
#define HOUR	3600

/* How timers are had. A timer is known by its number. */
struct timers {
	const char *name;
	void (*open)(void);
	void (*arm)(unsigned int first, unsigned int num, unsigned int seconds);
	void (*again)(unsigned int first, unsigned int num, unsigned int seconds);
	void (*cancel)(unsigned int first, unsigned int num);
};

static const struct timers *timers;

/* kevent. */

static struct kevent_consumer c;
static struct ukevent batch[BATCH];

static void kevent_open(void)
{
	need(!kevent_ring_open(&c, 32768, 0, 1), "kevent_ring_open");
}

static void kevent_timers(unsigned int cmd, unsigned int first, unsigned int num,
			  unsigned int seconds)
{
	unsigned int i;

	for (i = 0; i < num; i++)
		batch[i] = (struct ukevent){
			.id = first + i,
			.type = KEVENT_TIMER,
			.event = KEVENT_TIMER_FIRED,
			.param = { (uint64_t)seconds * 1000000000 + first + i },
			.user = first + i,
		};
	calls++;
	need(kevent_ctl(c.fd, cmd, num, batch) == (int)num, "kevent_ctl");
}

static void kevent_arm(unsigned int first, unsigned int num, unsigned int seconds)
{
	kevent_timers(KEVENT_CTL_ADD, first, num, seconds);
}

static void kevent_again(unsigned int first, unsigned int num, unsigned int seconds)
{
	kevent_timers(KEVENT_CTL_MODIFY, first, num, seconds);
}

static void kevent_cancel(unsigned int first, unsigned int num)
{
	kevent_timers(KEVENT_CTL_REMOVE, first, num, 0);
}

/* timerfd and epoll. */

static int epfd, fd[ARMED + BATCH];

static void timerfd_open(void)
{
	epfd = epoll_create1(0);
	need(epfd >= 0, "epoll_create1");
}

static void timerfd_set(unsigned int i, unsigned int seconds)
{
	struct itimerspec t = { .it_value = { seconds, i } };

	calls++;
	need(!timerfd_settime(fd[i], 0, &t, NULL), "timerfd_settime");
}

static void timerfd_arm(unsigned int first, unsigned int num, unsigned int seconds)
{
	unsigned int i;

	for (i = first; i < first + num; i++) {
		struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = i };

		calls += 2;
		fd[i] = timerfd_create(CLOCK_MONOTONIC, 0);
		need(fd[i] >= 0, "timerfd_create");
		timerfd_set(i, seconds);
		need(!epoll_ctl(epfd, EPOLL_CTL_ADD, fd[i], &ev), "epoll_ctl");
	}
}

static void timerfd_again(unsigned int first, unsigned int num, unsigned int seconds)
{
	for (; num; num--)
		timerfd_set(first++, seconds);
}

static void timerfd_cancel(unsigned int first, unsigned int num)
{
	for (; num; num--) {
		calls++;
		close(fd[first++]);
	}
}

/* io_uring. */

#define GONE	(1ULL << 32)

static struct ring ring;

static void uring_open(void)
{
	ring_open(&ring, 0, 4 * (ARMED + BATCH));
}

static void uring_defer_open(void)
{
	ring_open(&ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		  4 * (ARMED + BATCH));
}

static void uring_drain(void)
{
	if (ring.defer && !ring_peek(&ring))
		ring_enter(&ring, 1);
	while (ring_peek(&ring))
		ring_seen(&ring);
}

static struct __kernel_timespec times[BATCH];

static void uring_arm(unsigned int first, unsigned int num, unsigned int seconds)
{
	unsigned int i;

	for (i = 0; i < num; i++) {
		struct io_uring_sqe *sqe = ring_sqe(&ring);

		times[i] = (struct __kernel_timespec){ seconds, first + i };
		sqe->opcode = IORING_OP_TIMEOUT;
		sqe->addr = (uint64_t)&times[i];
		sqe->len = 1;
		sqe->user_data = first + i;
	}
	ring_submit(&ring);
}

static void uring_remove(unsigned int first, unsigned int num, uint32_t flags,
			 unsigned int seconds)
{
	unsigned int i;

	for (i = 0; i < num; i++) {
		struct io_uring_sqe *sqe = ring_sqe(&ring);

		times[i] = (struct __kernel_timespec){ seconds, first + i };
		sqe->opcode = IORING_OP_TIMEOUT_REMOVE;
		sqe->addr = first + i;
		sqe->timeout_flags = flags;
		if (flags)
			sqe->addr2 = (uint64_t)&times[i];
		sqe->user_data = GONE;
	}
	ring_submit(&ring);
	uring_drain();
}

static void uring_again(unsigned int first, unsigned int num, unsigned int seconds)
{
	uring_remove(first, num, IORING_TIMEOUT_UPDATE, seconds);
}

static void uring_cancel(unsigned int first, unsigned int num)
{
	uring_remove(first, num, 0, 0);
}

static const struct timers all[] = {
	{ "kevent", kevent_open, kevent_arm, kevent_again, kevent_cancel },
	{ "timerfd+epoll", timerfd_open, timerfd_arm, timerfd_again, timerfd_cancel },
	{ "io_uring", uring_open, uring_arm, uring_again, uring_cancel },
	{ "io_uring-defer", uring_defer_open, uring_arm, uring_again, uring_cancel },
};

static void set_up(void)
{
	unsigned int i;

	timers->open();
	for (i = 0; i + BATCH <= ARMED; i += BATCH)
		timers->arm(i, BATCH, HOUR);
}

static void arm(unsigned int events)
{
	for (; events; events -= BATCH) {
		count_from_here();
		timers->arm(ARMED, BATCH, HOUR);
		count_to_here();
		timers->cancel(ARMED, BATCH);
	}
}

static void again(unsigned int events)
{
	timers->arm(ARMED, BATCH, HOUR);
	for (; events; events -= BATCH) {
		count_from_here();
		timers->again(ARMED, BATCH, 2 * HOUR);
		count_to_here();
	}
	timers->cancel(ARMED, BATCH);
}

static void cancel(unsigned int events)
{
	for (; events; events -= BATCH) {
		timers->arm(ARMED, BATCH, HOUR);
		count_from_here();
		timers->cancel(ARMED, BATCH);
		count_to_here();
	}
}

void timer_workloads(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		timers = &all[i];
		measure("timer-arm", timers->name, EVENTS, set_up, arm);
		measure("timer-rearm", timers->name, EVENTS, set_up, again);
		measure("timer-cancel", timers->name, EVENTS, set_up, cancel);
	}
}
