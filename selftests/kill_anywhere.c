// SPDX-License-Identifier: GPL-2.0
/*
 * A consumer is stopped before every single instruction of take, finish and commit: killed there,
 * or overtaken there by all that can happen to a ring meanwhile, or by 256 laps, after which the
 * lap bits are the same again. Each event ends in one pair of hands.
 */
#include "kselftest_harness.h"
#include "load.h"

#define TESTER		1
#define VICTIM		2
#define STEPS_MAX	20000U	/* far more instructions than any of these paths has */
#define SOURCES		2

/*
 * Every firing has a data bit of its own: a sum shows what is lost and what is doubled. It is the
 * mask as well, so that merging changes the word of the slot.
 */
#define EARLY		0x1U
#define MERGED		0x2U
#define LATE		0x4U
#define LAST		0x8U
#define ALL		(EARLY | MERGED | LATE | LAST)

struct victim {
	struct kevent_consumer c;
	void (*run)(struct victim *v);
	struct {
		uint64_t id;
		uint64_t data;
		int num;	/* events taken: valid from before the event is finished */
		int end;	/* the path is complete */
	} log;
};

/* Takes one event; the log is written between take and finish. */
static struct ukevent *take_one(struct victim *v)
{
	struct ukevent *ev = kevent_ring_take(&v->c);

	if (ev) {
		v->log.id = ev->id;
		v->log.data = kevent_ring_data(ev);
		load_set(&v->log.num, 1);
	}
	return ev;
}

static void take_finish(struct victim *v)
{
	struct ukevent *ev = take_one(v);

	if (ev)
		kevent_ring_finish(&v->c, ev);
	load_set(&v->log.end, 1);
}

static void take_finish_commit(struct victim *v)
{
	struct ukevent *ev = take_one(v);

	if (ev)
		kevent_ring_finish(&v->c, ev);
	kevent_commit(v->c.fd, v->c.next, v->c.next >> 32);
	load_set(&v->log.end, 1);
}

/* Owner 0 finishes nothing itself: the commit frees what it has taken. */
static void take_commit(struct victim *v)
{
	take_one(v);
	kevent_commit(v->c.fd, v->c.next, v->c.next >> 32);
	load_set(&v->log.end, 1);
}

static void run_victim(void *arg)
{
	struct victim *v = arg;

	v->run(v);
}

static int ctl_both(int fd, unsigned int cmd, uint32_t mask, uint64_t data)
{
	struct ukevent batch[SOURCES] = {
		{ .id = 0, .type = KEVENT_USER, .event = mask, .data = data },
		{ .id = 1, .type = KEVENT_USER, .event = mask, .data = data },
	};

	return kevent_ctl(fd, cmd, SOURCES, batch);
}

FIXTURE(anywhere)
{
	struct kevent_consumer c;
	struct victim *v;
	uint64_t sum[SOURCES];
	uint64_t first;		/* where the first event of this round stands */
	pid_t pid;
	bool twice;
};

FIXTURE_VARIANT(anywhere)
{
	void (*run)(struct victim *v);
	uint32_t owner;
};

FIXTURE_VARIANT_ADD(anywhere, finish)
{
	.run = take_finish,
	.owner = VICTIM,
};

FIXTURE_VARIANT_ADD(anywhere, finish_and_commit)
{
	.run = take_finish_commit,
	.owner = VICTIM,
};

FIXTURE_VARIANT_ADD(anywhere, commit_only)
{
	.run = take_commit,
	.owner = 0,
};

FIXTURE_SETUP(anywhere)
{
	self->v = load_share(sizeof(*self->v));
	ASSERT_NE(NULL, self->v);
	ASSERT_EQ(0, kevent_ring_open(&self->c, 4, 0, TESTER));
	ASSERT_EQ(SOURCES, ctl_both(self->c.fd, KEVENT_CTL_ADD, ALL, 0));
}

FIXTURE_TEARDOWN(anywhere)
{
	kevent_ring_close(&self->c);
	munmap(self->v, sizeof(*self->v));
}

