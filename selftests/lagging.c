// SPDX-License-Identifier: GPL-2.0
/*
 * Two slots for 1,000 registrations, and one of four consumers stands still while it holds the
 * oldest slot. The others lose nothing, keep the order, and do not wait for it.
 */
#include "kselftest_harness.h"
#include "load.h"

#define SLOTS		2
#define SOURCES		1000U
#define ROUNDS		4U
#define CONSUMERS	4
#define STOPPED		1	/* owner, and index + 1 in the list of consumers */
#define TESTER		9

/* Serials count from 0 in the order of firing: registration serial % SOURCES, data serial + 1. */
struct ledger {
	uint32_t num;
	uint32_t odd;		/* events that the kernel cannot have written */
	uint32_t serial[SOURCES * ROUNDS + 1];
};

struct shared {
	uint32_t done;		/* events seen by anyone */
	uint32_t stop;
	struct ledger of[CONSUMERS];
};

FIXTURE(lagging)
{
	struct kevent_consumer c;
	struct shared *s;
	pid_t pid[CONSUMERS];
};

FIXTURE_SETUP(lagging)
{
	memset(self->pid, 0, sizeof(self->pid));
	self->s = load_share(sizeof(*self->s));
	ASSERT_NE(NULL, self->s);
	ASSERT_EQ(0, kevent_ring_open(&self->c, SLOTS, 0, TESTER));
	ASSERT_EQ((int)SOURCES, load_add(self->c.fd, 0, SOURCES));
}

FIXTURE_TEARDOWN(lagging)
{
	kevent_ring_close(&self->c);
	munmap(self->s, sizeof(*self->s));
}

/* To be called while the event is in the caller's hands. */
static void note(struct shared *s, int who, const struct ukevent *ev)
{
	struct ledger *l = &s->of[who];
	uint64_t serial = kevent_ring_data(ev) - 1;

	if (!load_genuine(ev, SOURCES) || serial % SOURCES != ev->id ||
	    serial >= SOURCES * ROUNDS || l->num >= SOURCES * ROUNDS) {
		load_inc(&l->odd, 1);
		return;
	}
	l->serial[l->num] = serial;
	load_set(&l->num, l->num + 1);
}

/* Takes the oldest slot and stands still with it; goes on when somebody sends SIGCONT. */
static void hold(struct _test_data_lagging *self)
{
	struct kevent_consumer c;
	struct ukevent *ev;

	if (kevent_ring_join(&c, &self->c, STOPPED))
		_exit(1);
	ev = kevent_ring_take(&c);
	if (!ev)
		_exit(2);
	raise(SIGSTOP);
	/* Late, and no more than that: the entry is as it was, the commit passes nothing. */
	note(self->s, STOPPED - 1, ev);
	if (kevent_commit(c.fd, c.next, c.next >> 32) != 0)
		_exit(3);
	kevent_ring_finish(&c, ev);
	load_inc(&self->s->done, 1);
	_exit(0);
}

static void consume_ring(struct _test_data_lagging *self, int who)
{
	struct kevent_consumer c;
	struct ukevent *ev;

	if (kevent_ring_join(&c, &self->c, who + 1))
		_exit(1);
	while (!load_get(&self->s->stop)) {
		while ((ev = kevent_ring_take(&c))) {
			note(self->s, who, ev);
			kevent_ring_finish(&c, ev);
			load_inc(&self->s->done, 1);
		}
		if (kevent_ring_wait(&c, NULL) < 0)
			_exit(4);
	}
	_exit(0);
}

static void consume_calls(struct _test_data_lagging *self, int who)
{
	struct ukevent buf[16];
	int i, n;

	while (!load_get(&self->s->stop)) {
		n = kevent_get_events(self->c.fd, 1, 16, NULL, buf, 0);
		if (n < 0)
			_exit(5);
		for (i = 0; i < n; i++)
			note(self->s, who, &buf[i]);
		load_inc(&self->s->done, n);
	}
	_exit(0);
}

static pid_t start(struct _test_data_lagging *self, int who)
{
	pid_t pid = load_fork();

	if (pid == 0) {
		if (who + 1 == STOPPED)
			hold(self);
		else if (who == 1)
			consume_ring(self, who);
		else
			consume_calls(self, who);
	}
	self->pid[who] = pid;
	return pid;
}

static bool fire_from(struct _test_data_lagging *self, uint32_t serial, uint32_t num)
{
	for (; num--; serial++)
		if (load_fire(self->c.fd, serial % SOURCES, 1, serial + 1) != 1)
			return false;
	return true;
}

