/* SPDX-License-Identifier: GPL-2.0 */
/* What the workloads share: the clock, what is counted, and the peers. */
#ifndef KEVENT_BENCH_H
#define KEVENT_BENCH_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kevent.h"

#define BATCH	64		/* sources that fire before they are taken */

/* Who waits for a larger batch waits so long for so many, where a peer can be told that. */
#define LARGER		16
#define LARGER_US	100

extern uint64_t calls;		/* system calls since measure() began */

_Noreturn void fail(const char *what);

static inline void need(bool ok, const char *what)
{
	if (!ok)
		fail(what);
}

static inline uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Whether who finds no event sleeps. */
enum sleep {
	NEVER,
	FOR_ONE,
	FOR_MORE,	/* or a little longer than for one, and finds more */
};

/* How the kernel is told of interest, and how it tells. */
struct peer {
	const char *name;
	/* A new queue for @sources of them. */
	void (*open)(unsigned int sources);
	/* Watches @num files for input; the event of fd[i] is known as @first + i. */
	void (*add)(const int *fd, unsigned int first, unsigned int num);
	/* Stops to watch them. */
	void (*del)(const int *fd, unsigned int first, unsigned int num);
	/* Takes @want events that have fired and are known as first, first + 1 ...; never sleeps. */
	void (*take)(unsigned int first, unsigned int want);
	/* Takes up to @max events; any thread may. */
	unsigned int (*wait)(unsigned int *known, unsigned int max, enum sleep sleep);
	/* A level: it is read before it is taken again. */
	bool level;
};

extern const struct peer kevent_ring, kevent_socket, kevent_get, kevent_get_socket;
extern const struct peer epoll_et, epoll_lt;
extern const struct peer uring, uring_defer;

/* Work may say which part of it counts. */
void count_from_here(void);
void count_since(uint64_t moment);
void count_to_here(void);

/* Waits until nobody else runs. */
void settle(void);

/* @work, warmed up and then measured in a process of its own, is reported in one line. */
void measure(const char *workload, const char *peer, unsigned int events,
	     void (*set_up)(void), void (*work)(unsigned int events));

/* The lines of a measurement in @unit; calls and switches are since begin_counting(). */
void begin_counting(void);
void report(const char *workload, const char *peer, unsigned int events, const char *unit,
	    double cost);
/* Runs @work in a process of its own. */
void in_child(void (*work)(void));

/* eventfds, for each of @fd. */
void open_eventfds(int *fd, unsigned int num);
void fire(int fd);

/* @num connections over the loopback device. */
void connect_tcp(int *server, int *client, unsigned int num);

/* Binds the caller to one processor, counted from 0. */
void run_on(int processor);

/* Runs @work for each peer that a thread may sleep for, five times in turn where time is measured. */
void rounds(void (*work)(void));

/* Whose turn it is, in a workload that goes through all peers. */
extern const struct peer *peer;

/* The workloads. */
void eventfd_workloads(void);
void echo_workloads(void);
void ctl_workloads(void);
void timer_workloads(void);
void many_timers_workloads(void);
void memory_workloads(void);
void http_workloads(void);
void growth_workloads(void);
void pair_workloads(void);
void asleep_workloads(void);
void crowd_workloads(void);
void step_workloads(void);

#endif
