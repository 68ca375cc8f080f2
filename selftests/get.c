// SPDX-License-Identifier: GPL-2.0
/* kevent_get_events(): counts, order, time, and what a fault or a signal must not lose. */
#include <sys/eventfd.h>

#include "watch.h"

#define LEVELS	256

FIXTURE(get)
{
	struct kevent_consumer c;
	struct ukevent ev[16];
	int fd;
};

FIXTURE_VARIANT(get)
{
	uint32_t slots;
};

/* Everything in the ring, most of it pending, all of it pending. */
FIXTURE_VARIANT_ADD(get, ring) { .slots = 16 };
FIXTURE_VARIANT_ADD(get, small_ring) { .slots = 2 };
FIXTURE_VARIANT_ADD(get, no_ring) { .slots = 0 };

FIXTURE_SETUP(get)
{
	if (variant->slots) {
		ASSERT_EQ(0, kevent_ring_open(&self->c, variant->slots, 0, 1));
		self->fd = self->c.fd;
	} else {
		self->fd = kevent_init(NULL, 0, 0);
		ASSERT_LE(0, self->fd);
	}
	ASSERT_EQ(8, add_users(self->fd, 0, 8));
}

FIXTURE_TEARDOWN(get)
{
	if (variant->slots)
		kevent_ring_close(&self->c);
	else
		close(self->fd);
}

/* A descriptor that is none, or is of something else. */
TEST_F(get, bad_descriptor)
{
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_TRUE(FAILS(EBADF, get_now(-1, 1, self->ev)));
	EXPECT_TRUE(FAILS(EINVAL, get_now(pipes[0], 1, self->ev)));
}

