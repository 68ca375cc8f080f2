// SPDX-License-Identifier: GPL-2.0
/*
 * Four threads produce and four consume for two seconds. Each firing has a serial number, and
 * afterwards each is found delivered once, or cancelled by a removal.
 *
 * What merges is added up, so the datum of a firing is 1 << 48 | serial: a delivered entry tells
 * how many firings it stands for and the sum of their serials. One thread fires a registration,
 * in order; hence these are the numbers first .. first + count - 1, and first is a division away.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "kselftest_harness.h"
#include "load.h"

#define PRODUCERS	4
#define CONSUMERS	4
#define EACH		4			/* registrations of one producer */
#define SOURCES		(PRODUCERS * EACH)
#define SECONDS		2
#define MANY		1000U			/* less work than this proves nothing */

#define COUNT_SHIFT	48
#define SUM_MASK	((1ULL << COUNT_SHIFT) - 1)
#define WINDOW		8192U			/* undelivered firings: a count below 2^14 */
#define SERIALS		0x400000U		/* WINDOW times this is below 2^48 */
#define LIVES		0x8000U
#define LIFE		500			/* firings between two removals, on average */

/* A registration from ADD to REMOVE; the user word of its events is its number. */
struct life {
	uint32_t source;
	uint32_t first;			/* serials first .. end - 1 */
	uint32_t end;
	uint32_t delivered;
	uint64_t generation;
	uint8_t removed;
	uint8_t receipt;		/* the removal said that nobody holds an event */
};

struct run;

struct thread {
	struct run *run;
	pthread_t id;
	unsigned int number;
	bool by_call;			/* consumer: kevent_get_events(), not the ring */
};

struct run {
	struct kevent_consumer c;
	uint32_t halt;			/* producers */
	uint32_t stop;			/* consumers */
	uint32_t lives;
	uint64_t fired;
	uint64_t entries;		/* delivered, each for one or more firings */
	uint64_t delivered;
	uint64_t doubled;
	uint64_t garbled;		/* no run of serials, or not of that registration */
	uint64_t early;			/* the receipt came while the event was still held */
	uint64_t failed;		/* system calls */
	uint8_t *seen[SOURCES];		/* one byte per serial */
	struct life *life;
	struct thread producer[PRODUCERS], consumer[CONSUMERS];
};

static void record(struct run *run, const struct ukevent *ev)
{
	uint64_t data = kevent_ring_data(ev);
	uint64_t count = data >> COUNT_SHIFT, sum = data & SUM_MASK, first, i;
	struct life *life;

	load_inc(&run->entries, 1);
	if (ev->type != KEVENT_USER || ev->id >= SOURCES || ev->fired != 1 || ev->error ||
	    !(ev->ret_flags & KEVENT_RET_COUNTED) || ev->user >= load_get(&run->lives) ||
	    !count || sum < count * (count - 1) / 2) {
		load_inc(&run->garbled, 1);
		return;
	}
	life = &run->life[ev->user];
	sum -= count * (count - 1) / 2;
	first = sum / count;
	if (life->source != ev->id || load_get(&life->generation) != ev->param[0] || sum % count ||
	    first < life->first || first + count > load_get(&life->end)) {
		load_inc(&run->garbled, 1);
		return;
	}
	for (i = first; i < first + count; i++)
		if (__atomic_exchange_n(&run->seen[ev->id][i], 1, __ATOMIC_RELAXED))
			load_inc(&run->doubled, 1);
	load_inc(&run->delivered, count);
	load_inc(&life->delivered, (uint32_t)count);
}

static void consume_ring(struct run *run, struct kevent_consumer *c)
{
	struct ukevent *ev;

	while ((ev = kevent_ring_take(c))) {
		record(run, ev);
		if (ev->user < LIVES && load_get(&run->life[ev->user].receipt))
			load_inc(&run->early, 1);
		kevent_ring_finish(c, ev);
	}
	if (kevent_ring_wait(c, NULL) < 0)
		load_inc(&run->failed, 1);
}

static void consume_call(struct run *run)
{
	struct ukevent buf[8];
	int i, n = kevent_get_events(run->c.fd, 1, 8, NULL, buf, 0);

	if (n < 0)
		load_inc(&run->failed, 1);
	for (i = 0; i < n; i++)
		record(run, &buf[i]);
}

