// SPDX-License-Identifier: GPL-2.0
/* The ring between kernel and consumers: order, merging, laps, held slots, and who owns what. */
#include "harness.h"

FIXTURE(ring)
{
	struct kevent_consumer c;	/* owner 1 */
	struct kevent_consumer d;	/* owner 2 */
	struct ukevent ev[16];
};

FIXTURE_VARIANT(ring)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(ring, 1) { .slots = 1 };
FIXTURE_VARIANT_ADD(ring, 2) { .slots = 2 };
FIXTURE_VARIANT_ADD(ring, 8) { .slots = 8 };

FIXTURE_SETUP(ring)
{
	ASSERT_EQ(0, kevent_ring_open(&self->c, variant->slots, 0, 1));
	ASSERT_EQ(0, kevent_ring_join(&self->d, &self->c, 2));
	ASSERT_EQ(16, add_users(self->c.fd, 0, 16));
}

FIXTURE_TEARDOWN(ring)
{
	kevent_ring_close(&self->c);
}

/* The kernel fills the ring when the event fires, not when somebody waits. */
TEST_F(ring, filled_without_wait)
{
	ASSERT_EQ(1, ready(self->c.fd, 3, 1));
	EXPECT_EQ(1U, kevent_ring_head(&self->c));
	EXPECT_EQ(3, take_id(&self->c));
}

/* Entries come in the order in which they fired, also those that waited for room. */
TEST_F(ring, order)
{
	int i;

	for (i = 15; i >= 0; i--)
		ASSERT_EQ(1, ready(self->c.fd, (uint64_t)i, 1));
	for (i = 15; i >= 0; i--) {
		long long id = take_id(&self->c);

		if (id < 0) {
			ASSERT_EQ(1, kevent_ring_pending(&self->c));
			ASSERT_LT(0, kevent_ring_wait(&self->c, NULL));
			id = take_id(&self->c);
		}
		ASSERT_EQ(i, id);
	}
	EXPECT_EQ(-1, take_id(&self->c));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
}

/* An event that fires when older ones wait for room goes behind them, though room is there. */
TEST_F(ring, nothing_overtakes)
{
	int i, n = (int)variant->slots;

	ASSERT_EQ(n + 2, ready_users(self->c.fd, 0, variant->slots + 2));
	for (i = 0; i < n; i++)
		ASSERT_EQ(i, take_id(&self->c));
	ASSERT_EQ(1, ready(self->c.fd, 15, 1));
	for (; i < n + 2; i++) {
		if (kevent_ring_head(&self->c) == self->c.next)
			ASSERT_LT(0, kevent_ring_wait(&self->c, NULL));
		ASSERT_EQ(i, take_id(&self->c));
	}
	if (kevent_ring_head(&self->c) == self->c.next)
		ASSERT_LT(0, kevent_ring_wait(&self->c, NULL));
	EXPECT_EQ(15, take_id(&self->c));
	EXPECT_EQ(-1, take_id(&self->c));
}

/* Until it is taken, one registration has one entry, which gathers what fires. */
TEST_F(ring, merges_until_taken)
{
	struct ukevent *ev;
	int i;

	ASSERT_EQ(1, add_user(self->c.fd, 100, 7, 0));
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(1, ready_data(self->c.fd, 100, 1U << i % 2, 1));
	EXPECT_EQ(1U, kevent_ring_head(&self->c));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
	ev = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, ev);
	EXPECT_EQ(3U, ev->fired);
	EXPECT_EQ(1000U, kevent_ring_data(ev));
	/* Taken: what fires now is another event. */
	ASSERT_EQ(1, ready_data(self->c.fd, 100, 4, 5));
	EXPECT_EQ(3U, ev->fired);
	EXPECT_EQ(1000U, kevent_ring_data(ev));
	kevent_ring_finish(&self->c, ev);
	kevent_wait(self->c.fd, 1, 0, NULL, 0);
	ev = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, ev);
	EXPECT_EQ(4U, ev->fired);
	EXPECT_EQ(5U, kevent_ring_data(ev));
}

