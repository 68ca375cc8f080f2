// SPDX-License-Identifier: GPL-2.0
/* kevent_commit(): which slots it frees, what it leaves alone, and what it posts again. */
#include "harness.h"

FIXTURE(commit)
{
	struct kevent_consumer c;
	struct kevent_consumer other;
	struct ukevent ev[8];
};

FIXTURE_SETUP(commit)
{
	ASSERT_EQ(0, kevent_ring_open(&self->c, 4, 0, 1));
	ASSERT_EQ(0, kevent_ring_join(&self->other, &self->c, 2));
	ASSERT_EQ(8, add_users(self->c.fd, 0, 8));
}

FIXTURE_TEARDOWN(commit)
{
	kevent_ring_close(&self->c);
}

/* A descriptor that is none, or is of something else, or has no ring. */
TEST_F(commit, bad_descriptor)
{
	int pipes[2], fd = kevent_init(NULL, 0, 0);

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_LE(0, fd);
	EXPECT_TRUE(FAILS(EBADF, kevent_commit(-1, 0, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_commit(pipes[0], 0, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_commit(fd, 0, 0)));
}

/* Slots before the position are free, the rest stays. */
TEST_F(commit, frees_up_to_position)
{
	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	EXPECT_EQ(2, kevent_commit(self->c.fd, 2, 0));
	EXPECT_EQ(2, take_id(&self->c));
	EXPECT_EQ(-1, take_id(&self->c));
	EXPECT_EQ(0, get_now(self->c.fd, 8, self->ev));
}

/* Behind the tail there is nothing to free. */
TEST_F(commit, behind_the_tail)
{
	EXPECT_EQ(0, kevent_commit(self->c.fd, 0, 0));
	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	EXPECT_EQ(0, kevent_commit(self->c.fd, 0, 0));
	EXPECT_EQ(2, kevent_commit(self->c.fd, 2, 0));
	EXPECT_EQ(0, kevent_commit(self->c.fd, 2, 0));
	EXPECT_EQ(0, kevent_commit(self->c.fd, 1, 0));
	EXPECT_EQ(0, kevent_commit(self->c.fd, 0, 0));
	EXPECT_EQ(2, take_id(&self->c));
}

/* What consumers finished is not freed again. */
TEST_F(commit, finished_is_free)
{
	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	EXPECT_EQ(0, take_id(&self->c));
	EXPECT_EQ(1, take_id(&self->c));
	EXPECT_EQ(0, kevent_commit(self->c.fd, 2, 0));
	EXPECT_EQ(1, kevent_commit(self->c.fd, 3, 0));
	EXPECT_EQ(-1, take_id(&self->c));
}

/* Past the head: refused, and nothing is freed. */
TEST_F(commit, past_the_head)
{
	static const unsigned int bad[] = { 4, 5, 8, 1U << 31, ~0U };
	int i;

	EXPECT_TRUE(FAILS(EINVAL, kevent_commit(self->c.fd, 1, 0)));
	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	for (i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_TRUE(FAILS(EINVAL, kevent_commit(self->c.fd, bad[i], 0)));
	EXPECT_EQ(0, take_id(&self->c));
	EXPECT_EQ(1, take_id(&self->c));
	EXPECT_EQ(2, take_id(&self->c));
}

/* A count of wraps that belongs to neither end. */
TEST_F(commit, wrong_wraps)
{
	static const unsigned int bad[] = { 1, 2, 1U << 31, ~0U };
	int i;

	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_TRUE(FAILS(EOVERFLOW, kevent_commit(self->c.fd, 0, bad[i])));
		EXPECT_TRUE(FAILS(EOVERFLOW, kevent_commit(self->c.fd, 3, bad[i])));
		EXPECT_TRUE(FAILS(EOVERFLOW, kevent_commit(self->c.fd, ~0U, bad[i])));
	}
	EXPECT_EQ(3, get_now(self->c.fd, 8, self->ev));
}

/* One call frees a full ring; what waited for room is in it then. */
TEST_F(commit, full_ring)
{
	ASSERT_EQ(7, ready_users(self->c.fd, 0, 7));
	EXPECT_EQ(4U, kevent_ring_head(&self->c));
	EXPECT_EQ(1, kevent_ring_pending(&self->c));
	EXPECT_EQ(4, kevent_commit(self->c.fd, 4, 0));
	EXPECT_EQ(7U, kevent_ring_head(&self->c));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
	EXPECT_EQ(4, take_id(&self->c));
	EXPECT_EQ(5, take_id(&self->c));
	EXPECT_EQ(6, take_id(&self->c));
	EXPECT_EQ(-1, take_id(&self->c));
}

/* It stops at a slot that a consumer holds, wherever that is. */
TEST_F(commit, stops_at_held_slot)
{
	struct ukevent *held;
	int first;

	for (first = 0; first < 4; first++) {
		unsigned int tail = (uint32_t)kevent_ring_head(&self->c);
		int i;

		ASSERT_EQ(first, ready_users(self->c.fd, 0, (unsigned int)first));
		kevent_ring_rewind(&self->other);
		self->other.next = tail + (unsigned int)first;
		ASSERT_EQ(4 - first, ready_users(self->c.fd, (uint64_t)first,
						 4 - (unsigned int)first));
		held = kevent_ring_take(&self->other);
		ASSERT_NE(NULL, held);
		ASSERT_EQ((uint64_t)first, held->id);

		EXPECT_EQ(first, kevent_commit(self->c.fd, tail + 4, 0));
		EXPECT_EQ(0, kevent_commit(self->c.fd, tail + 4, 0));
		EXPECT_TRUE(kevent_word_held_by(held->word, 2));
		EXPECT_EQ((uint64_t)first, held->id);
		for (i = first + 1; i < 4; i++) {
			const struct ukevent *ev = self->c.ring->event;

			ev += (tail + (unsigned int)i) & 3;
			EXPECT_TRUE(kevent_word_untaken(ev->word));
		}
		kevent_ring_finish(&self->other, held);
		EXPECT_EQ(3 - first, kevent_commit(self->c.fd, tail + 4, 0));
		EXPECT_EQ(0, get_now(self->c.fd, 8, self->ev));
	}
}

/* What owner 0 holds, it frees. */
TEST_F(commit, frees_for_owner_zero)
{
	ASSERT_EQ(0, kevent_ring_join(&self->other, &self->c, 0));
	ASSERT_EQ(4, ready_users(self->c.fd, 0, 4));
	ASSERT_NE(NULL, kevent_ring_take(&self->other));
	ASSERT_NE(NULL, kevent_ring_take(&self->other));
	EXPECT_EQ(2, kevent_commit(self->c.fd, (uint32_t)self->other.next,
				   (uint32_t)(self->other.next >> 32)));
	ASSERT_EQ(2, ready_users(self->c.fd, 4, 2));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
	EXPECT_EQ(2, take_id(&self->c));
	EXPECT_EQ(3, take_id(&self->c));
	EXPECT_EQ(4, take_id(&self->c));
	EXPECT_EQ(5, take_id(&self->c));
}

/* A commit that comes late, when its slots hold younger entries, does nothing. */
TEST_F(commit, late)
{
	unsigned int lap;

	for (lap = 0; lap < 600; lap++) {
		unsigned int begin = 4 * lap;

		ASSERT_EQ(4, ready_users(self->c.fd, 0, 4));
		ASSERT_EQ(0, kevent_commit(self->c.fd, begin, 0));
		if (lap > 0)
			ASSERT_EQ(0, kevent_commit(self->c.fd, begin - 2, 0));
		if (lap > 256)
			ASSERT_EQ(0, kevent_commit(self->c.fd, begin - 4 * 256 + 3, 0));
		ASSERT_EQ(4, kevent_commit(self->c.fd, begin + 4, 0));
	}
}

/* After a commit, the slots are filled again, and the entries found. */
TEST_F(commit, round_and_round)
{
	int i;

	for (i = 0; i < 3000; i++) {
		uint64_t id = (uint64_t)i % 8;

		ASSERT_EQ(1, ready(self->c.fd, id, 1));
		if (i % 3 == 0) {
			ASSERT_EQ((long long)id, take_id(&self->c));
			continue;
		}
		ASSERT_EQ(1, kevent_commit(self->c.fd, (unsigned int)i + 1, 0));
		ASSERT_EQ(-1, take_id(&self->c));
	}
}

/* A free slot behind a held one counts as one, and is not freed twice. */
TEST_F(commit, holes)
{
	struct ukevent *held;

	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	held = kevent_ring_take(&self->other);
	ASSERT_NE(NULL, held);
	/* Positions 1, 2, 3, then 5, as the slot of 4 is held. */
	ASSERT_EQ(4, ready_users(self->c.fd, 1, 4));
	EXPECT_EQ(1, kevent_ring_pending(&self->c));
	EXPECT_EQ(1, take_id(&self->c));
	ASSERT_EQ(1, kevent_ring_wait(&self->c, NULL) > 0);
	EXPECT_EQ(6U, kevent_ring_head(&self->c));
	EXPECT_EQ(3, kevent_commit(self->c.fd, 6, 0));
	EXPECT_TRUE(kevent_word_held_by(held->word, 2));
	EXPECT_EQ(0, get_now(self->c.fd, 8, self->ev));
	kevent_ring_finish(&self->other, held);
	EXPECT_EQ(0, kevent_commit(self->c.fd, 6, 0));
}

/*
 * The reader who only looks at entries, and commits.
 */

FIXTURE(reader)
{
	struct kevent_consumer c;
	struct ukevent *ev;
};

FIXTURE_SETUP(reader)
{
	ASSERT_EQ(0, kevent_ring_open(&self->c, 4, 0, 0));
	ASSERT_EQ(1, add_user(self->c.fd, 1, 7, 0));
	ASSERT_EQ(1, add_user(self->c.fd, 2, 7, 0));
	ASSERT_EQ(1, ready_data(self->c.fd, 1, 1, 10));
	self->ev = self->c.ring->event;
	ASSERT_EQ(1U, self->ev[0].fired);
	ASSERT_EQ(10U, self->ev[0].data);
}

FIXTURE_TEARDOWN(reader)
{
	kevent_ring_close(&self->c);
}

/* Nothing merged since: what was looked at does not come again. */
TEST_F(reader, looked_at_is_over)
{
	EXPECT_EQ(1, kevent_commit(self->c.fd, 1, 0));
	EXPECT_EQ(1U, kevent_ring_head(&self->c));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
	EXPECT_EQ(NULL, kevent_ring_take(&self->c));
}

/* What merged after publication is posted again, and nothing else. */
TEST_F(reader, merged_is_posted_again)
{
	ASSERT_EQ(1, ready_data(self->c.fd, 1, 2, 5));
	ASSERT_EQ(1, ready_data(self->c.fd, 1, 4, 6));
	EXPECT_EQ(1U, kevent_ring_head(&self->c));
	EXPECT_EQ(1, kevent_commit(self->c.fd, 1, 0));
	ASSERT_EQ(2U, kevent_ring_head(&self->c));
	EXPECT_EQ(1U, self->ev[1].id);
	EXPECT_EQ(6U, self->ev[1].fired);
	EXPECT_EQ(11U, self->ev[1].data);
	/* Once. */
	EXPECT_EQ(1, kevent_commit(self->c.fd, 2, 0));
	EXPECT_EQ(2U, kevent_ring_head(&self->c));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
}

/* Bits that fired again count as merged, although no bit is new. */
TEST_F(reader, same_bits_are_posted_again)
{
	ASSERT_EQ(1, ready_data(self->c.fd, 1, 1, 5));
	EXPECT_EQ(1, kevent_commit(self->c.fd, 1, 0));
	ASSERT_EQ(2U, kevent_ring_head(&self->c));
	EXPECT_EQ(1U, self->ev[1].fired);
	EXPECT_EQ(5U, self->ev[1].data);
}

/* Posting again wakes a sleeper. */
TEST_F(reader, posted_again_wakes)
{
	struct sleeper s;

	ASSERT_EQ(1, ready(self->c.fd, 1, 2));
	wait_sleeper(&s, &self->c, NULL);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(1, kevent_commit(self->c.fd, 1, 0));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(1, s.ret);
}

/* What is removed is not posted again. */
TEST_F(reader, removed_is_not_posted_again)
{
	ASSERT_EQ(1, ready(self->c.fd, 1, 2));
	ASSERT_EQ(1, remove_user(self->c.fd, 1));
	EXPECT_EQ(0, kevent_commit(self->c.fd, 1, 0));
	EXPECT_EQ(1U, kevent_ring_head(&self->c));
}

/* A ring full of merged entries, freed at once, is full of what merged. */
TEST_F(reader, full_ring_of_merged)
{
	uint64_t i;

	ASSERT_EQ(1, ready(self->c.fd, 2, 1));
	ASSERT_EQ(2, add_users(self->c.fd, 3, 2));
	ASSERT_EQ(2, ready_users(self->c.fd, 3, 2));
	for (i = 1; i <= 4; i++)
		ASSERT_EQ(1, ready_data(self->c.fd, i, 1, i));
	EXPECT_EQ(4, kevent_commit(self->c.fd, 4, 0));
	ASSERT_EQ(8U, kevent_ring_head(&self->c));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(i + 1, self->ev[i].id);
		EXPECT_EQ(i + 1, self->ev[i].data);
	}
}

struct firing {
	int fd;
	unsigned int rounds;
	uint64_t sum;
	bool failed;
	bool done;
};

/* Fires one event again and again; each round is told by a bit and a count. */
static void *fire_rounds(void *arg)
{
	struct firing *f = arg;
	unsigned int i;

	for (i = 0; i < f->rounds; i++) {
		if (ready_data(f->fd, 1, 1U << i % 3, 1) != 1)
			f->failed = true;
		f->sum++;
	}
	__atomic_store_n(&f->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * Against a producer: after each change that the reader misses, it finds another entry. So the
 * counts that it sees add up to at least what was fired.
 */
TEST_F(reader, loses_nothing)
{
	struct firing f = { .fd = self->c.fd, .rounds = 20000 };
	uint64_t at = 0, head, seen = 0;
	uint32_t mask = 0;
	pthread_t thread;
	bool last = false;

	ASSERT_EQ(0, pthread_create(&thread, NULL, fire_rounds, &f));
	while (!last) {
		last = __atomic_load_n(&f.done, __ATOMIC_ACQUIRE);
		while ((head = kevent_ring_head(&self->c)) != at) {
			for (; at != head; at++) {
				struct ukevent *ev = &self->ev[at & 3];

				ASSERT_EQ(1U, ev->id);
				mask |= __atomic_load_n(&ev->fired, __ATOMIC_RELAXED);
				seen += kevent_ring_data(ev);
			}
			ASSERT_LE(0, kevent_commit(self->c.fd, (uint32_t)at,
						   (uint32_t)(at >> 32)));
		}
	}
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_FALSE(f.failed);
	EXPECT_EQ(7U, mask);
	EXPECT_LE(f.sum + 10, seen);
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
}

TEST_HARNESS_MAIN