static void *consume(void *arg)
{
	struct thread *t = arg;
	struct kevent_consumer c;

	if (kevent_ring_join(&c, &t->run->c, t->number + 1)) {
		load_inc(&t->run->failed, 1);
		return NULL;
	}
	while (!load_get(&t->run->stop)) {
		if (t->by_call)
			consume_call(t->run);
		else
			consume_ring(t->run, &c);
	}
	return NULL;
}

static struct life *begin_life(struct run *run, uint32_t source, uint32_t serial)
{
	uint32_t number = load_inc(&run->lives, 1) - 1;
	struct life *life = &run->life[number];
	struct ukevent add = {
		.id = source,
		.type = KEVENT_USER,
		.event = 1,
		.user = number,
	};

	if (number >= LIVES)
		return NULL;
	life->source = source;
	life->first = serial;
	life->end = serial;
	if (kevent_ctl(run->c.fd, KEVENT_CTL_ADD, 1, &add) != 1)
		return NULL;
	load_set(&life->generation, add.data);
	return life;
}

static bool end_life(struct run *run, struct life *life)
{
	struct ukevent remove = { .id = life->source, .type = KEVENT_USER };

	if (kevent_ctl(run->c.fd, KEVENT_CTL_REMOVE, 1, &remove) != 1)
		return false;
	life->removed = 1;
	if (!(remove.ret_flags & KEVENT_RET_OUTSTANDING))
		load_set(&life->receipt, 1);
	return true;
}

static uint32_t dice(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 32;
}

/* Fires some of the producer's registrations in one call. False: it failed. */
static bool fire(struct run *run, struct life **life, uint32_t from)
{
	struct ukevent batch[EACH];
	int n = 0;

	for (; from < EACH; from++) {
		struct life *l = life[from];

		if (l->end - l->first - load_get(&l->delivered) >= WINDOW || l->end == SERIALS)
			continue;
		batch[n++] = (struct ukevent){
			.id = l->source,
			.type = KEVENT_USER,
			.data = 1ULL << COUNT_SHIFT | l->end,
		};
		load_set(&l->end, l->end + 1);
	}
	if (!n) {
		sched_yield();
		return true;
	}
	load_inc(&run->fired, n);
	return kevent_ctl(run->c.fd, KEVENT_CTL_READY, n, batch) == n;
}

static void *produce(void *arg)
{
	struct thread *t = arg;
	struct run *run = t->run;
	uint64_t state = 0x9e3779b97f4a7c15ULL * (t->number + 1);
	struct life *life[EACH];
	uint32_t i, throw;
	bool ok = true;

	for (i = 0; i < EACH && ok; i++) {
		life[i] = begin_life(run, t->number * EACH + i, 0);
		ok = life[i];
	}
	while (ok && !load_get(&run->halt)) {
		throw = dice(&state);
		ok = fire(run, life, throw % EACH);
		if (ok && (throw >> 8) % LIFE == 0 && load_get(&run->lives) < LIVES - SOURCES) {
			i = (throw >> 4) % EACH;
			ok = end_life(run, life[i]);
			if (ok)
				life[i] = begin_life(run, life[i]->source, life[i]->end);
			ok = ok && life[i];
		}
	}
	if (!ok)
		load_inc(&run->failed, 1);
	return NULL;
}

/* Waits until the registrations that were not removed owe nothing; false: nothing moves. */
static bool settled(struct run *run)
{
	uint64_t delivered, last = 0;
	time_t since = load_now();
	uint32_t i;

	for (;;) {
		for (i = 0; i < run->lives; i++)
			if (!run->life[i].removed && load_get(&run->life[i].delivered) !=
						     run->life[i].end - run->life[i].first)
				break;
		if (i == run->lives)
			return true;
		delivered = load_get(&run->delivered);
		if (delivered != last)
			since = load_now();
		else if (load_now() - since > LOAD_PATIENCE)
			return false;
		last = delivered;
		load_nap();
	}
}

/* A removal may cancel the last firings of a life; whatever else is missing is lost. */
static void find_missing(struct run *run, uint64_t *lost, uint64_t *cancelled)
{
	const struct life *life;
	uint64_t missing;
	uint32_t i, s;

	for (i = 0; i < run->lives; i++) {
		life = &run->life[i];
		missing = 0;
		for (s = life->first; s < life->end; s++) {
			if (!run->seen[life->source][s]) {
				missing++;
			} else {
				*lost += missing;
				missing = 0;
			}
		}
		*(life->removed ? cancelled : lost) += missing;
	}
}