/* The same for an event that waits for room. */
TEST_F(ring, merges_while_pending)
{
	struct ukevent *ev;
	uint32_t i;

	ASSERT_EQ(1, add_user(self->c.fd, 100, 7, 0));
	ASSERT_EQ((int)variant->slots, ready_users(self->c.fd, 0, variant->slots));
	ASSERT_EQ(1, ready_data(self->c.fd, 100, 1, 1));
	ASSERT_EQ(1, ready_data(self->c.fd, 100, 2, 2));
	for (i = 0; i < variant->slots; i++)
		ASSERT_EQ((long long)i, take_id(&self->c));
	ASSERT_EQ(1, kevent_ring_wait(&self->c, NULL));
	ev = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, ev);
	EXPECT_EQ(100U, ev->id);
	EXPECT_EQ(3U, ev->fired);
	EXPECT_EQ(3U, kevent_ring_data(ev));
}

/* A taker closes the count, which stays readable. */
TEST_F(ring, count_is_closed)
{
	struct ukevent *ev;

	ASSERT_EQ(1, ready_data(self->c.fd, 0, 1, 42));
	ev = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, ev);
	EXPECT_TRUE(flags_of(ev) & KEVENT_RET_COUNTED);
	EXPECT_EQ(42 | KEVENT_DATA_CLOSED, ev->data);
	EXPECT_EQ(42U, kevent_ring_data(ev));
}

/* A count that was closed before its entry was taken is not added to: it goes with the next. */
TEST_F(ring, closed_count_takes_no_more)
{
	struct ukevent *slot = &self->c.ring->event[0];
	uint64_t sum = 0;
	int i;

	ASSERT_EQ(1, ready_data(self->c.fd, 0, 1, 10));
	__atomic_fetch_or(&slot->data, KEVENT_DATA_CLOSED, __ATOMIC_RELAXED);
	ASSERT_EQ(1, ready_data(self->c.fd, 0, 1, 5));
	EXPECT_EQ(10 | KEVENT_DATA_CLOSED, slot->data);
	for (i = 0; i < 2; i++) {
		struct ukevent *ev = kevent_ring_take(&self->c);

		if (!ev) {
			ASSERT_EQ(1, kevent_ring_wait(&self->c, NULL));
			ev = kevent_ring_take(&self->c);
		}
		ASSERT_NE(NULL, ev);
		sum += kevent_ring_data(ev);
		kevent_ring_finish(&self->c, ev);
	}
	EXPECT_EQ(15U, sum);
}

/* Two consumers share out the events: each goes to one of them. */
TEST_F(ring, taken_once)
{
	struct ukevent *ev;

	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	ev = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, ev);
	EXPECT_EQ(NULL, kevent_ring_take(&self->d));
	EXPECT_EQ(0, get_now(self->c.fd, 1, self->ev));
	EXPECT_TRUE(kevent_word_held_by(ev->word, 1));
	/* Another one's finish has no effect. */
	kevent_ring_finish(&self->d, ev);
	EXPECT_TRUE(kevent_word_held_by(ev->word, 1));
	kevent_ring_finish(&self->c, ev);
	EXPECT_EQ(KEVENT_WORD_FINISHED, ev->word & KEVENT_WORD_FINISHED);
	EXPECT_EQ(NULL, kevent_ring_take(&self->d));
}

/* The word names the owner in its whole width, and the lap. */
TEST_F(ring, owner_and_lap_in_the_word)
{
	static const uint32_t owners[] = { 0, 1, 2, 0x1555, 0x2aaa, KEVENT_OWNER_MAX };
	struct kevent_consumer c;
	int i;

	for (i = 0; i < ARRAY_LEN(owners); i++) {
		struct ukevent *ev;

		ASSERT_EQ(0, kevent_ring_join(&c, &self->c, owners[i]));
		ASSERT_EQ(1, ready(self->c.fd, 0, 1));
		ev = kevent_ring_take(&c);
		ASSERT_NE(NULL, ev);
		EXPECT_EQ(owners[i], kevent_word_owner(ev->word));
		EXPECT_EQ((uint32_t)i / variant->slots + 1, kevent_word_lap(ev->word));
		EXPECT_EQ(1U, ev->fired);
		EXPECT_TRUE(kevent_word_held_by(ev->word, owners[i]));
		kevent_ring_finish(&c, ev);
	}
	EXPECT_EQ(-1, kevent_ring_join(&c, &self->c, KEVENT_OWNER_MAX + 1));
	EXPECT_EQ(EINVAL, errno);
}

