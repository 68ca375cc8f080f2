/* SPDX-License-Identifier: GPL-2.0 */
/* What the load tests share: batches of USER events, children that share a ring, single steps. */
#ifndef KEVENT_SELFTEST_LOAD_H
#define KEVENT_SELFTEST_LOAD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kevent.h"

/* Seconds without progress after which a test gives up; no test measures time with it. */
#define LOAD_PATIENCE	60

#define load_get(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define load_set(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define load_inc(p, v)	__atomic_add_fetch(p, v, __ATOMIC_ACQ_REL)

static inline time_t load_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static inline void load_nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Zeroed memory that children share. */
static inline void *load_share(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/* The user word of a registration: nothing but the kernel could make an event that carries it. */
static inline uint64_t load_user(uint64_t id)
{
	return (id + 1) * 0x9e3779b97f4a7c15ULL;
}

/* One kevent_ctl() for the USER registrations first .. first + num - 1. */
static inline int load_ctl(int fd, unsigned int cmd, uint64_t first, unsigned int num,
			   uint64_t data)
{
	struct ukevent *batch = aligned_alloc(sizeof(*batch), num * sizeof(*batch));
	unsigned int i;
	int done;

	if (!batch)
		return -1;
	for (i = 0; i < num; i++)
		batch[i] = (struct ukevent){
			.id = first + i,
			.type = KEVENT_USER,
			.event = 1,
			.data = data,
			.user = load_user(first + i),
		};
	done = kevent_ctl(fd, cmd, num, batch);
	free(batch);
	return done;
}

static inline int load_add(int fd, uint64_t first, unsigned int num)
{
	return load_ctl(fd, KEVENT_CTL_ADD, first, num, 0);
}

static inline int load_fire(int fd, uint64_t first, unsigned int num, uint64_t data)
{
	return load_ctl(fd, KEVENT_CTL_READY, first, num, data);
}

/* True: the kernel wrote this event of one of the registrations 0 .. num - 1. */
static inline bool load_genuine(const struct ukevent *ev, uint64_t num)
{
	return ev->id < num && ev->type == KEVENT_USER && ev->event == 1 && ev->fired == 1 &&
	       ev->error == 0 && ev->user == load_user(ev->id) && ev->param[1] == 0;
}

static inline uint32_t load_owner(uint32_t ret_flags)
{
	return (ret_flags & KEVENT_RET_OWNER_MASK) >> KEVENT_RET_OWNER_SHIFT;
}

/* True: the slot is in the hands of @owner. */
static inline bool load_held(const struct ukevent *slot, uint32_t owner)
{
	uint32_t flags = (uint32_t)(load_get(&slot->word) >> 32);

	return (flags & (KEVENT_RET_TAKEN | KEVENT_RET_FINISHED)) == KEVENT_RET_TAKEN &&
	       load_owner(flags) == owner;
}

/* How many slots are in this state: KEVENT_RET_TAKEN and _FINISHED as given. */
static inline unsigned int load_slots(const struct kevent_consumer *c, uint32_t state)
{
	unsigned int i, n = 0;

	for (i = 0; i <= c->mask; i++)
		if (((uint32_t)(load_get(&c->ring->event[i].word) >> 32) &
		     (KEVENT_RET_TAKEN | KEVENT_RET_FINISHED)) == state)
			n++;
	return n;
}

static inline unsigned int load_untaken(const struct kevent_consumer *c)
{
	return load_slots(c, 0);
}

static inline unsigned int load_taken(const struct kevent_consumer *c)
{
	return load_slots(c, KEVENT_RET_TAKEN);
}

/* A child that cannot outlive the test. */
static inline pid_t load_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

/* True: the child was alive until now. */
static inline bool load_kill(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

/* True: the child left by itself with status 0. */
static inline bool load_join(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* Tracer and child take turns: that is fastest on one CPU. */
static inline void load_pin(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* Starts a child that stands still right before fn(arg), under ptrace; -1: no such child. */
static inline pid_t load_trace(void (*fn)(void *arg), void *arg)
{
	pid_t pid;
	int status;

	load_pin();
	pid = load_fork();
	if (pid == 0) {
		pid = getpid();
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		syscall(SYS_kill, pid, SIGSTOP);
		fn(arg);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	return pid;
}

/* The child executes one instruction. */
static inline bool load_step(pid_t pid)
{
	int status;

	return !ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) && waitpid(pid, &status, 0) == pid &&
	       WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

#endif
