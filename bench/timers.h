/* SPDX-License-Identifier: GPL-2.0 */
/* How timers are had. A timer is known by its number. */
#ifndef KEVENT_BENCH_TIMERS_H
#define KEVENT_BENCH_TIMERS_H

#include "bench.h"

#define HOUR	3600

struct timers {
	const char *name;
	/* For @num of them. */
	void (*open)(unsigned int num);
	void (*arm)(unsigned int first, unsigned int num, unsigned int seconds);
	void (*again)(unsigned int first, unsigned int num, unsigned int seconds);
	void (*cancel)(unsigned int first, unsigned int num);
	/* Arms them for one moment of the monotonic clock, in ns. */
	void (*at)(unsigned int first, unsigned int num, uint64_t moment);
	/* Takes @num that have expired. */
	void (*take)(unsigned int num);
	/* What is left of them then, if anything. */
	void (*close)(unsigned int first, unsigned int num);
};

/* Ends with one that has no name. */
extern const struct timers all_timers[];

#endif
