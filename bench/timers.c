// SPDX-License-Identifier: GPL-2.0
/* Timers of kevent, of timerfd with epoll, and of io_uring. */
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "ring.h"
#include "timers.h"

#define MOST	1002560
#define PATIENCE	1000000	/* looks for a timer that is about to expire */

/* kevent. */

static struct kevent_consumer c;
static struct ukevent batch[BATCH];

static void kevent_open(unsigned int num)
{
	(void)num;
	need(!kevent_ring_open(&c, 32768, 0, 1), "kevent_ring_open");
}

/* @step ns lie between two of them. */
static void kevent_set(unsigned int cmd, unsigned int first, unsigned int num, uint32_t flags,
		       uint64_t when, unsigned int step)
{
	unsigned int i;

	for (i = 0; i < num; i++)
		batch[i] = (struct ukevent){
			.id = first + i,
			.type = KEVENT_TIMER,
			.event = KEVENT_TIMER_FIRED,
			.req_flags = flags,
			.param = { when + i * step },
			.user = first + i,
		};
	calls++;
	need(kevent_ctl(c.fd, cmd, num, batch) == (int)num, "kevent_ctl");
}

static void kevent_timers(unsigned int cmd, unsigned int first, unsigned int num,
			  unsigned int seconds)
{
	kevent_set(cmd, first, num, 0, (uint64_t)seconds * 1000000000 + first, 1);
}

static void kevent_at(unsigned int first, unsigned int num, uint64_t moment)
{
	kevent_set(KEVENT_CTL_ADD, first, num, KEVENT_TIMER_ABSTIME | KEVENT_REQ_ONESHOT, moment, 0);
}

static void kevent_take(unsigned int num)
{
	unsigned int patience = PATIENCE;
	struct ukevent *ev;

	for (; num; num--) {
		while (!(ev = kevent_ring_take(&c)))
			need(--patience, "kevent: a timer did not expire");
		kevent_ring_finish(&c, ev);
	}
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

static int epfd, fd[MOST];

static void timerfd_open(unsigned int num)
{
	need(num <= MOST, "too many timers");
	epfd = epoll_create1(0);
	need(epfd >= 0, "epoll_create1");
}

static void timerfd_set(unsigned int i, int flags, time_t seconds, unsigned int ns)
{
	struct itimerspec t = { .it_value = { seconds, ns } };

	calls++;
	need(!timerfd_settime(fd[i], flags, &t, NULL), "timerfd_settime");
}

static void timerfd_new(unsigned int i, int flags, time_t seconds, unsigned int ns)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = i };

	calls += 2;
	fd[i] = timerfd_create(CLOCK_MONOTONIC, 0);
	need(fd[i] >= 0, "timerfd_create");
	timerfd_set(i, flags, seconds, ns);
	need(!epoll_ctl(epfd, EPOLL_CTL_ADD, fd[i], &ev), "epoll_ctl");
}

static void timerfd_arm(unsigned int first, unsigned int num, unsigned int seconds)
{
	for (; num; num--, first++)
		timerfd_new(first, 0, seconds, first);
}

static void timerfd_at(unsigned int first, unsigned int num, uint64_t moment)
{
	for (; num; num--, first++)
		timerfd_new(first, TFD_TIMER_ABSTIME, (time_t)(moment / 1000000000),
			    (unsigned int)(moment % 1000000000));
}

static void timerfd_take(unsigned int num)
{
	unsigned int patience = PATIENCE;
	struct epoll_event got[BATCH];
	uint64_t n;
	int i, some;

	for (; num; num -= (unsigned int)some) {
		calls++;
		some = epoll_wait(epfd, got, (int)num, 0);
		need(some >= 0 && --patience, "timerfd: a timer did not expire");
		for (i = 0; i < some; i++) {
			calls++;
			need(read(fd[got[i].data.u64], &n, sizeof(n)) == sizeof(n) && n == 1,
			     "timerfd");
		}
	}
}

static void timerfd_again(unsigned int first, unsigned int num, unsigned int seconds)
{
	for (; num; num--, first++)
		timerfd_set(first, 0, seconds, first);
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

static void uring_open(unsigned int num)
{
	ring_open(&ring, 0, 4 * num);
}

static void uring_defer_open(unsigned int num)
{
	ring_open(&ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		  4 * num);
}

static void uring_drain(void)
{
	if (ring.defer && !ring_peek(&ring))
		ring_enter(&ring, 1);
	while (ring_peek(&ring))
		ring_seen(&ring);
}

static struct __kernel_timespec times[BATCH];

static void uring_set(unsigned int first, unsigned int i, uint32_t flags, int64_t seconds,
		      int64_t ns)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);

	times[i] = (struct __kernel_timespec){ seconds, ns };
	sqe->opcode = IORING_OP_TIMEOUT;
	sqe->addr = (uint64_t)&times[i];
	sqe->len = 1;
	sqe->timeout_flags = flags;
	sqe->user_data = first + i;
}

static void uring_arm(unsigned int first, unsigned int num, unsigned int seconds)
{
	unsigned int i;

	for (i = 0; i < num; i++)
		uring_set(first, i, 0, seconds, first + i);
	ring_submit(&ring);
}

static void uring_at(unsigned int first, unsigned int num, uint64_t moment)
{
	unsigned int i;

	for (i = 0; i < num; i++)
		uring_set(first, i, IORING_TIMEOUT_ABS, (int64_t)(moment / 1000000000),
			  (int64_t)(moment % 1000000000));
	ring_submit(&ring);
}

static void uring_take(unsigned int num)
{
	struct io_uring_cqe *cqe;

	if (ring.defer)
		ring_enter(&ring, num);
	for (; num; num--) {
		cqe = ring_peek(&ring);
		need(cqe && cqe->res == -ETIME, "io_uring: a timer did not expire");
		ring_seen(&ring);
	}
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

const struct timers all_timers[] = {
	{ "kevent", kevent_open, kevent_arm, kevent_again, kevent_cancel, kevent_at, kevent_take,
	  NULL },
	{ "timerfd+epoll", timerfd_open, timerfd_arm, timerfd_again, timerfd_cancel, timerfd_at,
	  timerfd_take, timerfd_cancel },
	{ "io_uring", uring_open, uring_arm, uring_again, uring_cancel, uring_at, uring_take,
	  NULL },
	{ "io_uring-defer", uring_defer_open, uring_arm, uring_again, uring_cancel, uring_at,
	  uring_take, NULL },
	{ }
};