static void note(struct _test_data_anywhere *self, uint64_t id, uint64_t data)
{
	if (id >= SOURCES || !data || (self->sum[id] & data))
		self->twice = true;
	else
		self->sum[id] += data;
}

static bool fire_both(struct _test_data_anywhere *self, uint32_t bit)
{
	return ctl_both(self->c.fd, KEVENT_CTL_READY, bit, bit) == SOURCES;
}

/* The tester's share: by the ring, then what found no room in it. */
static void drain(struct _test_data_anywhere *self)
{
	struct ukevent *ev, left;

	while ((ev = kevent_ring_take(&self->c))) {
		note(self, ev->id, kevent_ring_data(ev));
		kevent_ring_finish(&self->c, ev);
	}
	while (kevent_get_events(self->c.fd, 0, 1, NULL, &left, 0) == 1)
		note(self, left.id, kevent_ring_data(&left));
}

static int commit_all(struct _test_data_anywhere *self)
{
	uint64_t head = self->c.ring->ring_position;

	return kevent_commit(self->c.fd, head, head >> 32);
}

/* Two events in the ring, the first also merged once, and a victim in front of them. */
static bool begin(struct _test_data_anywhere *self, void (*run)(struct victim *v), uint32_t owner)
{
	memset(self->sum, 0, sizeof(self->sum));
	self->twice = false;
	self->first = self->c.ring->ring_position;
	memset(self->v, 0, sizeof(*self->v));
	if (kevent_ring_join(&self->v->c, &self->c, owner))
		return false;
	self->c.next = self->first;
	self->v->c.next = self->first;
	self->v->run = run;
	if (!fire_both(self, EARLY) || !fire_both(self, MERGED))
		return false;
	self->pid = load_trace(run_victim, self->v);
	return self->pid > 0;
}

/* Executes @steps instructions of the victim; false: it broke. */
static bool advance(struct _test_data_anywhere *self, unsigned int steps)
{
	while (steps-- && !load_get(&self->v->log.end))
		if (!load_step(self->pid))
			return false;
	return true;
}

/*
 * The first event's slot after the death says whose the event is: still nobody's, found in the
 * dead hands and noted here, or finished by the victim, which then must have noted it before.
 */
static bool settle(struct _test_data_anywhere *self, uint32_t owner)
{
	struct ukevent *slot = &self->c.ring->event[self->first & self->c.mask];
	int took = load_get(&self->v->log.num);
	uint64_t data;

	if (load_held(slot, owner)) {
		data = slot->data & ~KEVENT_DATA_CLOSED;
		if (took && (self->v->log.id != slot->id || self->v->log.data != data))
			return false;
		note(self, slot->id, data);
		if (owner)
			return kevent_ring_recover(&self->c, owner) == 1;
		return kevent_commit(self->c.fd, self->first + 1, (self->first + 1) >> 32) == 1;
	}
	if (owner && kevent_ring_recover(&self->c, owner) != 0)
		return false;
	if (took)
		note(self, self->v->log.id, self->v->log.data);
	return took == !!(slot->ret_flags & KEVENT_RET_FINISHED);
}