/* No room for an event, or less than is waited for. */
TEST_F(get, bad_counts)
{
	EXPECT_TRUE(FAILS(EINVAL, kevent_get_events(self->fd, 0, 0, NULL, self->ev, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_get_events(self->fd, 1, 0, NULL, self->ev, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_get_events(self->fd, 3, 2, NULL, self->ev, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_get_events(self->fd, ~0U, 16, NULL, self->ev, 0)));
}

/* Each flag without a meaning. */
TEST_F(get, unknown_flags)
{
	unsigned int bit;

	ASSERT_EQ(1, ready(self->fd, 0, 1));
	for (bit = 2; bit < 32; bit++)
		EXPECT_TRUE(FAILS(EINVAL, kevent_get_events(self->fd, 0, 1, NULL, self->ev,
							    1U << bit)));
	EXPECT_EQ(1, get_now(self->fd, 16, self->ev));
}

/* Never more than max_nr; nothing is nothing. */
TEST_F(get, at_most)
{
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	ASSERT_EQ(5, ready_users(self->fd, 0, 5));
	EXPECT_EQ(2, get_now(self->fd, 2, self->ev));
	EXPECT_EQ(1, get_now(self->fd, 1, self->ev));
	EXPECT_EQ(2, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
}

/* max_nr may be larger than any batch. */
TEST_F(get, at_most_everything)
{
	ASSERT_EQ(3, ready_users(self->fd, 0, 3));
	EXPECT_EQ(3, get_now(self->fd, ~0U, self->ev));
}

/* Events come in the order in which they fired, those of the ring and those that wait for room. */
TEST_F(get, order_of_firing)
{
	static const uint64_t order[] = { 5, 2, 7, 0, 6, 1 };
	int i;

	for (i = 0; i < ARRAY_LEN(order); i++)
		ASSERT_EQ(1, ready(self->fd, order[i], 1));
	/* Merged: keeps its place. */
	ASSERT_EQ(1, ready(self->fd, 7, 1));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, get_now(self->fd, 1, &self->ev[i]));
		EXPECT_EQ(order[i], self->ev[i].id);
	}
	/* Taken: goes behind. */
	ASSERT_EQ(1, ready(self->fd, 5, 1));
	ASSERT_EQ(4, get_now(self->fd, 16, self->ev));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(order[3 + i], self->ev[i].id);
	EXPECT_EQ(5U, self->ev[3].id);
}

/* min_nr events there: no sleep, whatever the timeout. */
TEST_F(get, enough_is_there)
{
	ASSERT_EQ(3, ready_users(self->fd, 0, 3));
	EXPECT_EQ(3, kevent_get_events(self->fd, 3, 16, NULL, self->ev, 0));
	ASSERT_EQ(3, ready_users(self->fd, 0, 3));
	EXPECT_EQ(3, kevent_get_events(self->fd, 2, 16, NULL, self->ev, 0));
	ASSERT_EQ(3, ready_users(self->fd, 0, 3));
	EXPECT_EQ(2, kevent_get_events(self->fd, 1, 2, NULL, self->ev, 0));
}

/* A sleeper returns when min_nr events are there, not before. */
TEST_F(get, sleeps_for_min)
{
	struct sleeper s;

	get_sleeper(&s, self->fd, 3, 16, NULL, self->ev);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(1, ready(self->fd, 4, 1));
	ASSERT_TRUE(sleeper_still_sleeps(&s));
	ASSERT_EQ(1, ready(self->fd, 3, 1));
	ASSERT_TRUE(sleeper_still_sleeps(&s));
	/* No third event, but more of the first. */
	ASSERT_EQ(1, ready(self->fd, 4, 1));
	ASSERT_TRUE(sleeper_still_sleeps(&s));
	ASSERT_EQ(1, ready(self->fd, 2, 1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(3, s.ret);
	EXPECT_EQ(4U, self->ev[0].id);
	EXPECT_EQ(3U, self->ev[1].id);
	EXPECT_EQ(2U, self->ev[2].id);
}

/* A timeout returns what is there, after that time and not before. */
TEST_F(get, timeout)
{
	struct __kernel_timespec ts = ns_to_timespec(60 * NS_PER_MS);
	struct sleeper s;

	get_sleeper(&s, self->fd, 1, 16, &ts, self->ev);
	sleeper_call(&s);
	EXPECT_EQ(0, s.ret);
	EXPECT_LE(60 * NS_PER_MS, s.ns);
	EXPECT_GE(GENEROUS_NS, s.ns);

	ASSERT_EQ(2, ready_users(self->fd, 0, 2));
	get_sleeper(&s, self->fd, 3, 16, &ts, self->ev);
	sleeper_call(&s);
	EXPECT_EQ(2, s.ret);
	EXPECT_LE(60 * NS_PER_MS, s.ns);
	EXPECT_GE(GENEROUS_NS, s.ns);
}

/* Absolute timeouts are on CLOCK_MONOTONIC. The past is over at once. */
TEST_F(get, absolute_timeout)
{
	uint64_t until = now_ns() + 60 * NS_PER_MS;
	struct __kernel_timespec ts = ns_to_timespec(until);
	struct sleeper s;

	get_sleeper(&s, self->fd, 1, 16, &ts, self->ev);
	s.flags = KEVENT_FLAGS_ABSTIME;
	sleeper_call(&s);
	EXPECT_EQ(0, s.ret);
	EXPECT_LE(until, now_ns());
	EXPECT_GE(GENEROUS_NS, s.ns);
	/* The same time again. */
	sleeper_call(&s);
	EXPECT_EQ(0, s.ret);
	EXPECT_GE(GENEROUS_NS, s.ns);
	ts = ns_to_timespec(0);
	sleeper_call(&s);
	EXPECT_EQ(0, s.ret);
	EXPECT_GE(GENEROUS_NS, s.ns);
}

/* A timeout of 0 does not sleep, and returns what is there. */
TEST_F(get, zero_timeout)
{
	struct __kernel_timespec ts = { 0 };

	EXPECT_EQ(0, kevent_get_events(self->fd, 1, 16, &ts, self->ev, 0));
	ASSERT_EQ(2, ready_users(self->fd, 0, 2));
	EXPECT_EQ(2, kevent_get_events(self->fd, 16, 16, &ts, self->ev, 0));
}

/* Times that are none, and addresses that are none; no event is lost over it. */
TEST_F(get, bad_timeout)
{
	static const struct __kernel_timespec bad[] = {
		{ .tv_sec = 0, .tv_nsec = -1 },
		{ .tv_sec = 0, .tv_nsec = 1000000000 },
		{ .tv_sec = -1, .tv_nsec = 0 },
		/* The upper half is padding of a 32-bit caller. */
		{ .tv_sec = 0, .tv_nsec = sizeof(long) == 8 ? 1LL << 32 : 1LL << 31 },
		{ .tv_sec = 1LL << 63, .tv_nsec = 0 },
	};
	char *pages = two_pages(PROT_NONE);
	int i;

	ASSERT_NE(NULL, pages);
	ASSERT_EQ(1, ready(self->fd, 0, 1));
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_TRUE(FAILS(EINVAL, kevent_get_events(self->fd, 2, 16, &bad[i], self->ev,
							    0))) TH_LOG("time %d", i);
		EXPECT_TRUE(FAILS(EINVAL, kevent_get_events(self->fd, 2, 16, &bad[i], self->ev,
							    KEVENT_FLAGS_ABSTIME)));
	}
	EXPECT_TRUE(FAILS(EFAULT, kevent_get_events(self->fd, 2, 16, across(pages, 0), self->ev,
						    0)));
	EXPECT_TRUE(FAILS(EFAULT, kevent_get_events(self->fd, 2, 16,
						    (char *)across(pages, 0) - 8, self->ev, 0)));
	EXPECT_EQ(1, get_now(self->fd, 16, self->ev));
}

/* The largest time is for ever, not an overflow. */
TEST_F(get, longest_timeout)
{
	struct __kernel_timespec ts = { .tv_sec = (1ULL << 63) - 1, .tv_nsec = 999999999 };
	struct sleeper s;

	get_sleeper(&s, self->fd, 1, 16, &ts, self->ev);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(1, s.ret);
}

/* Wherever in the buffer the bad page begins: what was copied counts, the rest is still there. */
TEST_F(get, fault_loses_nothing)
{
	char *pages = two_pages(PROT_NONE);
	unsigned int room, i;

	ASSERT_NE(NULL, pages);
	for (room = 0; room < 8; room++) {
		struct ukevent *buf = across(pages, room);
		int got;

		ASSERT_EQ(8, ready_users(self->fd, 0, 8));
		got = get_now(self->fd, 8, buf);
		if (room == 0) {
			EXPECT_EQ(-1, got);
			EXPECT_EQ(EFAULT, errno);
		} else {
			EXPECT_EQ((int)room, got);
		}
		for (i = 0; i < room; i++)
			EXPECT_EQ(i, buf[i].id);
		ASSERT_EQ(8 - (int)room, get_now(self->fd, 16, self->ev));
		for (; i < 8; i++)
			EXPECT_EQ(i, self->ev[i - room].id);
	}
	ASSERT_EQ(1, ready(self->fd, 3, 1));
	EXPECT_TRUE(FAILS(EFAULT, get_now(self->fd, 1, NULL)));
	EXPECT_TRUE(FAILS(EFAULT, get_now(self->fd, 1, (void *)-64UL)));
	EXPECT_EQ(1, get_now(self->fd, 1, self->ev));
}

/*
 * More events than are copied in one go, and a bad page anywhere: what was copied is in order and
 * can fire again, the rest keeps its place and merges.
 */
TEST_F(get, fault_in_a_long_batch)
{
	static const unsigned int rooms[] = { 1, 31, 32, 33, 50 };
	char *pages = two_pages(PROT_NONE);
	struct ukevent rest[64];
	unsigned int i, n;

	ASSERT_NE(NULL, pages);
	ASSERT_EQ(56, add_users(self->fd, 8, 56));
	for (n = 0; n < ARRAY_LEN(rooms); n++) {
		unsigned int room = rooms[n];
		struct ukevent *buf = across(pages, room);

		ASSERT_EQ(60, ready_users(self->fd, 0, 60));
		ASSERT_EQ((int)room, get_now(self->fd, 64, buf));
		for (i = 0; i < room; i++)
			EXPECT_EQ(i, buf[i].id);
		ASSERT_EQ(1, ready(self->fd, 0, 1));
		ASSERT_EQ(1, ready(self->fd, room, 1));
		ASSERT_EQ(1, ready(self->fd, 59, 1));
		ASSERT_EQ(61 - (int)room, get_now(self->fd, 64, rest));
		for (; i < 60; i++)
			EXPECT_EQ(i, rest[i - room].id);
		EXPECT_EQ(0U, rest[60 - room].id);
		EXPECT_EQ(0, get_now(self->fd, 64, rest));
	}
}

/* What is removed or changed between others is no longer waited for; these keep their order. */
TEST_F(get, order_of_what_is_left)
{
	static const uint64_t first[] = { 1, 2, 3, 5, 6 }, second[] = { 4, 7, 0 };
	int i;

	ASSERT_EQ(8, ready_users(self->fd, 0, 8));
	ASSERT_EQ(1, modify_user(self->fd, 0, 1, 0));
	ASSERT_EQ(1, remove_user(self->fd, 4));
	ASSERT_EQ(1, modify_user(self->fd, 7, 1, 0));
	ASSERT_EQ(5, get_now(self->fd, 16, self->ev));
	for (i = 0; i < ARRAY_LEN(first); i++)
		EXPECT_EQ(first[i], self->ev[i].id);
	ASSERT_EQ(1, add_user(self->fd, 4, 1, 0));
	for (i = 0; i < ARRAY_LEN(second); i++)
		ASSERT_EQ(1, ready(self->fd, second[i], 1));
	ASSERT_EQ(3, get_now(self->fd, 16, self->ev));
	for (i = 0; i < ARRAY_LEN(second); i++)
		EXPECT_EQ(second[i], self->ev[i].id);
}

/* One call takes what goes on, what ends and what is disabled, in the order of firing. */
TEST_F(get, all_kinds_in_order)
{
	static const uint32_t flags[] = {
		0, KEVENT_REQ_ONESHOT, 0, KEVENT_REQ_DISPATCH, KEVENT_REQ_WAKEUP_ALL, 0,
		KEVENT_REQ_ONESHOT, KEVENT_REQ_DISPATCH,
	};
	uint64_t i, n = 0;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(1, modify_user(self->fd, i, 1, flags[i]));
	ASSERT_EQ(8, ready_users(self->fd, 0, 8));
	ASSERT_EQ(8, kevent_get_events(self->fd, 8, 16, NULL, self->ev, 0));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i, self->ev[i].id);
	for (i = 0; i < 8; i++) {
		bool goes_on = !(flags[i] & (KEVENT_REQ_ONESHOT | KEVENT_REQ_DISPATCH));
		bool came = ready(self->fd, i, 1) == 1 && get_now(self->fd, 16, self->ev) == 1 &&
			    self->ev[0].id == i;

		EXPECT_EQ(goes_on, came);
		n += goes_on;
	}
	EXPECT_EQ(4U, n);
}

/* A buffer that begins in a good page and ends in a bad one, in the middle of an event. */
TEST_F(get, fault_within_an_event)
{
	char *pages = two_pages(PROT_NONE);
	int half;

	ASSERT_NE(NULL, pages);
	for (half = 8; half < 64; half += 8) {
		ASSERT_EQ(1, ready(self->fd, 3, 1));
		EXPECT_TRUE(FAILS(EFAULT, get_now(self->fd, 1, (void *)((char *)across(pages, 0) -
									half))));
		ASSERT_EQ(1, get_now(self->fd, 1, self->ev));
		EXPECT_EQ(3U, self->ev[0].id);
		EXPECT_EQ(1U, self->ev[0].fired);
	}
}

/* A read-only buffer is as bad. */
TEST_F(get, read_only_buffer)
{
	char *pages = two_pages(PROT_READ);

	ASSERT_NE(NULL, pages);
	ASSERT_EQ(2, ready_users(self->fd, 0, 2));
	EXPECT_TRUE(FAILS(EFAULT, get_now(self->fd, 2, across(pages, 0))));
	EXPECT_EQ(1, get_now(self->fd, 2, across(pages, 1)));
	EXPECT_EQ(1, get_now(self->fd, 2, self->ev));
	EXPECT_EQ(1U, self->ev[0].id);
}

/* A non-blocking queue never sleeps. */
TEST_F(get, nonblock)
{
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(0, kevent_get_events(self->fd, 16, 16, NULL, self->ev, 0));
	ASSERT_EQ(2, ready_users(self->fd, 0, 2));
	EXPECT_EQ(2, kevent_get_events(self->fd, 16, 16, NULL, self->ev, 0));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, 0));
}

