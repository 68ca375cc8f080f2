/* SPDX-License-Identifier: GPL-2.0 */
/* Requests of timers, for tests that have files and timers. */
#ifndef KEVENT_SELFTEST_SOURCES_H
#define KEVENT_SELFTEST_SOURCES_H

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "harness.h"
#include "watch.h"

static inline struct ukevent timer_request(uint64_t id, uint64_t first, uint64_t interval,
					   uint32_t flags)
{
	return (struct ukevent){
		.id = id,
		.type = KEVENT_TIMER,
		.event = KEVENT_TIMER_FIRED,
		.req_flags = flags,
		.user = ~id,
		.param = { first, interval },
	};
}

static inline int timer_ctl(int fd, unsigned int cmd, uint64_t id, uint64_t first,
			    uint64_t interval, uint32_t flags)
{
	struct ukevent request = timer_request(id, first, interval, flags);

	return kevent_ctl(fd, cmd, 1, &request);
}

static inline int add_timer(int fd, uint64_t id, uint64_t first, uint64_t interval, uint32_t flags)
{
	return timer_ctl(fd, KEVENT_CTL_ADD, id, first, interval, flags);
}

static inline int remove_timer(int fd, uint64_t id)
{
	return timer_ctl(fd, KEVENT_CTL_REMOVE, id, 0, 0, 0);
}

/* What poll(2) says of a file now. */
static inline uint32_t poll_says(int file, uint32_t mask)
{
	struct pollfd p = { .fd = file, .events = (short)mask };

	return poll(&p, 1, 0) < 0 ? POLLNVAL : (uint32_t)(unsigned short)p.revents;
}

/* One event, waiting for it; false: none came. */
static inline bool get_one(int fd, struct ukevent *ev)
{
	struct __kernel_timespec soon = ns_to_timespec(GENEROUS_NS);

	return kevent_get_events(fd, 1, 1, &soon, ev, 0) == 1;
}

#endif