TEST_F_TIMEOUT(anywhere, killed_at_every_instruction, 300)
{
	unsigned int k, untaken = 0, held = 0, finished = 0;
	bool end = false;

	for (k = 0; !end; k++) {
		ASSERT_GT(STEPS_MAX, k);
		ASSERT_TRUE(begin(self, variant->run, variant->owner));
		ASSERT_TRUE(advance(self, k)) TH_LOG("step %u", k);
		end = load_get(&self->v->log.end);
		ASSERT_TRUE(load_kill(self->pid));

		/* Before anyone knows of the death, both sources fire again. */
		ASSERT_TRUE(fire_both(self, LATE));
		if (load_held(&self->c.ring->event[self->first & self->c.mask], variant->owner))
			held++;
		else if (load_get(&self->v->log.num))
			finished++;
		else
			untaken++;
		ASSERT_TRUE(settle(self, variant->owner)) TH_LOG("killed after step %u", k);
		ASSERT_TRUE(fire_both(self, LAST));
		drain(self);

		EXPECT_FALSE(self->twice) TH_LOG("doubled: killed after step %u", k);
		EXPECT_EQ(ALL, self->sum[0]) TH_LOG("killed after step %u", k);
		EXPECT_EQ(ALL, self->sum[1]) TH_LOG("killed after step %u", k);
		ASSERT_EQ(0U, load_taken(&self->c));
		ASSERT_EQ(0U, load_untaken(&self->c));
		ASSERT_EQ(0U, self->c.ring->ring_pending);
	}
	TH_LOG("%u deaths: %u before the take, %u holding the event, %u after it was finished",
	       k, untaken, held, finished);
	EXPECT_LT(0U, untaken);
	EXPECT_LT(0U, held);
	EXPECT_LT(0U, finished);
}

/* Stopped after @steps instructions, with something else happening before it goes on. */
static bool overtake(struct _test_data_anywhere *self, unsigned int steps, bool taken, bool *end)
{
	if (!advance(self, steps))
		return false;
	*end = load_get(&self->v->log.end);
	if (!fire_both(self, LATE))
		return false;
	/* Either it merged, or all is taken and there is news. */
	if (taken)
		drain(self);
	if (!fire_both(self, LAST) || ptrace(PTRACE_CONT, self->pid, NULL, NULL) ||
	    !load_join(self->pid) || !load_get(&self->v->log.end))
		return false;
	if (load_get(&self->v->log.num))
		note(self, self->v->log.id, self->v->log.data);
	/* If nobody else took anything, it must have found the oldest event. */
	return taken || (self->v->log.num && self->v->log.id == 0);
}

TEST_F_TIMEOUT(anywhere, overtaken_at_every_instruction, 300)
{
	bool end = false, taken;
	unsigned int k;

	for (k = 0; !end; k++) {
		taken = k & 1;
		ASSERT_GT(2 * STEPS_MAX, k);
		ASSERT_TRUE(begin(self, variant->run, variant->owner));
		ASSERT_TRUE(overtake(self, k / 2, taken, &end)) TH_LOG("step %u", k / 2);
		end = end && taken;
		drain(self);
		/* The commit came too late for a slot that the ring has stepped over since. */
		if (!variant->owner)
			ASSERT_LE(0, commit_all(self));
		EXPECT_FALSE(self->twice) TH_LOG("doubled: overtaken after step %u", k / 2);
		EXPECT_EQ(ALL, self->sum[0]) TH_LOG("overtaken after step %u", k / 2);
		EXPECT_EQ(ALL, self->sum[1]) TH_LOG("overtaken after step %u", k / 2);
		ASSERT_EQ(0U, load_taken(&self->c));
		ASSERT_EQ(0U, load_untaken(&self->c));
		ASSERT_EQ(0U, self->c.ring->ring_pending);
	}
	TH_LOG("overtaken at %u places", k / 2);
}

/*
 * The ring goes round 256 times while the victim stands still in its take. Whatever it takes then,
 * it finds the rest by itself, for nobody else would.
 */
FIXTURE(lapped)
{
	struct kevent_consumer c;
	struct victim *v;
	pid_t pid;
};

FIXTURE_VARIANT(lapped)
{
	unsigned int slots;
	unsigned int at;	/* the slot in front of which the victim stands */
	unsigned int back;	/* how far before it the last lap begins */
};

FIXTURE_VARIANT_ADD(lapped, one_slot)
{
	.slots = 1,
};

FIXTURE_VARIANT_ADD(lapped, two_slots_oldest)
{
	.slots = 2,
	.at = 1,
};

FIXTURE_VARIANT_ADD(lapped, two_slots_youngest)
{
	.slots = 2,
	.at = 1,
	.back = 1,
};