/* READY without records lets one sleeper go, with nothing. */
TEST_F(get, kick)
{
	struct sleeper s;

	get_sleeper(&s, self->fd, 1, 16, NULL, self->ev);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(0, kick(self->fd));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(0, s.ret);
	/* Nobody sleeps: the next one does not. */
	ASSERT_EQ(0, kick(self->fd));
	EXPECT_EQ(0, kevent_get_events(self->fd, 1, 16, NULL, self->ev, 0));
}

/* A signal ends the sleep: EINTR when there is nothing, else what is there. */
TEST_F(get, signal)
{
	struct sleeper s;

	ASSERT_EQ(0, handle_signal(SIGUSR1));
	get_sleeper(&s, self->fd, 2, 16, NULL, self->ev);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(0, pthread_kill(s.thread, SIGUSR1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(-1, s.ret);
	EXPECT_EQ(EINTR, s.error);
	EXPECT_EQ(1, signals_handled);

	ASSERT_EQ(1, ready(self->fd, 6, 1));
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(0, pthread_kill(s.thread, SIGUSR1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(1, s.ret);
	EXPECT_EQ(6U, self->ev[0].id);
	EXPECT_EQ(2, signals_handled);
}

/* One event wakes one of two sleepers; the other one gets the next. */
TEST_F(get, one_event_one_sleeper)
{
	struct ukevent ev[2];
	struct sleeper s[2];
	int i, first;

	for (i = 0; i < 2; i++) {
		get_sleeper(&s[i], self->fd, 1, 1, NULL, &ev[i]);
		ASSERT_TRUE(sleeper_start(&s[i]));
	}
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	/* The one whose turn it is; both would be wrong. */
	for (first = 0; !sleeper_is_done(&s[first]); first = !first)
		nap();
	EXPECT_TRUE(sleeper_still_sleeps(&s[!first]));
	ASSERT_EQ(1, ready(self->fd, 2, 1));
	ASSERT_TRUE(sleeper_join(&s[0]));
	ASSERT_TRUE(sleeper_join(&s[1]));
	EXPECT_EQ(1, s[first].ret);
	EXPECT_EQ(1U, ev[first].id);
	EXPECT_EQ(1, s[!first].ret);
	EXPECT_EQ(2U, ev[!first].id);
}

/* Each of many sleepers gets one event of a batch. */
TEST_F(get, batch_wakes_as_many)
{
	struct ukevent batch[8], ev[8];
	struct sleeper s[8];
	unsigned int seen = 0;
	int i;

	for (i = 0; i < 8; i++) {
		batch[i] = user_request((uint64_t)i, 1, 0);
		get_sleeper(&s[i], self->fd, 1, 1, NULL, &ev[i]);
		ASSERT_TRUE(sleeper_start(&s[i]));
	}
	ASSERT_EQ(8, kevent_ctl(self->fd, KEVENT_CTL_READY, 8, batch));
	for (i = 0; i < 8; i++) {
		ASSERT_TRUE(sleeper_join(&s[i]));
		ASSERT_EQ(1, s[i].ret);
		ASSERT_GT(8U, ev[i].id);
		seen |= 1U << ev[i].id;
	}
	EXPECT_EQ(0xffU, seen);
}

/* Closing the last descriptor of a queue does not wait for who sleeps on it, and frees nothing. */
TEST(close_under_a_sleeper)
{
	struct __kernel_timespec ts = ns_to_timespec(100 * NS_PER_MS);
	int fd = kevent_init(NULL, 0, 0);
	struct ukevent ev;
	struct sleeper s;

	ASSERT_LE(0, fd);
	get_sleeper(&s, fd, 1, 1, &ts, &ev);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(0, close(fd));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(0, s.ret);
}

/* A level that a call delivers is for the next one to look at again, whatever this one finds. */
TEST(level_once_in_a_call)
{
	int fd = kevent_init(NULL, 0, 0), one[2], other[2], i;
	struct ukevent ev[8];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pipe(one));
	ASSERT_EQ(0, pipe(other));
	ASSERT_EQ(1, add_file(fd, one[0], POLLIN, 0));
	ASSERT_EQ(1, add_file(fd, other[0], POLLIN, KEVENT_REQ_LAST_CHECK));
	ASSERT_EQ(1, write(one[1], "x", 1));
	ASSERT_EQ(1, write(other[1], "x", 1));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(2, get_now(fd, 8, ev));
		EXPECT_EQ((uint64_t)one[0], ev[0].id);
		EXPECT_EQ((uint64_t)other[0], ev[1].id);
	}
	close(fd);
}

/* A call looks at levels again until it has what there is room for; the next one goes on there. */
TEST(looks_until_full)
{
	int fd = kevent_init(NULL, 0, 0), file = eventfd(1, EFD_NONBLOCK), dups[LEVELS], i;
	struct ukevent ev[LEVELS];
	bool seen[LEVELS] = { false };
	eventfd_t one;

	ASSERT_LE(0, fd);
	for (i = 0; i < LEVELS; i++) {
		dups[i] = dup(file);
		ASSERT_EQ(1, add_file(fd, dups[i], POLLIN, 0));
	}
	ASSERT_EQ(LEVELS, get_now(fd, LEVELS, ev));
	ASSERT_EQ(LEVELS, get_now(fd, LEVELS, ev));
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(LEVELS / 3, get_now(fd, LEVELS / 3, ev)) TH_LOG("call %d", i);
	}
	for (i = 0; i < 2 * LEVELS; i++) {
		ASSERT_EQ(1, get_now(fd, 1, ev));
		ASSERT_LE((uint64_t)dups[0], ev[0].id);
		ASSERT_GE((uint64_t)dups[LEVELS - 1], ev[0].id);
		seen[ev[0].id - (uint64_t)dups[0]] = true;
	}
	for (i = 0; i < LEVELS; i++) {
		EXPECT_TRUE(seen[i]) TH_LOG("level %d", i);
	}
	/* So nothing is left from a time when it was true. */
	ASSERT_EQ(LEVELS, get_now(fd, LEVELS, ev));
	ASSERT_EQ(1, get_now(fd, 1, ev));
	ASSERT_EQ(0, eventfd_read(file, &one));
	EXPECT_EQ(0, get_now(fd, LEVELS, ev));
	for (i = 0; i < LEVELS; i++)
		close(dups[i]);
	close(file);
	close(fd);
}

/* On a ring, the call is one more consumer: each event goes to it or to a taker. */
TEST(beside_a_ring_consumer)
{
	struct kevent_consumer c;
	struct ukevent ev[4], *held;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(3, add_users(c.fd, 0, 3));
	ASSERT_EQ(3, ready_users(c.fd, 0, 3));
	held = kevent_ring_take(&c);
	ASSERT_NE(NULL, held);
	ASSERT_EQ(1, get_now(c.fd, 1, ev));
	EXPECT_EQ(1U, ev[0].id);
	EXPECT_EQ(2, take_id(&c));
	EXPECT_EQ(-1, take_id(&c));
	EXPECT_EQ(0, get_now(c.fd, 4, ev));
	EXPECT_EQ(0U, held->id);
	kevent_ring_finish(&c, held);
	EXPECT_EQ(0, get_now(c.fd, 4, ev));
	kevent_ring_close(&c);
}

/* The slot of an event that the call took is free. */
TEST(frees_slots)
{
	struct kevent_consumer c;
	struct ukevent ev[4];
	int i;

	ASSERT_EQ(0, kevent_ring_open(&c, 2, 0, 1));
	ASSERT_EQ(2, add_users(c.fd, 0, 2));
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(2, ready_users(c.fd, 0, 2));
		ASSERT_EQ(0, kevent_ring_pending(&c));
		ASSERT_EQ(2, get_now(c.fd, 4, ev));
	}
	EXPECT_EQ(2000U, kevent_ring_head(&c));
	kevent_ring_close(&c);
}