/* Every lap, through all 256 values of its bits and on: nothing is missed, nothing comes twice. */
TEST_F(ring, all_laps)
{
	uint32_t i, n = 600 * variant->slots;

	for (i = 0; i < n; i++) {
		ASSERT_EQ(1, ready(self->c.fd, i % 16, 1));
		ASSERT_EQ((long long)(i % 16), take_id(&self->c)) TH_LOG("position %u", i);
		ASSERT_EQ(-1, take_id(&self->c));
	}
	EXPECT_EQ(n, kevent_ring_head(&self->c));
	EXPECT_EQ(n, self->c.ring->ring_kidx);
	EXPECT_EQ(0U, self->c.ring->ring_over);
}

/* A consumer that was away for any number of laps finds what is there, and only that. */
TEST_F(ring, late_consumer)
{
	static const uint32_t laps[] = {
		0, 1, 2, 3, 4, 5, 17, 64, 127, 128, 254, 255, 256, 257, 258, 400, 511, 512, 513,
	};
	uint32_t i;
	int k;

	for (k = 0; k < ARRAY_LEN(laps); k++) {
		uint32_t away = laps[k];

		ASSERT_EQ(0, kevent_ring_join(&self->d, &self->c, 2));
		for (i = 0; i < away * variant->slots; i++) {
			ASSERT_EQ(1, ready(self->c.fd, 0, 1));
			ASSERT_EQ(0, take_id(&self->c));
		}
		if (away % 2)
			ASSERT_EQ(-1, take_id(&self->d));
		ASSERT_EQ(1, ready(self->c.fd, 5, 1));
		ASSERT_EQ(5, take_id(&self->d)) TH_LOG("%u laps", away);
		ASSERT_EQ(-1, take_id(&self->d));
		ASSERT_EQ(-1, take_id(&self->c));
	}
}

/* A consumer that joins finds all that is untaken, and nothing else. */
TEST_F(ring, joining)
{
	uint32_t i;

	for (i = 0; i < 3 * variant->slots + 1; i++) {
		ASSERT_EQ(1, ready(self->c.fd, 0, 1));
		ASSERT_EQ(0, take_id(&self->c));
	}
	ASSERT_EQ(0, kevent_ring_join(&self->d, &self->c, 2));
	EXPECT_EQ(-1, take_id(&self->d));
	ASSERT_EQ((int)variant->slots, ready_users(self->c.fd, 0, variant->slots));
	ASSERT_EQ(0, kevent_ring_join(&self->d, &self->c, 2));
	for (i = 0; i < variant->slots; i++)
		EXPECT_EQ((long long)i, take_id(&self->d));
	EXPECT_EQ(-1, take_id(&self->d));
}

/* A held slot costs one slot: entries go round it, as often as there is room elsewhere. */
TEST_F(ring, steps_over_held_slot)
{
	struct ukevent *held;
	uint32_t i;

	ASSERT_EQ(1, ready(self->c.fd, 15, 1));
	held = kevent_ring_take(&self->d);
	ASSERT_NE(NULL, held);
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(1, ready(self->c.fd, i % 8, 1));
		if (variant->slots == 1) {
			ASSERT_EQ(-1, take_id(&self->c));
			ASSERT_EQ(1, kevent_ring_pending(&self->c));
			ASSERT_EQ(1, get_now(self->c.fd, 1, self->ev));
			ASSERT_EQ(i % 8, self->ev[0].id);
			continue;
		}
		ASSERT_EQ(0, kevent_ring_pending(&self->c));
		ASSERT_EQ((long long)(i % 8), take_id(&self->c));
		ASSERT_EQ(-1, take_id(&self->c));
	}
	EXPECT_EQ(15U, held->id);
	EXPECT_EQ(~15ULL, held->user);
	EXPECT_TRUE(kevent_word_held_by(held->word, 2));
	kevent_ring_finish(&self->d, held);
	/* The slot is in use again. */
	ASSERT_EQ((int)variant->slots, ready_users(self->c.fd, 0, variant->slots));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
	for (i = 0; i < variant->slots; i++)
		ASSERT_EQ((long long)i, take_id(&self->c));
}

