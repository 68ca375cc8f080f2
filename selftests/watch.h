/* SPDX-License-Identifier: GPL-2.0 */
/* Requests for files, and two threads that do something at once. */
#ifndef KEVENT_SELFTEST_WATCH_H
#define KEVENT_SELFTEST_WATCH_H

#include <linux/futex.h>
#include <poll.h>

#include "harness.h"

static inline struct ukevent file_request(int file, uint32_t mask, uint32_t flags)
{
	return (struct ukevent){
		.id = (uint64_t)file,
		.type = KEVENT_POLL,
		.event = mask,
		.req_flags = flags,
		.user = ~(uint64_t)file,
	};
}

static inline int file_ctl(int fd, unsigned int cmd, int file, uint32_t mask, uint32_t flags)
{
	struct ukevent request = file_request(file, mask, flags);

	return kevent_ctl(fd, cmd, 1, &request);
}

static inline int add_file(int fd, int file, uint32_t mask, uint32_t flags)
{
	return file_ctl(fd, KEVENT_CTL_ADD, file, mask, flags);
}

static inline int modify_file(int fd, int file, uint32_t mask, uint32_t flags)
{
	return file_ctl(fd, KEVENT_CTL_MODIFY, file, mask, flags);
}

static inline int set_file(int fd, int file, uint32_t mask, uint32_t flags)
{
	return file_ctl(fd, KEVENT_CTL_SET, file, mask, flags);
}

static inline int remove_file(int fd, int file)
{
	return file_ctl(fd, KEVENT_CTL_REMOVE, file, 0, 0);
}

static inline int ready_file(int fd, int file)
{
	return file_ctl(fd, KEVENT_CTL_READY, file, 0, 0);
}

/* What is true of a file now, of @events and what is always reported. */
static inline int state_of(int file, short events)
{
	struct pollfd p = { .fd = file, .events = events };

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

/* The calling thread runs on one of the processors that there are, the @n-th or one before. */
static inline void pin(int n)
{
	cpu_set_t one;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	CPU_ZERO(&one);
	CPU_SET(n % (int)cpus, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* Where @threads meet for the @times-th time. Who waits long sleeps: others may need its CPU. */
static inline void meet(uint32_t *arrived, uint32_t threads, uint32_t times)
{
	uint32_t all = threads * times, spins = 0, seen;

	if (__atomic_add_fetch(arrived, 1, __ATOMIC_ACQ_REL) == all)
		syscall(SYS_futex, arrived, FUTEX_WAKE, threads, NULL, NULL, 0);
	while ((seen = __atomic_load_n(arrived, __ATOMIC_ACQUIRE)) < all)
		if (++spins > 1000)
			syscall(SYS_futex, arrived, FUTEX_WAIT, seen, NULL, NULL, 0);
}

/* A little while, so that what follows meets another moment of the other thread. */
static inline void dawdle(uint32_t steps)
{
	while (steps--)
		__asm__ volatile("" ::: "memory");
}

#endif