/* Events come from the kernel's own data: what is written over the mapping is not believed. */
TEST(not_read_from_the_mapping)
{
	struct kevent_consumer c;
	struct ukevent ev[4];
	int i;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(4, add_users(c.fd, 0, 4));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(1, ready_data(c.fd, (uint64_t)i, 1, 10 + (uint64_t)i));
	for (i = 0; i < 4; i++)
		memset(&c.ring->event[i], 0xa5, offsetof(struct ukevent, word));
	c.ring->ring_position = 0xa5a5a5a5a5a5a5a5ULL;
	c.ring->ring_slots = 0xa5a5a5a5;
	c.ring->ring_pending = 0xa5a5a5a5;
	ASSERT_EQ(4, get_now(c.fd, 4, ev));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ((uint64_t)i, ev[i].id);
		EXPECT_EQ(~(uint64_t)i, ev[i].user);
		EXPECT_EQ(10 + (uint64_t)i, ev[i].data);
		EXPECT_EQ((uint32_t)KEVENT_USER, ev[i].type);
		EXPECT_EQ(1U, ev[i].event);
		EXPECT_EQ(1U, ev[i].fired);
		EXPECT_EQ(0U, ev[i].req_flags);
		EXPECT_EQ(0U, ev[i].error);
		EXPECT_EQ(0U, ev[i].param[1]);
	}
	/* The next entry is where the kernel knows it to be. */
	ASSERT_EQ(1, ready(c.fd, 2, 1));
	EXPECT_EQ(5U, c.ring->ring_position);
	EXPECT_EQ(2U, c.ring->event[0].id);
	kevent_ring_close(&c);
}

TEST_HARNESS_MAIN
