// SPDX-License-Identifier: GPL-2.0
/*
 * Timers beside those that are armed: to arm, to set anew, to cancel and to take 64 of them. Which those
 * are differs each time, and with it where their keys are.
 */
#include "timers.h"

#define EVENTS	2560
#define MS	1000000
#define LEAST	100	/* instructions: no timer expires with less */
#define ARMED	8000	/* and none takes more to arm */

static const struct timers *timers;
static unsigned int armed;

static void set_up(void)
{
	unsigned int i;

	timers->open(armed + EVENTS);
	for (i = 0; i + BATCH <= armed; i += BATCH)
		timers->arm(i, BATCH, HOUR);
}

static void arm(unsigned int events)
{
	unsigned int i;

	for (i = armed; i < armed + events; i += BATCH) {
		count_from_here();
		timers->arm(i, BATCH, HOUR);
		count_to_here();
		timers->cancel(i, BATCH);
	}
}

static void again(unsigned int events)
{
	unsigned int i;

	for (i = armed; i < armed + events; i += BATCH) {
		timers->arm(i, BATCH, HOUR);
		count_from_here();
		timers->again(i, BATCH, 2 * HOUR);
		count_to_here();
		timers->cancel(i, BATCH);
	}
}

static void cancel(unsigned int events)
{
	unsigned int i;

	for (i = armed; i < armed + events; i += BATCH) {
		timers->arm(i, BATCH, HOUR);
		count_from_here();
		timers->cancel(i, BATCH);
		count_to_here();
	}
}

/*
 * Counts from the interrupt at @moment, at which @num timers expire. Who looks at the clock all the time
 * sees the interrupt that serves them as a gap: that counts, and what follows.
 */
static void count_from_expiry(uint64_t moment, unsigned int num)
{
	uint64_t time = now(), gap;

	do {
		gap = now() - time;
		time += gap;
	} while (time < moment || gap < LEAST * num);
	count_since(time - gap);
}

/* 64 expire at one moment, and are taken. */
static void expire(unsigned int events)
{
	uint64_t moment;

	for (; events; events -= BATCH) {
		moment = now() + MS;
		timers->at(armed, BATCH, moment);
		count_from_expiry(moment, BATCH);
		timers->take(BATCH);
		count_to_here();
		if (timers->close)
			timers->close(armed, BATCH);
	}
}

static void set_up_none(void)
{
	timers->open(armed);
}

/* All expire at one moment, and are taken. */
static void expire_all(unsigned int events)
{
	uint64_t moment = now() + (uint64_t)events * ARMED;
	unsigned int i;

	for (i = 0; i < events; i += BATCH)
		timers->at(i, BATCH, moment);
	usleep((unsigned int)((moment - now() - MS) / 1000));
	count_from_expiry(moment, BATCH);
	for (i = 0; i < events; i += BATCH)
		timers->take(BATCH);
	count_to_here();
	if (timers->close)
		timers->close(0, i);
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

/*
 * io_uring finds a timer by looking through all of them: a removal would take minutes. And it has no
 * room for a million completions.
 */
void many_timers_workloads(void)
{
	armed = 1000000;
	compare("timers-1000000", false);
	for (timers = all_timers; timers->name; timers++)
		if (!strstr(timers->name, "io_uring"))
			measure("timers-1000000-all-expire", timers->name, armed, set_up_none,
				expire_all);
}
