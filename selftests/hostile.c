// SPDX-License-Identifier: GPL-2.0
/*
 * What a program can do to a ring that it shares, or to its mapping, and what time can do: none of
 * it reaches another queue or the kernel's own records.
 */
#define _GNU_SOURCE
#include <linux/time_types.h>
#include <assert.h>
#include <sched.h>
#include <string.h>

#include "kselftest_harness.h"
#include "load.h"

#define TESTER	1

/* What a hostile process writes; each over the whole mapping, the header included. */
enum scribble { RANDOM, ONES, ZEROS, REPLAY, FLIP, KINDS };

static uint64_t dice(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Words of another moment or of another slot look right, and are wrong where they land. */
static void scribble_for_ever(struct kevent_consumer *c, uint64_t *rounds)
{
	size_t words = kevent_ring_bytes(kevent_ring_slots(c)) / sizeof(uint64_t), i, n;
	uint64_t *mem = (uint64_t *)c->ring, state = 88172645463325252ULL, value = 0;
	uint64_t old[64] = { 0 };

	for (n = 0;; n++) {
		enum scribble kind = n % KINDS;

		for (i = 0; i < words; i++) {
			if (kind == RANDOM)
				value = dice(&state);
			else if (kind == ONES)
				value = ~0ULL;
			else if (kind == ZEROS)
				value = 0;
			else if (kind == FLIP)
				value = load_get(&mem[i]) ^ 1ULL << dice(&state) % 64;
			else
				value = old[dice(&state) % 64];
			old[dice(&state) % 64] = load_get(&mem[i]);
			__atomic_store_n(&mem[i], value, __ATOMIC_RELAXED);
		}
		load_inc(rounds, 1);
	}
}

FIXTURE(scribbled)
{
	struct kevent_consumer own, shared;
	uint64_t *rounds;
	pid_t pid;
};

FIXTURE_VARIANT(scribbled)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(scribbled, one_slot)
{
	.slots = 1,
};

FIXTURE_VARIANT_ADD(scribbled, few_slots)
{
	.slots = 4,
};

FIXTURE_VARIANT_ADD(scribbled, many_slots)
{
	.slots = 256,
};

#define SOURCES		64U
#define FIRINGS		400U	/* of each source */
#define SCRIBBLES	50U	/* times over the whole mapping */

FIXTURE_SETUP(scribbled)
{
	self->rounds = load_share(sizeof(*self->rounds));
	ASSERT_NE(NULL, self->rounds);
	ASSERT_EQ(0, kevent_ring_open(&self->own, SOURCES, 0, TESTER));
	ASSERT_EQ(0, kevent_ring_open(&self->shared, variant->slots, 0, TESTER));
	ASSERT_EQ((int)SOURCES, load_add(self->own.fd, 0, SOURCES));
	ASSERT_EQ((int)SOURCES, load_add(self->shared.fd, 0, SOURCES));
	self->pid = load_fork();
	ASSERT_LE(0, self->pid);
	if (self->pid == 0)
		scribble_for_ever(&self->shared, self->rounds);
}

FIXTURE_TEARDOWN(scribbled)
{
	kevent_ring_close(&self->own);
	kevent_ring_close(&self->shared);
	munmap(self->rounds, sizeof(*self->rounds));
}

/* The queue that nobody else has: everything is there, in order, with nothing added. */
static bool own_queue_is_whole(struct kevent_consumer *c, uint64_t data)
{
	struct ukevent *ev;
	uint32_t i;

	if (load_fire(c->fd, 0, SOURCES, data) != (int)SOURCES)
		return false;
	for (i = 0; i < SOURCES; i++) {
		ev = kevent_ring_take(c);
		if (!ev || !load_genuine(ev, SOURCES) || ev->id != i ||
		    kevent_ring_data(ev) != data)
			return false;
		kevent_ring_finish(c, ev);
	}
	return !kevent_ring_take(c) && !kevent_ring_pending(c);
}

/* One of each call on the scribbled queue. Returns what get_events delivered, -1: nonsense. */
static int use(struct kevent_consumer *c, uint64_t fired, uint64_t *state)
{
	const struct __kernel_timespec soon = { .tv_nsec = 1 };
	uint32_t slots = kevent_ring_slots(c), i;
	struct ukevent buf[16];
	int n;

	n = kevent_commit(c->fd, dice(state) % 4096, dice(state) % 2);
	if (n > (int)slots || (n < 0 && errno != EINVAL && errno != EOVERFLOW))
		return -1;
	n = kevent_wait(c->fd, slots, dice(state), &soon, 0);
	if (n < 0 || n > (int)slots)
		return -1;
	n = kevent_get_events(c->fd, 0, 16, NULL, buf, 0);
	if (n < 0 || n > 16)
		return -1;
	for (i = 0; i < (uint32_t)n; i++)
		if (!load_genuine(&buf[i], SOURCES) || kevent_ring_data(&buf[i]) > fired ||
		    !kevent_ring_data(&buf[i]))
			return -1;
	return n;
}

TEST_F_TIMEOUT(scribbled, own_queue_is_unharmed, 300)
{
	uint64_t state = 0x2545f4914f6cdd1dULL, round, delivered = 0;
	time_t since = load_now();
	struct ukevent ev;
	int n;

	for (round = 1; round <= FIRINGS || load_get(self->rounds) < SCRIBBLES; round++) {
		ASSERT_GE(LOAD_PATIENCE, load_now() - since);
		ASSERT_TRUE(own_queue_is_whole(&self->own, round)) TH_LOG("round %d", (int)round);
		ASSERT_EQ((int)SOURCES, load_fire(self->shared.fd, 0, SOURCES, 1));
		n = use(&self->shared, round, &state);
		ASSERT_LE(0, n) TH_LOG("round %d", (int)round);
		delivered += n;
		sched_yield();
	}
	ASSERT_TRUE(load_kill(self->pid));
	ksft_print_msg("%llu scribbles, %llu events delivered by calls\n",
		       (unsigned long long)*self->rounds, (unsigned long long)delivered);
	EXPECT_LT(0U, delivered);

	/* The kernel's side of it still works: everything can be removed and added again. */
	ASSERT_EQ((int)SOURCES, load_ctl(self->shared.fd, KEVENT_CTL_REMOVE, 0, SOURCES, 0));
	EXPECT_EQ(0, kevent_get_events(self->shared.fd, 0, 1, NULL, &ev, 0));
	EXPECT_EQ((int)SOURCES, load_add(self->shared.fd, 0, SOURCES));
	EXPECT_EQ((int)SOURCES, load_fire(self->shared.fd, 0, SOURCES, 1));
	EXPECT_LE(0, use(&self->shared, round, &state));
	EXPECT_TRUE(own_queue_is_whole(&self->own, 1));
}

FIXTURE(limits)
{
	struct kevent_consumer own, shared;
};

FIXTURE_VARIANT(limits)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(limits, one_slot)
{
	.slots = 1,
};

FIXTURE_VARIANT_ADD(limits, few_slots)
{
	.slots = 4,
};

FIXTURE_SETUP(limits)
{
	ASSERT_EQ(0, kevent_ring_open(&self->own, SOURCES, 0, TESTER));
	ASSERT_EQ(0, kevent_ring_open(&self->shared, variant->slots, 0, TESTER));
	ASSERT_EQ((int)SOURCES, load_add(self->own.fd, 0, SOURCES));
	ASSERT_EQ((int)SOURCES, load_add(self->shared.fd, 0, SOURCES));
}

FIXTURE_TEARDOWN(limits)
{
	kevent_ring_close(&self->own);
	kevent_ring_close(&self->shared);
}

#define HIGH(flags)	((uint64_t)(flags) << 32)
#define LIMITS		29U

/* Limits of numbers, states that a slot can have and cannot, and what is beside the word now. */
static uint64_t limit(unsigned int n, uint64_t now)
{
	const uint64_t values[] = {
		0, 1, ~0ULL, 1ULL << 63, (1ULL << 63) - 1, 0x7fffffff, 0x80000000, 0xffffffff,
		HIGH(1), HIGH(0x7fffffff), HIGH(0x80000000),
		HIGH(KEVENT_RET_TAKEN), HIGH(KEVENT_RET_FINISHED),
		HIGH(KEVENT_RET_TAKEN | KEVENT_RET_FINISHED),
		HIGH(KEVENT_RET_TAKEN | KEVENT_RET_OWNER_MASK),
		HIGH(KEVENT_RET_TAKEN | TESTER << KEVENT_RET_OWNER_SHIFT),
		HIGH(KEVENT_RET_LAP_MASK), HIGH(1 << KEVENT_RET_LAP_SHIFT),
		HIGH(KEVENT_RET_COUNTED), HIGH(~KEVENT_RET_LAP_MASK),
		now + 1, now - 1, now + HIGH(1), now - HIGH(1), ~now,
		now ^ HIGH(KEVENT_RET_TAKEN), now ^ HIGH(KEVENT_RET_FINISHED),
		now + HIGH(1 << KEVENT_RET_LAP_SHIFT), now - HIGH(1 << KEVENT_RET_LAP_SHIFT),
	};

	static_assert(ARRAY_SIZE(values) == LIMITS, "all are tried");
	return values[n % LIMITS];
}

TEST_F_TIMEOUT(limits, of_every_word, 300)
{
	size_t words = kevent_ring_bytes(variant->slots) / sizeof(uint64_t), i;
	uint64_t *mem = (uint64_t *)self->shared.ring, state = 0x2545f4914f6cdd1dULL;
	uint64_t fired = 0, delivered = 0, value;
	unsigned int k;
	int n;

	for (i = 0; i < words; i++) {
		for (k = 0; k < LIMITS; k++) {
			value = limit(k, load_get(&mem[i]));
			load_set(&mem[i], value);
			ASSERT_EQ((int)SOURCES, load_fire(self->shared.fd, 0, SOURCES, 1));
			n = use(&self->shared, ++fired, &state);
			ASSERT_LE(0, n) TH_LOG("word %zu, limit %u", i, k);
			delivered += n;
		}
		ASSERT_TRUE(own_queue_is_whole(&self->own, i + 1)) TH_LOG("word %zu", i);
	}
	EXPECT_LT(0U, delivered);
	ASSERT_EQ((int)SOURCES, load_ctl(self->shared.fd, KEVENT_CTL_REMOVE, 0, SOURCES, 0));
	EXPECT_EQ((int)SOURCES, load_add(self->shared.fd, 0, SOURCES));
}

FIXTURE(ring)
{
	struct kevent_consumer a, b;
};

FIXTURE_VARIANT(ring)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(ring, of_1)
{
	.slots = 1,
};

FIXTURE_VARIANT_ADD(ring, of_2)
{
	.slots = 2,
};

FIXTURE_VARIANT_ADD(ring, of_4)
{
	.slots = 4,
};

/* Twice as many sources as slots. */
FIXTURE_SETUP(ring)
{
	ASSERT_EQ(0, kevent_ring_open(&self->a, variant->slots, 0, 1));
	ASSERT_EQ(0, kevent_ring_join(&self->b, &self->a, 2));
	ASSERT_EQ((int)(2 * variant->slots), load_add(self->a.fd, 0, 2 * variant->slots));
}

FIXTURE_TEARDOWN(ring)
{
	kevent_ring_close(&self->a);
}

/* Takes one entry, which must be this one. */
static bool take(struct kevent_consumer *c, uint64_t id, uint64_t data)
{
	struct ukevent *ev = kevent_ring_take(c);
	bool right;

	if (!ev)
		return false;
	right = ev->id == id && kevent_ring_data(ev) == data;
	kevent_ring_finish(c, ev);
	return right;
}

TEST_F(ring, full)
{
	uint32_t n = variant->slots, i;
	int fd = self->a.fd;

	ASSERT_EQ((int)(2 * n), load_fire(fd, 0, 2 * n, 1));
	EXPECT_EQ(n, load_untaken(&self->a));
	EXPECT_EQ(1U, self->a.ring->ring_pending);
	/* What stands in the ring merges, what waits for room as well. */
	ASSERT_EQ((int)(2 * n), load_fire(fd, 0, 2 * n, 2));
	for (i = 0; i < 2 * n; i++) {
		ASSERT_TRUE(take(&self->a, i, 3)) TH_LOG("event %u", i);
		ASSERT_LE(0, kevent_ring_wait(&self->a, &(struct __kernel_timespec){ 0 }));
	}
	EXPECT_EQ(NULL, kevent_ring_take(&self->a));
	EXPECT_EQ(0U, self->a.ring->ring_pending);
}

TEST_F(ring, full_and_freed_in_one_call)
{
	uint32_t n = variant->slots, i;
	int fd = self->a.fd;

	ASSERT_EQ((int)(2 * n), load_fire(fd, 0, 2 * n, 1));
	EXPECT_EQ((int)n, kevent_commit(fd, n, 0));
	EXPECT_EQ(0U, self->a.ring->ring_pending);
	for (i = n; i < 2 * n; i++) {
		ASSERT_TRUE(take(&self->a, i, 1)) TH_LOG("event %u", i);
	}
	EXPECT_EQ(NULL, kevent_ring_take(&self->a));
}

/* A position of three laps ago frees nothing of today. */
TEST_F(ring, late_commit)
{
	uint32_t n = variant->slots, i, lap;
	int fd = self->a.fd;
	uint64_t late;

	ASSERT_EQ((int)n, load_fire(fd, 0, n, 1));
	for (i = 0; i < n; i++) {
		ASSERT_TRUE(take(&self->a, i, 1));
	}
	late = self->a.next;
	for (lap = 2; lap < 5; lap++) {
		ASSERT_EQ((int)n, load_fire(fd, 0, n, lap));
		for (i = 0; i < n && lap < 4; i++) {
			ASSERT_TRUE(take(&self->b, i, lap));
		}
	}
	EXPECT_EQ(0, kevent_commit(fd, late, late >> 32));
	EXPECT_EQ(n, load_untaken(&self->a));
	for (i = 0; i < n; i++) {
		ASSERT_TRUE(take(&self->b, i, 4));
	}
	EXPECT_EQ(0, kevent_commit(fd, self->b.next, self->b.next >> 32));
}

/*
 * One consumer sleeps while another takes @behind events. Then @n fresh ones wait: the sleeper
 * finds these, each once, and nothing that was there before.
 */
static bool wake_up_behind(struct kevent_consumer *sleeper, struct kevent_consumer *other,
			   uint32_t behind, uint32_t fresh)
{
	uint32_t i;

	sleeper->next = kevent_ring_head(sleeper);
	for (i = 0; i < behind; i++)
		if (load_fire(sleeper->fd, 0, 1, 1) != 1 || !take(other, 0, 1))
			return false;
	if (load_fire(sleeper->fd, 0, fresh, 2) != (int)fresh)
		return false;
	for (i = 0; i < fresh; i++)
		if (!take(sleeper, i, 2))
			return false;
	return !kevent_ring_take(sleeper) && !kevent_ring_take(other) &&
	       !load_untaken(sleeper) && !load_taken(sleeper) && !sleeper->ring->ring_pending;
}

TEST_F_TIMEOUT(ring, every_lag, 120)
{
	const uint32_t n = variant->slots;
	const uint32_t behind[] = {
		0, 1, n - 1, n, n + 1, 2 * n, 255 * n - 1, 255 * n, 255 * n + 1, 256 * n - 1,
		256 * n, 256 * n + 1, 257 * n - 1, 257 * n, 257 * n + 1, 512 * n,
	};
	uint32_t i, fresh;

	for (i = 0; i < ARRAY_SIZE(behind); i++)
		for (fresh = 0; fresh <= n; fresh++) {
			ASSERT_TRUE(wake_up_behind(&self->a, &self->b, behind[i], fresh))
				TH_LOG("%u behind, %u fresh", behind[i], fresh);
		}
}

/* The same lags for a slot instead of a cursor: it is held, and the ring goes round it. */
TEST_F_TIMEOUT(ring, every_lag_of_a_held_slot, 120)
{
	const uint32_t n = variant->slots;
	const uint32_t laps[] = { 1, 255, 256, 257 };
	struct ukevent *held, ev;
	uint32_t i, k;

	for (i = 0; i < ARRAY_SIZE(laps); i++) {
		ASSERT_EQ(1, load_fire(self->a.fd, 0, 1, 3));
		held = kevent_ring_take(&self->a);
		ASSERT_NE(NULL, held);
		for (k = 0; k < laps[i] * n; k++) {
			ASSERT_EQ(1, load_fire(self->a.fd, 0, 1, 4));
			ASSERT_EQ(1, kevent_get_events(self->a.fd, 0, 1, NULL, &ev, 0));
			ASSERT_EQ(4U, kevent_ring_data(&ev));
		}
		EXPECT_TRUE(load_held(held, 1));
		EXPECT_EQ(3U, kevent_ring_data(held));
		EXPECT_EQ(NULL, kevent_ring_take(&self->b));
		kevent_ring_finish(&self->a, held);
		EXPECT_EQ(0U, load_taken(&self->a));
		EXPECT_EQ(NULL, kevent_ring_take(&self->a));
		EXPECT_EQ(NULL, kevent_ring_take(&self->b));
	}
}

#define WIDE	256U	/* slots: the ring spans several pages */

FIXTURE(mapping)
{
	struct kevent_consumer c;
	size_t bytes, page;
};

FIXTURE_SETUP(mapping)
{
	ASSERT_EQ(0, kevent_ring_open(&self->c, WIDE, 0, TESTER));
	ASSERT_EQ((int)WIDE, load_add(self->c.fd, 0, WIDE));
	self->bytes = kevent_ring_bytes(WIDE);
	self->page = sysconf(_SC_PAGESIZE);
	ASSERT_LT(self->page, self->bytes);
}

FIXTURE_TEARDOWN(mapping)
{
	close(self->c.fd);
	if (self->c.ring)
		munmap(self->c.ring, self->bytes);
}

/* All sources fire and are delivered by calls, with no regard to the mapping. */
static bool calls_deliver(struct kevent_consumer *c)
{
	struct ukevent buf[16];
	uint32_t next = 0;
	int i, n;

	if (load_fire(c->fd, 0, WIDE, 1) != (int)WIDE)
		return false;
	while ((n = kevent_get_events(c->fd, 0, 16, NULL, buf, 0)) > 0)
		for (i = 0; i < n; i++)
			if (!load_genuine(&buf[i], WIDE) || buf[i].id != next++)
				return false;
	return n == 0 && next == WIDE;
}

static bool ring_delivers(struct kevent_consumer *c)
{
	uint32_t i;

	if (load_fire(c->fd, 0, WIDE, 1) != (int)WIDE)
		return false;
	for (i = 0; i < WIDE; i++)
		if (!take(c, i, 1))
			return false;
	return !kevent_ring_take(c);
}

TEST_F(mapping, gone_and_back)
{
	ASSERT_EQ(0, munmap(self->c.ring, self->bytes));
	self->c.ring = NULL;
	EXPECT_TRUE(calls_deliver(&self->c));
	ASSERT_EQ(1, load_fire(self->c.fd, 7, 1, 5));
	ASSERT_EQ(0, kevent_ring_map(&self->c, self->c.fd, WIDE, TESTER));
	EXPECT_TRUE(take(&self->c, 7, 5));
	EXPECT_TRUE(ring_delivers(&self->c));
}

TEST_F(mapping, in_pieces)
{
	char *second = (char *)self->c.ring + self->page;

	munmap(second, self->page);
	EXPECT_TRUE(calls_deliver(&self->c));
}

TEST_F(mapping, read_only)
{
	ASSERT_EQ(0, mprotect(self->c.ring, self->bytes, PROT_READ));
	EXPECT_TRUE(calls_deliver(&self->c));
	ASSERT_EQ(0, mprotect(self->c.ring, self->bytes, PROT_NONE));
	EXPECT_TRUE(calls_deliver(&self->c));
	ASSERT_EQ(0, mprotect(self->c.ring, self->bytes, PROT_READ | PROT_WRITE));
	EXPECT_TRUE(ring_delivers(&self->c));
}

TEST_F(mapping, moved)
{
	void *room = mmap(NULL, self->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *moved;

	ASSERT_NE(MAP_FAILED, room);
	ASSERT_EQ(1, load_fire(self->c.fd, 7, 1, 5));
	moved = mremap(self->c.ring, self->bytes, self->bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		       room);
	ASSERT_EQ(room, moved);
	self->c.ring = moved;
	EXPECT_TRUE(take(&self->c, 7, 5));
	EXPECT_TRUE(ring_delivers(&self->c));
}

TEST_F(mapping, never_grows)
{
	EXPECT_EQ(MAP_FAILED, mremap(self->c.ring, self->bytes, 2 * self->bytes, MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(self->c.ring, self->bytes, self->bytes + self->page, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->bytes + self->page, PROT_READ | PROT_WRITE,
				   MAP_SHARED, self->c.fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_SHARED,
				   self->c.fd, self->bytes));
	EXPECT_TRUE(ring_delivers(&self->c));
}

/* The mapping keeps the ring, with what was in it, after the last descriptor. */
TEST_F(mapping, outlives_the_descriptor)
{
	ASSERT_EQ((int)WIDE, load_fire(self->c.fd, 0, WIDE, 1));
	ASSERT_EQ(0, close(self->c.fd));
	for (uint32_t i = 0; i < WIDE; i++) {
		ASSERT_TRUE(take(&self->c, i, 1));
	}
	EXPECT_EQ(NULL, kevent_ring_take(&self->c));
}

TEST_HARNESS_MAIN