FIXTURE_SETUP(lapped)
{
	self->v = load_share(sizeof(*self->v));
	ASSERT_NE(NULL, self->v);
	ASSERT_EQ(0, kevent_ring_open(&self->c, variant->slots, 0, TESTER));
	ASSERT_EQ((int)variant->slots + 1, load_add(self->c.fd, 0, variant->slots + 1));
}

FIXTURE_TEARDOWN(lapped)
{
	kevent_ring_close(&self->c);
	munmap(self->v, sizeof(*self->v));
}

/* In @log.data every event taken leaves 1 << (8 * id): a byte counts how often. */
static void take_all(struct victim *v)
{
	struct ukevent *ev;

	while ((ev = kevent_ring_take(&v->c))) {
		v->log.data += 1ULL << (8 * ev->id);
		v->log.num++;
		kevent_ring_finish(&v->c, ev);
		if (v->log.num == 1)
			load_set(&v->log.end, 1);
	}
	load_set(&v->log.end, 1);
}

/* Moves the ring on by @num positions, all taken by kevent_get_events(). */
static bool roll(int fd, unsigned int num)
{
	struct ukevent ev;

	while (num--)
		if (load_fire(fd, 0, 1, 1) != 1 || kevent_get_events(fd, 0, 1, NULL, &ev, 0) != 1)
			return false;
	return true;
}

TEST_F_TIMEOUT(lapped, at_every_instruction, 600)
{
	const unsigned int n = variant->slots;
	const uint64_t mask = n - 1;
	uint64_t all = 0, taken, head;
	unsigned int i, k, before = 0;
	bool first, end = false;
	struct ukevent ev;

	for (i = 0; i < n; i++)
		all |= 1ULL << (8 * i);
	for (k = 0; !end; k++) {
		ASSERT_GT(STEPS_MAX, k);
		memset(self->v, 0, sizeof(*self->v));
		head = self->c.ring->ring_position;
		ASSERT_TRUE(roll(self->c.fd, (variant->at - head) & mask));
		ASSERT_EQ(0, kevent_ring_join(&self->v->c, &self->c, VICTIM));
		head = self->c.ring->ring_position;
		self->v->c.next = head;
		self->v->run = take_all;
		ASSERT_EQ(1, load_fire(self->c.fd, n, 1, 1));
		self->pid = load_trace(run_victim, self->v);
		ASSERT_LT(0, self->pid);
		for (i = 0; i < k && !load_get(&self->v->log.end); i++) {
			ASSERT_TRUE(load_step(self->pid));
		}
		end = load_get(&self->v->log.end);

		/* Unless the victim has it: the event goes, and 256 laps with it. */
		first = kevent_get_events(self->c.fd, 0, 1, NULL, &ev, 0) == 1;
		ASSERT_TRUE(roll(self->c.fd, 256 * n - variant->back - 1));
		ASSERT_EQ((int)n, load_fire(self->c.fd, 0, n, 1));
		if (first)
			ASSERT_EQ(head + 256 * n - variant->back + n, self->c.ring->ring_position);
		ASSERT_EQ(0, ptrace(PTRACE_CONT, self->pid, NULL, NULL));
		ASSERT_TRUE(load_join(self->pid)) TH_LOG("lapped after step %u", k);

		before += first;
		taken = self->v->log.data;
		EXPECT_EQ(first ? 0U : 1U, taken >> (8 * n)) TH_LOG("lapped after step %u", k);
		taken &= (1ULL << (8 * n)) - 1;
		/* What a held slot kept out of the ring is still in the kernel. */
		ASSERT_EQ(0U, load_untaken(&self->c)) TH_LOG("left behind after step %u", k);
		while (kevent_get_events(self->c.fd, 0, 1, NULL, &ev, 0) == 1)
			taken += 1ULL << (8 * ev.id);
		EXPECT_EQ(all, taken) TH_LOG("lapped after step %u", k);
		ASSERT_EQ(0U, load_taken(&self->c));
	}
	TH_LOG("lapped at %u places, %u of them before the take", k, before);
	EXPECT_LT(0U, before);
	EXPECT_LT(before, k);
}

TEST_HARNESS_MAIN