/* Fires two events and waits until the first consumer stands still with the older one. */
static bool start_holder(struct _test_data_lagging *self)
{
	int status;

	return fire_from(self, 0, 2) && start(self, STOPPED - 1) > 0 &&
	       waitpid(self->pid[STOPPED - 1], &status, WUNTRACED) == self->pid[STOPPED - 1] &&
	       WIFSTOPPED(status) && load_held(&self->c.ring->event[0], STOPPED);
}

/* Waits until @num events are done; false: nothing moves any more. */
static bool all_done(struct _test_data_lagging *self, uint32_t num)
{
	uint32_t done, last = 0;
	time_t since = load_now();

	while ((done = load_get(&self->s->done)) < num) {
		if (done != last)
			since = load_now();
		else if (load_now() - since > LOAD_PATIENCE)
			return false;
		last = done;
		load_nap();
	}
	return done == num;
}

/* Wakes the consumers one by one until each of them has gone, without an error. */
static bool dismiss(struct _test_data_lagging *self)
{
	time_t since = load_now();
	int who, status;
	bool left;

	load_set(&self->s->stop, 1);
	do {
		left = false;
		for (who = 0; who < CONSUMERS; who++) {
			if (!self->pid[who])
				continue;
			if (waitpid(self->pid[who], &status, WNOHANG) == 0) {
				left = true;
				continue;
			}
			self->pid[who] = 0;
			if (!WIFEXITED(status) || WEXITSTATUS(status))
				return false;
		}
		if (load_now() - since > LOAD_PATIENCE ||
		    kevent_ctl(self->c.fd, KEVENT_CTL_READY, 0, NULL))
			return false;
		load_nap();
	} while (left);
	return true;
}

/* Each consumer saw a rising order, and all of them together each of @num serials once. */
static bool account(struct _test_data_lagging *self, uint32_t num)
{
	uint8_t times[SOURCES * ROUNDS] = { 0 };
	uint32_t i, lost = 0, doubled = 0, disorder = 0, odd = 0;
	struct ledger *l;
	int who;

	for (who = 0; who < CONSUMERS; who++) {
		l = &self->s->of[who];
		odd += l->odd;
		for (i = 0; i < l->num; i++) {
			doubled += times[l->serial[i]]++ > 0;
			disorder += i && l->serial[i] <= l->serial[i - 1];
		}
		ksft_print_msg("consumer %d: %u events\n", who + 1, l->num);
	}
	for (i = 0; i < num; i++)
		lost += !times[i];
	ksft_print_msg("lost %u doubled %u out of order %u odd %u of %u\n", lost, doubled,
		       disorder, odd, num);
	return !lost && !doubled && !disorder && !odd;
}

/* The whole ring works: two events find room at once, and no third. */
static bool both_slots_work(struct _test_data_lagging *self)
{
	struct ukevent *ev;
	int i;

	kevent_ring_rewind(&self->c);
	if (!fire_from(self, 0, 2) || self->c.ring->ring_pending || !fire_from(self, 2, 1) ||
	    !self->c.ring->ring_pending)
		return false;
	for (i = 0; i < 3; i++) {
		if (i == 2 && kevent_ring_wait(&self->c, NULL) != 1)
			return false;
		ev = kevent_ring_take(&self->c);
		if (!ev || ev->id != (uint64_t)i)
			return false;
		kevent_ring_finish(&self->c, ev);
	}
	return !kevent_ring_take(&self->c) && !self->c.ring->ring_pending;
}

static bool begin(struct _test_data_lagging *self)
{
	uint32_t round, first = 2;

	if (!start_holder(self) || start(self, 1) < 0 || start(self, 2) < 0 || start(self, 3) < 0)
		return false;
	/* A source fires again when all but the held event are done, so nothing merges. */
	for (round = 0; round < ROUNDS; round++, first = 0)
		if (!fire_from(self, round * SOURCES + first, SOURCES - first) ||
		    !all_done(self, (round + 1) * SOURCES - 1))
			return false;
	return true;
}

TEST_F_TIMEOUT(lagging, others_go_on_and_it_finishes_late, 300)
{
	pid_t holder;

	ASSERT_TRUE(begin(self));
	holder = self->pid[STOPPED - 1];
	ASSERT_TRUE(load_held(&self->c.ring->event[0], STOPPED));
	EXPECT_EQ(1U, kevent_ring_data(&self->c.ring->event[0]));
	ASSERT_EQ(0, kill(holder, SIGCONT));
	ASSERT_TRUE(load_join(holder));
	self->pid[STOPPED - 1] = 0;
	ASSERT_TRUE(all_done(self, SOURCES * ROUNDS));
	ASSERT_TRUE(dismiss(self));
	EXPECT_TRUE(account(self, SOURCES * ROUNDS));
	EXPECT_TRUE(both_slots_work(self));
}