FIXTURE(threads)
{
	struct run *run;
};

FIXTURE_VARIANT(threads)
{
	uint32_t slots;
	int by_call;		/* how many of the consumers call kevent_get_events() */
};

FIXTURE_VARIANT_ADD(threads, ring_of_8)
{
	.slots = 8,
};

FIXTURE_VARIANT_ADD(threads, ring_of_1024)
{
	.slots = 1024,
};

FIXTURE_VARIANT_ADD(threads, ring_of_8_and_calls)
{
	.slots = 8,
	.by_call = 2,
};

FIXTURE_VARIANT_ADD(threads, ring_of_1024_and_calls)
{
	.slots = 1024,
	.by_call = 2,
};

FIXTURE_SETUP(threads)
{
	uint32_t i;

	self->run = load_share(sizeof(*self->run));
	ASSERT_NE(NULL, self->run);
	self->run->life = load_share(LIVES * sizeof(*self->run->life));
	ASSERT_NE(NULL, self->run->life);
	for (i = 0; i < SOURCES; i++) {
		self->run->seen[i] = load_share(SERIALS);
		ASSERT_NE(NULL, self->run->seen[i]);
	}
	ASSERT_EQ(0, kevent_ring_open(&self->run->c, variant->slots, 0, 0));
}

FIXTURE_TEARDOWN(threads)
{
	uint32_t i;

	kevent_ring_close(&self->run->c);
	for (i = 0; i < SOURCES; i++)
		munmap(self->run->seen[i], SERIALS);
	munmap(self->run->life, LIVES * sizeof(*self->run->life));
	munmap(self->run, sizeof(*self->run));
}

TEST_F_TIMEOUT(threads, four_produce_and_four_consume, 300)
{
	uint64_t lost = 0, cancelled = 0;
	struct run *run = self->run;
	int i, gone = 0;
	bool whole;

	for (i = 0; i < CONSUMERS; i++) {
		run->consumer[i] = (struct thread){
			.run = run,
			.number = i,
			.by_call = i < variant->by_call,
		};
		ASSERT_EQ(0, pthread_create(&run->consumer[i].id, NULL, consume,
					    &run->consumer[i]));
	}
	for (i = 0; i < PRODUCERS; i++) {
		run->producer[i] = (struct thread){ .run = run, .number = i };
		ASSERT_EQ(0, pthread_create(&run->producer[i].id, NULL, produce,
					    &run->producer[i]));
	}
	/* On a slow machine, until there is enough to prove something. */
	for (i = 0; i < SECONDS || (load_get(&run->entries) <= MANY && i < LOAD_PATIENCE); i++)
		sleep(1);
	load_set(&run->halt, 1);
	for (i = 0; i < PRODUCERS; i++) {
		ASSERT_EQ(0, pthread_join(run->producer[i].id, NULL));
	}

	/* Nobody is woken for this: consumers that sleep now although events are left lose. */
	whole = settled(run);
	load_set(&run->stop, 1);
	while (gone < CONSUMERS) {
		kevent_ctl(run->c.fd, KEVENT_CTL_READY, 0, NULL);
		load_nap();
		if (pthread_tryjoin_np(run->consumer[gone].id, NULL) == 0)
			gone++;
	}
	find_missing(run, &lost, &cancelled);

	ksft_print_msg("lost %llu doubled %llu cancelled %llu merged %llu\n",
		       (unsigned long long)lost, (unsigned long long)run->doubled,
		       (unsigned long long)cancelled,
		       (unsigned long long)(run->delivered - run->entries));
	ksft_print_msg("fired %llu delivered %llu by %llu entries, %u registrations\n",
		       (unsigned long long)run->fired, (unsigned long long)run->delivered,
		       (unsigned long long)run->entries, run->lives);
	EXPECT_TRUE(whole);
	EXPECT_EQ(0U, lost);
	EXPECT_EQ(0U, run->doubled);
	EXPECT_EQ(0U, run->garbled);
	EXPECT_EQ(0U, run->early);
	EXPECT_EQ(0U, run->failed);
	EXPECT_EQ(run->fired, run->delivered + cancelled);
	EXPECT_LT(MANY, run->entries);
	EXPECT_EQ(0U, load_untaken(&run->c));
	EXPECT_EQ(0U, load_taken(&run->c));
	EXPECT_EQ(0U, run->c.ring->ring_pending);
}

TEST_HARNESS_MAIN