/* With as many slots as registrations and held entries, nothing ever waits for room. */
TEST_F(ring, room_for_registrations_and_held)
{
	struct ukevent *held[8];
	uint32_t holding, i, round;

	for (holding = 0; holding < variant->slots; holding++) {
		for (i = 0; i < holding; i++) {
			ASSERT_EQ(1, ready(self->c.fd, 15, 1));
			held[i] = kevent_ring_take(&self->d);
			ASSERT_NE(NULL, held[i]);
		}
		for (round = 0; round < 20; round++) {
			uint32_t room = variant->slots - holding;

			ASSERT_EQ((int)room, ready_users(self->c.fd, 0, room));
			ASSERT_EQ(0, kevent_ring_pending(&self->c));
			for (i = 0; i < room; i++)
				ASSERT_EQ((long long)i, take_id(&self->c));
		}
		for (i = 0; i < holding; i++) {
			ASSERT_EQ(15U, held[i]->id);
			kevent_ring_finish(&self->d, held[i]);
		}
	}
}

/* What an owner held who is gone, another one finishes; the rest is untouched. */
TEST_F(ring, recover)
{
	uint32_t i;

	ASSERT_EQ((int)variant->slots, ready_users(self->c.fd, 0, variant->slots));
	for (i = 0; i < variant->slots; i++)
		ASSERT_NE(NULL, kevent_ring_take(i % 2 ? &self->c : &self->d));
	EXPECT_EQ(0U, kevent_ring_recover(&self->c, 3));
	EXPECT_EQ((variant->slots + 1) / 2, kevent_ring_recover(&self->c, 2));
	EXPECT_EQ(0U, kevent_ring_recover(&self->c, 2));
	for (i = 0; i < variant->slots; i++)
		EXPECT_EQ(i % 2, kevent_word_held_by(self->c.ring->event[i].word, 1) ? 1U : 0U);
	ASSERT_EQ(1, ready(self->c.fd, 14, 1));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
	EXPECT_EQ(14, take_id(&self->c));
}

/* Its events can be had too, with their counts. */
TEST_F(ring, inherit)
{
	struct ukevent *ev;

	ASSERT_EQ(1, ready_data(self->c.fd, 7, 1, 70));
	ASSERT_NE(NULL, kevent_ring_take(&self->d));
	EXPECT_EQ(NULL, kevent_ring_inherit(&self->c, 1));
	EXPECT_EQ(NULL, kevent_ring_inherit(&self->c, 3));
	ev = kevent_ring_inherit(&self->c, 2);
	ASSERT_NE(NULL, ev);
	EXPECT_EQ(7U, ev->id);
	EXPECT_EQ(70U, kevent_ring_data(ev));
	EXPECT_TRUE(kevent_word_held_by(ev->word, 1));
	EXPECT_EQ(NULL, kevent_ring_inherit(&self->c, 2));
	kevent_ring_finish(&self->c, ev);
	ASSERT_EQ(1, ready(self->c.fd, 7, 1));
	EXPECT_EQ(7, take_id(&self->c));
}

/* An owner that was declared dead and is not can do no harm to what came after. */
TEST_F(ring, late_finish)
{
	struct ukevent *mine, *theirs;

	ASSERT_EQ(1, ready(self->c.fd, 1, 1));
	mine = kevent_ring_take(&self->d);
	ASSERT_NE(NULL, mine);
	ASSERT_EQ(1U, kevent_ring_recover(&self->c, 2));
	/* Its slot is filled and taken again. */
	do {
		ASSERT_EQ(1, ready(self->c.fd, 2, 1));
		theirs = kevent_ring_take(&self->c);
		ASSERT_NE(NULL, theirs);
		if (theirs != mine)
			kevent_ring_finish(&self->c, theirs);
	} while (theirs != mine);
	kevent_ring_finish(&self->d, mine);
	EXPECT_TRUE(kevent_word_held_by(theirs->word, 1));
	kevent_ring_finish(&self->c, theirs);
	ASSERT_EQ(1, ready(self->c.fd, 3, 1));
	EXPECT_EQ(3, take_id(&self->c));
}

/* The second cache line belongs to the sharers: the kernel leaves it alone. */
TEST_F(ring, shared_words)
{
	struct ukevent ev[2];
	int i;

	for (i = 0; i < 8; i++)
		self->c.ring->shared[i] = 0x1111111111111111ULL * (uint64_t)i;
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(16, ready_users(self->c.fd, 0, 16));
		while (get_now(self->c.fd, 2, ev) > 0)
			;
	}
	for (i = 0; i < 8; i++)
		EXPECT_EQ(0x1111111111111111ULL * (uint64_t)i, self->c.ring->shared[i]);
	for (i = 0; i < 6; i++)
		EXPECT_EQ(0U, self->c.ring->reserved[i]);
}

TEST_HARNESS_MAIN