TEST_F_TIMEOUT(lagging, others_go_on_and_it_never_does, 300)
{
	struct ukevent *slot = &self->c.ring->event[0];

	ASSERT_TRUE(begin(self));
	ASSERT_TRUE(load_kill(self->pid[STOPPED - 1]));
	self->pid[STOPPED - 1] = 0;
	ASSERT_TRUE(dismiss(self));

	/* Its event is found in its hands. */
	ASSERT_TRUE(load_held(slot, STOPPED));
	note(self->s, STOPPED - 1, slot);
	EXPECT_EQ(1U, kevent_ring_recover(&self->c, STOPPED));
	EXPECT_EQ(0U, kevent_ring_recover(&self->c, STOPPED));
	EXPECT_TRUE(account(self, SOURCES * ROUNDS));
	EXPECT_TRUE(both_slots_work(self));
}

TEST_F(lagging, calls_deliver_the_oldest_first)
{
	struct ukevent buf[7];
	uint32_t next = 1;
	int i, n;

	ASSERT_TRUE(start_holder(self));
	ASSERT_TRUE(fire_from(self, 2, SOURCES - 2));
	EXPECT_EQ(1U, self->c.ring->ring_pending);
	while ((n = kevent_get_events(self->c.fd, 0, 7, NULL, buf, 0)) > 0)
		for (i = 0; i < n; i++, next++) {
			ASSERT_EQ(next, buf[i].id);
			ASSERT_EQ(next + 1, kevent_ring_data(&buf[i]));
			ASSERT_TRUE(load_genuine(&buf[i], SOURCES));
		}
	EXPECT_EQ(0, n);
	EXPECT_EQ(SOURCES, next);
	EXPECT_EQ(0U, self->c.ring->ring_pending);
	EXPECT_TRUE(load_kill(self->pid[STOPPED - 1]));
}

TEST_F(lagging, calls_deliver_when_every_slot_is_held)
{
	struct ukevent *held, buf[16];
	uint32_t next = 2;
	int i, n;

	ASSERT_TRUE(start_holder(self));
	held = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, held);
	ASSERT_EQ(1U, held->id);
	ASSERT_TRUE(fire_from(self, 2, SOURCES - 2));
	/* Nothing fits in, and the caller that would sleep is told so. */
	EXPECT_EQ(0, kevent_ring_wait(&self->c, NULL));
	EXPECT_EQ(1, kevent_ring_pending(&self->c));
	EXPECT_EQ(0, kevent_commit(self->c.fd, self->c.next, self->c.next >> 32));
	while ((n = kevent_get_events(self->c.fd, 0, 16, NULL, buf, 0)) > 0)
		for (i = 0; i < n; i++, next++) {
			ASSERT_EQ(next, buf[i].id);
		}
	EXPECT_EQ(SOURCES, next);
	EXPECT_EQ(2U, kevent_ring_data(held));
	kevent_ring_finish(&self->c, held);
	EXPECT_EQ(0U, load_get(&self->s->of[STOPPED - 1].num));
	EXPECT_EQ(0, kill(self->pid[STOPPED - 1], SIGCONT));
	EXPECT_TRUE(load_join(self->pid[STOPPED - 1]));
	EXPECT_EQ(1U, self->s->of[STOPPED - 1].num);
	EXPECT_EQ(0U, self->s->of[STOPPED - 1].serial[0]);
	EXPECT_EQ(0U, load_taken(&self->c));
}

/* The receipt of a removal is about every event of the registration, not only the newest. */
TEST_F(lagging, removal_tells_of_an_older_event)
{
	struct ukevent remove = { .id = 0, .type = KEVENT_USER }, ev;

	ASSERT_TRUE(start_holder(self));
	ASSERT_TRUE(fire_from(self, SOURCES, 1));
	ASSERT_EQ(1, kevent_get_events(self->c.fd, 1, 1, NULL, &ev, 0));
	ASSERT_EQ(1U, ev.id);
	ASSERT_EQ(1, kevent_get_events(self->c.fd, 1, 1, NULL, &ev, 0));
	ASSERT_EQ(0U, ev.id);
	ASSERT_EQ(1, kevent_ctl(self->c.fd, KEVENT_CTL_REMOVE, 1, &remove));
	EXPECT_NE(0U, remove.ret_flags & KEVENT_RET_OUTSTANDING);
	EXPECT_TRUE(load_kill(self->pid[STOPPED - 1]));
}

TEST_HARNESS_MAIN
