// SPDX-License-Identifier: GPL-2.0
/* Timers beside those that are armed: to arm, to set anew, to cancel and to take 64 of them. */
#include "timers.h"

#define EVENTS	2560
#define MS	1000000
#define LEAST	100	/* instructions: no timer expires with less */

static const struct timers *timers;
static unsigned int armed;

static void set_up(void)
{
	unsigned int i;

	timers->open(armed + BATCH);
	for (i = 0; i + BATCH <= armed; i += BATCH)
		timers->arm(i, BATCH, HOUR);
}

static void arm(unsigned int events)
{
	for (; events; events -= BATCH) {
		count_from_here();
		timers->arm(armed, BATCH, HOUR);
		count_to_here();
		timers->cancel(armed, BATCH);
	}
}

static void again(unsigned int events)
{
	timers->arm(armed, BATCH, HOUR);
	for (; events; events -= BATCH) {
		count_from_here();
		timers->again(armed, BATCH, 2 * HOUR);
		count_to_here();
	}
	timers->cancel(armed, BATCH);
}

static void cancel(unsigned int events)
{
	for (; events; events -= BATCH) {
		timers->arm(armed, BATCH, HOUR);
		count_from_here();
		timers->cancel(armed, BATCH);
		count_to_here();
	}
}

/*
 * 64 expire at one moment, and are taken. Who looks at the clock all the time sees the interrupt that
 * serves them as a gap: that counts, and what follows.
 */
static void expire(unsigned int events)
{
	uint64_t moment, time, gap;

	for (; events; events -= BATCH) {
		moment = now() + MS;
		timers->at(armed, BATCH, moment);
		time = now();
		do {
			gap = now() - time;
			time += gap;
		} while (time < moment || gap < LEAST * BATCH);
		count_since(time - gap);
		timers->take(BATCH);
		count_to_here();
		if (timers->close)
			timers->close(armed, BATCH);
	}
}

static void compare(const char *of, bool searches)
{
	static const struct {
		const char *name;
		void (*work)(unsigned int events);
		bool searches;
	} all[] = {
		{ "arm", arm, true },
		{ "rearm", again, true },
		{ "cancel", cancel, true },
		{ "expire", expire, false },
	};
	char name[32];
	unsigned int i;

	for (timers = all_timers; timers->name; timers++) {
		for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
			bool ring = strstr(timers->name, "io_uring");

			if (ring && all[i].searches && !searches)
				continue;
			snprintf(name, sizeof(name), "%s-%s", of, all[i].name);
			measure(name, timers->name, EVENTS, set_up, all[i].work);
		}
	}
}

void timer_workloads(void)
{
	armed = 10000;
	compare("timer", true);
}

/* io_uring finds a timer by looking through all of them: a removal would take minutes. */
void many_timers_workloads(void)
{
	armed = 1000000;
	compare("timers-1000000", false);
}
