// SPDX-License-Identifier: GPL-2.0
/* Queues that take turns at one file: who is told, in what order, and who is told instead. */
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "load.h"
#include "watch.h"

#define QUEUES	8
#define MANY	2048
#define ALL	((1U << QUEUES) - 1)
#define SLOTS	4

/*
 * What is like a listener: each firing is worth one drain.
 */

static int open_eventfd(int file[2])
{
	file[0] = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	file[1] = file[0];
	return file[0] < 0 ? -1 : 0;
}

static bool fire_eventfd(const int file[2])
{
	return eventfd_write(file[1], 1) == 0;
}

static bool drain_eventfd(int file)
{
	eventfd_t one;

	return eventfd_read(file, &one) == 0;
}

static int open_pipe(int file[2])
{
	return pipe2(file, O_NONBLOCK);
}

static bool fire_pipe(const int file[2])
{
	return write(file[1], "x", 1) == 1;
}

static bool drain_pipe(int file)
{
	char byte;

	return read(file, &byte, 1) == 1;
}

static int open_unix(int file[2])
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	file[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	/* The length of the family alone: any free abstract name. */
	return bind(file[0], (struct sockaddr *)&addr, sizeof(addr.sun_family)) ||
	       listen(file[0], 128) ? -1 : 0;
}

static int open_tcp(int file[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };

	file[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	return bind(file[0], (struct sockaddr *)&addr, sizeof(addr)) ||
	       listen(file[0], 128) ? -1 : 0;
}

static bool fire_listener(const int file[2])
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	bool done;
	int client;

	if (getsockname(file[0], (struct sockaddr *)&addr, &len))
		return false;
	client = socket(addr.ss_family, SOCK_STREAM, 0);
	done = connect(client, (struct sockaddr *)&addr, len) == 0;
	close(client);
	return done;
}

static bool drain_listener(int file)
{
	int client = accept(file, NULL, NULL);

	close(client);
	return client >= 0;
}

FIXTURE(exclusive)
{
	struct kevent_consumer c[QUEUES];
	int file[2];
};

FIXTURE_VARIANT(exclusive)
{
	int (*open)(int file[2]);
	bool (*fire)(const int file[2]);
	bool (*drain)(int file);
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(exclusive, eventfd)
{
	.open = open_eventfd,
	.fire = fire_eventfd,
	.drain = drain_eventfd,
	.flags = KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_ET,
};

FIXTURE_VARIANT_ADD(exclusive, eventfd_level)
{
	.open = open_eventfd,
	.fire = fire_eventfd,
	.drain = drain_eventfd,
	.flags = KEVENT_REQ_EXCLUSIVE,
};

FIXTURE_VARIANT_ADD(exclusive, pipe)
{
	.open = open_pipe,
	.fire = fire_pipe,
	.drain = drain_pipe,
	.flags = KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_ET,
};

FIXTURE_VARIANT_ADD(exclusive, unix_listener)
{
	.open = open_unix,
	.fire = fire_listener,
	.drain = drain_listener,
	.flags = KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_ET,
};

FIXTURE_VARIANT_ADD(exclusive, tcp_listener)
{
	.open = open_tcp,
	.fire = fire_listener,
	.drain = drain_listener,
	.flags = KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_ET,
};

FIXTURE_SETUP(exclusive)
{
	int i;

	ASSERT_EQ(0, variant->open(self->file));
	for (i = 0; i < QUEUES; i++)
		ASSERT_EQ(0, kevent_ring_open(&self->c[i], SLOTS, 0, 1));
}

FIXTURE_TEARDOWN(exclusive)
{
	int i;

	for (i = 0; i < QUEUES; i++)
		if (self->c[i].ring)
			kevent_ring_close(&self->c[i]);
}

/* Adds the file to the queues from @begin to before @end. Returns how many. */
static int add_members(FIXTURE_DATA(exclusive) *self, int begin, int end, uint32_t flags)
{
	int i, n = 0;

	for (i = begin; i < end; i++)
		n += add_file(self->c[i].fd, self->file[0], POLLIN, flags) == 1;
	return n;
}

/* The queues with an untaken event, a bit for each. Makes no call that would look at the file. */
static uint32_t told(const FIXTURE_DATA(exclusive) *self)
{
	uint32_t bits = 0;
	int i;

	for (i = 0; i < QUEUES; i++)
		if (self->c[i].ring && load_untaken(&self->c[i]))
			bits |= 1U << i;
	return bits;
}

/* The same, once there are @num of them: a connection needs a moment to come. */
static uint32_t heard(const FIXTURE_DATA(exclusive) *self, int num)
{
	uint64_t until = now_ns() + GENEROUS_NS;
	uint32_t bits;

	do
		bits = told(self);
	while (__builtin_popcount(bits) < num && now_ns() < until);
	return bits;
}

/* Takes what the queues of @bits have. Returns how many events that were. */
static int take_all(FIXTURE_DATA(exclusive) *self, uint32_t bits)
{
	int i, n = 0;

	for (i = 0; i < QUEUES; i++)
		while (bits & 1U << i && take_id(&self->c[i]) == self->file[0])
			n++;
	return n;
}

/* In the steady state a wake-up tells one, and turns go round. */
TEST_F(exclusive, one_is_told_in_turn)
{
	uint32_t bits, order[QUEUES];
	int i, turns[QUEUES] = { 0 };

	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, variant->flags));
	for (i = 0; i < 16 * QUEUES; i++) {
		ASSERT_TRUE(variant->fire(self->file));
		bits = heard(self, 1);
		ASSERT_EQ(1, __builtin_popcount(bits)) TH_LOG("round %d: %x", i, bits);
		if (i < QUEUES)
			order[i] = bits;
		EXPECT_EQ(order[i % QUEUES], bits) TH_LOG("round %d", i);
		turns[__builtin_ctz(bits)]++;
		ASSERT_EQ(1, take_all(self, bits));
		ASSERT_TRUE(variant->drain(self->file[0]));
		ASSERT_FALSE(variant->drain(self->file[0]));
	}
	EXPECT_EQ(0U, told(self));
	for (i = 0; i < QUEUES; i++) {
		EXPECT_EQ(16, turns[i]) TH_LOG("queue %d", i);
	}
}

/* A queue with an untaken event has its turn all the same. */
TEST_F(exclusive, turns_do_not_wait)
{
	int i;

	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, variant->flags));
	for (i = 0; i < QUEUES; i++) {
		ASSERT_TRUE(variant->fire(self->file));
		ASSERT_EQ(i + 1, __builtin_popcount(heard(self, i + 1)));
		ASSERT_TRUE(variant->drain(self->file[0]));
	}
	/* The second time round merges. */
	for (i = 0; i < QUEUES; i++) {
		ASSERT_TRUE(variant->fire(self->file));
		ASSERT_TRUE(variant->drain(self->file[0]));
	}
	EXPECT_EQ(QUEUES, take_all(self, ALL));
}

/* But a queue that has none has it before, wherever it stands. */
TEST_F(exclusive, idle_comes_first)
{
	uint32_t order[QUEUES], bits = 0;
	int i, k;

	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, variant->flags));
	for (i = 0; i < QUEUES; i++) {
		ASSERT_TRUE(variant->fire(self->file));
		order[i] = heard(self, i + 1) & ~bits;
		bits |= order[i];
		ASSERT_TRUE(variant->drain(self->file[0]));
	}
	ASSERT_EQ(ALL, bits);
	for (k = 0; k < 2 * QUEUES; k++) {
		/* Not the next one. */
		i = (3 * k + 5) % QUEUES;
		ASSERT_EQ(1, take_all(self, order[i]));
		ASSERT_EQ(ALL & ~order[i], told(self));
		ASSERT_TRUE(variant->fire(self->file));
		EXPECT_EQ(ALL, heard(self, QUEUES)) TH_LOG("%d", k);
		ASSERT_TRUE(variant->drain(self->file[0]));
	}
}

/* Of one whose consumer is not through with its event that is true as well. */
TEST_F(exclusive, busy_comes_last)
{
	struct ukevent *ev;
	uint32_t bits;
	int i, busy;

	ASSERT_EQ(2, add_members(self, 0, 2, variant->flags));
	ASSERT_TRUE(variant->fire(self->file));
	bits = heard(self, 1);
	ASSERT_EQ(1, __builtin_popcount(bits));
	ASSERT_TRUE(variant->drain(self->file[0]));
	busy = __builtin_ctz(bits);
	ev = kevent_ring_take(&self->c[busy]);
	ASSERT_NE(NULL, ev);
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(variant->fire(self->file));
		EXPECT_EQ(3U & ~bits, heard(self, 1)) TH_LOG("round %d", i);
		ASSERT_EQ(1, take_all(self, 3U & ~bits));
		ASSERT_TRUE(variant->drain(self->file[0]));
	}
	kevent_ring_finish(&self->c[busy], ev);
}

/* What is true when it is added, a queue is told of for itself. */
TEST_F(exclusive, add_reports_to_its_own)
{
	ASSERT_TRUE(variant->fire(self->file));
	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, variant->flags));
	EXPECT_EQ(ALL, heard(self, QUEUES));
}

/* Who is disabled is passed over, until MODIFY. */
TEST_F(exclusive, disabled_is_passed_over)
{
	uint32_t flags = variant->flags | KEVENT_REQ_DISPATCH, bits, first = 0;
	int i;

	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, flags));
	for (i = 0; i < QUEUES; i++) {
		ASSERT_TRUE(variant->fire(self->file));
		bits = heard(self, 1);
		ASSERT_EQ(1, __builtin_popcount(bits));
		EXPECT_EQ(0U, first & bits);
		first |= bits;
		ASSERT_EQ(1, take_all(self, bits));
		ASSERT_TRUE(variant->drain(self->file[0]));
	}
	EXPECT_EQ(ALL, first);
	/* Two are enabled: they share what comes next. */
	ASSERT_EQ(1, modify_file(self->c[2].fd, self->file[0], POLLIN, flags));
	ASSERT_EQ(1, modify_file(self->c[5].fd, self->file[0], POLLIN, flags));
	EXPECT_EQ(0U, told(self));
	ASSERT_TRUE(variant->fire(self->file));
	ASSERT_EQ(1, __builtin_popcount(heard(self, 1)));
	ASSERT_TRUE(variant->drain(self->file[0]));
	ASSERT_TRUE(variant->fire(self->file));
	EXPECT_EQ(1U << 2 | 1U << 5, heard(self, 2));
	ASSERT_TRUE(variant->drain(self->file[0]));
	ASSERT_TRUE(variant->fire(self->file));
	ASSERT_EQ(2, take_all(self, ALL));
	EXPECT_EQ(0U, told(self));
	/* Nobody was told of the third, so MODIFY says it. */
	ASSERT_EQ(1, modify_file(self->c[7].fd, self->file[0], POLLIN, flags));
	EXPECT_EQ(1U << 7, told(self));
}

/* MODIFY joins, and leaves. */
TEST_F(exclusive, modify_sets_and_clears)
{
	uint32_t plain = variant->flags & ~(uint32_t)KEVENT_REQ_EXCLUSIVE, bits;
	int round, i;

	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, plain));
	for (round = 0; round < 4; round++) {
		ASSERT_TRUE(variant->fire(self->file));
		EXPECT_EQ(ALL, heard(self, QUEUES));
		ASSERT_EQ(QUEUES, take_all(self, ALL));
		ASSERT_TRUE(variant->drain(self->file[0]));
		for (i = 0; i < QUEUES; i++)
			ASSERT_EQ(1, modify_file(self->c[i].fd, self->file[0], POLLIN,
						 variant->flags));
		for (i = 0; i < QUEUES; i++) {
			ASSERT_TRUE(variant->fire(self->file));
			bits = heard(self, 1);
			EXPECT_EQ(1, __builtin_popcount(bits));
			ASSERT_EQ(1, take_all(self, bits));
			ASSERT_TRUE(variant->drain(self->file[0]));
		}
		for (i = 0; i < QUEUES; i++)
			ASSERT_EQ(1, set_file(self->c[i].fd, self->file[0], POLLIN, plain));
		EXPECT_EQ(0U, told(self));
	}
}

/* Watchers that take no turns are all told besides. */
TEST_F(exclusive, others_are_told_too)
{
	uint32_t plain = variant->flags & ~(uint32_t)KEVENT_REQ_EXCLUSIVE, bits;
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int i, ep = epoll_create1(0);

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->file[0], &event));
	ASSERT_EQ(1, add_members(self, 0, 1, plain));
	ASSERT_EQ(6, add_members(self, 1, 7, variant->flags));
	ASSERT_EQ(1, add_members(self, 7, 8, plain));
	for (i = 0; i < 3 * QUEUES; i++) {
		ASSERT_TRUE(variant->fire(self->file));
		bits = heard(self, 3);
		ASSERT_EQ(3, __builtin_popcount(bits)) TH_LOG("round %d: %x", i, bits);
		EXPECT_EQ(1U << 0 | 1U << 7, bits & (1U << 0 | 1U << 7));
		EXPECT_EQ(1, epoll_wait(ep, &event, 1, -1));
		ASSERT_EQ(3, take_all(self, bits));
		ASSERT_TRUE(variant->drain(self->file[0]));
	}
	close(ep);
}

/* An exclusive watcher of another kind shares the wake-up: one of the two has it. */
TEST_F(exclusive, shares_with_epoll)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET | EPOLLEXCLUSIVE };
	int i, ep = epoll_create1(0);
	uint64_t until;
	bool by_epoll;

	ASSERT_EQ(QUEUES / 2, add_members(self, 0, QUEUES / 2, variant->flags));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->file[0], &event));
	ASSERT_EQ(QUEUES / 2, add_members(self, QUEUES / 2, QUEUES, variant->flags));
	for (i = 0; i < 2 * QUEUES; i++) {
		until = now_ns() + GENEROUS_NS;
		ASSERT_TRUE(variant->fire(self->file));
		do
			by_epoll = epoll_wait(ep, &event, 1, 0) == 1;
		while (!by_epoll && !told(self) && now_ns() < until);
		EXPECT_TRUE(by_epoll || told(self));
		EXPECT_GE(1, take_all(self, ALL));
		ASSERT_TRUE(variant->drain(self->file[0]));
	}
	close(ep);
}

/* Two numbers of the file in one queue are two members. */
TEST_F(exclusive, two_of_one_queue)
{
	int copy = dup(self->file[0]), ids[2] = { 0 }, i;

	ASSERT_LE(0, copy);
	ASSERT_EQ(1, add_file(self->c[0].fd, self->file[0], POLLIN, variant->flags));
	ASSERT_EQ(1, add_file(self->c[0].fd, copy, POLLIN, variant->flags));
	for (i = 0; i < 8; i++) {
		long long id;

		ASSERT_TRUE(variant->fire(self->file));
		ASSERT_EQ(1U, heard(self, 1));
		ASSERT_EQ(1U, load_untaken(&self->c[0]));
		id = take_id(&self->c[0]);
		ASSERT_TRUE(id == self->file[0] || id == copy);
		ids[id == copy]++;
		ASSERT_TRUE(variant->drain(self->file[0]));
	}
	EXPECT_EQ(4, ids[0]);
	EXPECT_EQ(4, ids[1]);
}

/*
 * Told, and not taken.
 */

/* One after another, who was told ends what it has by @cmd: the next one is told. */
static void passes_on(struct __test_metadata *_metadata, FIXTURE_DATA(exclusive) *self,
		      const FIXTURE_VARIANT(exclusive) *variant, unsigned int cmd)
{
	uint32_t bits;
	int i;

	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, variant->flags));
	ASSERT_TRUE(variant->fire(self->file));
	bits = heard(self, 1);
	for (i = 0; i < QUEUES; i++) {
		ASSERT_EQ(1, __builtin_popcount(bits)) TH_LOG("after %d", i);
		ASSERT_EQ(1, file_ctl(self->c[__builtin_ctz(bits)].fd, cmd, self->file[0],
				      cmd == KEVENT_CTL_MODIFY ? POLLPRI : 0,
				      cmd == KEVENT_CTL_MODIFY ? KEVENT_REQ_ET : 0));
		EXPECT_EQ(0U, told(self) & bits);
		bits = told(self);
	}
	EXPECT_EQ(0U, bits);
	EXPECT_TRUE(variant->drain(self->file[0]));
}

/* REMOVE passes it on, from one to the next, until there is none. */
TEST_F(exclusive, remove_passes_on)
{
	passes_on(_metadata, self, variant, KEVENT_CTL_REMOVE);
}

/* Who takes no turns any more does as well, also with another mask. */
TEST_F(exclusive, modify_passes_on)
{
	passes_on(_metadata, self, variant, KEVENT_CTL_MODIFY);
}

/* The close of its queue does as well. */
TEST_F(exclusive, close_passes_on)
{
	uint32_t bits;
	int i;

	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, variant->flags));
	ASSERT_TRUE(variant->fire(self->file));
	bits = heard(self, 1);
	for (i = 0; i < QUEUES; i++) {
		ASSERT_EQ(1, __builtin_popcount(bits)) TH_LOG("after %d", i);
		kevent_ring_close(&self->c[__builtin_ctz(bits)]);
		bits = told(self);
	}
	EXPECT_EQ(0U, bits);
}

/* What is taken is not passed on: its taker has it. */
TEST_F(exclusive, taken_is_not_passed_on)
{
	struct ukevent request = file_request(self->file[0], 0, 0), *ev;
	uint32_t bits;
	int i;

	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, variant->flags));
	ASSERT_TRUE(variant->fire(self->file));
	bits = heard(self, 1);
	ASSERT_EQ(1, __builtin_popcount(bits));
	i = __builtin_ctz(bits);
	ev = kevent_ring_take(&self->c[i]);
	ASSERT_NE(NULL, ev);
	ASSERT_EQ(1, kevent_ctl(self->c[i].fd, KEVENT_CTL_REMOVE, 1, &request));
	EXPECT_EQ(KEVENT_RET_DONE | KEVENT_RET_OUTSTANDING, flags_of(&request));
	EXPECT_EQ(0U, told(self));
}

/* What waits for room in its queue, with a full ring or without one, is passed on. */
TEST_F(exclusive, pending_passes_on)
{
	uint64_t until = now_ns() + GENEROUS_NS;
	struct kevent_consumer full[2];
	int bare[2], i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, kevent_ring_open(&full[i], 1, 0, 1));
		ASSERT_EQ(1, add_user(full[i].fd, 0, 1, 0));
		ASSERT_EQ(1, ready(full[i].fd, 0, 1));
		ASSERT_EQ(1, add_file(full[i].fd, self->file[0], POLLIN, variant->flags));
	}
	ASSERT_TRUE(variant->fire(self->file));
	while (!kevent_ring_pending(&full[0]) && !kevent_ring_pending(&full[1]) && now_ns() < until)
		;
	i = kevent_ring_pending(&full[0]) ? 0 : 1;
	ASSERT_EQ(1, kevent_ring_pending(&full[i]));
	ASSERT_EQ(0, kevent_ring_pending(&full[1 - i]));
	ASSERT_EQ(1, remove_file(full[i].fd, self->file[0]));
	EXPECT_EQ(0, kevent_ring_pending(&full[i]));
	EXPECT_EQ(1, kevent_ring_pending(&full[1 - i]));
	/* To a queue without a ring, and on, by the close of both. */
	for (i = 0; i < 2; i++) {
		bare[i] = kevent_init(NULL, 0, 0);
		ASSERT_EQ(1, add_file(bare[i], self->file[0], POLLPRI, variant->flags));
		ASSERT_EQ(1, modify_file(bare[i], self->file[0], POLLIN, variant->flags));
		ASSERT_EQ(1, get_now(bare[i], 1, &(struct ukevent){}));
	}
	kevent_ring_close(&full[0]);
	kevent_ring_close(&full[1]);
	i = state_of(bare[0], POLLIN) ? 0 : 1;
	if (variant->flags & KEVENT_REQ_ET)
		EXPECT_EQ(0, state_of(bare[1 - i], POLLIN));
	EXPECT_EQ(POLLIN, state_of(bare[i], POLLIN));
	close(bare[i]);
	EXPECT_EQ(POLLIN, state_of(bare[1 - i], POLLIN));
}

/* A process that is told and killed. */
TEST_F(exclusive, killed_passes_on)
{
	uint64_t until = now_ns() + GENEROUS_NS;
	int heard_it[2], added[2];
	struct kevent_consumer c;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(heard_it));
	ASSERT_EQ(0, pipe(added));
	pid = load_fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		if (kevent_ring_open(&c, SLOTS, 0, 1) ||
		    add_file(c.fd, self->file[0], POLLIN, variant->flags) != 1 ||
		    write(added[1], "x", 1) != 1)
			_exit(1);
		while (!load_untaken(&c))
			sched_yield();
		if (write(heard_it[1], "x", 1) != 1)
			_exit(2);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(added[0], &byte, 1));
	ASSERT_EQ(1, add_members(self, 0, 1, variant->flags));
	ASSERT_TRUE(variant->fire(self->file));
	while (!told(self) && !state_of(heard_it[0], POLLIN) && now_ns() < until)
		sched_yield();
	if (told(self)) {
		ASSERT_EQ(1, take_all(self, 1));
		ASSERT_TRUE(variant->drain(self->file[0]));
		ASSERT_TRUE(variant->fire(self->file));
	}
	ASSERT_EQ(1, read(heard_it[0], &byte, 1));
	EXPECT_EQ(0U, told(self));
	ASSERT_TRUE(load_kill(pid));
	EXPECT_EQ(1U, told(self));
}

/*
 * Bits and wake-ups of a certain file.
 */

/* Who has not asked for what a wake-up says is passed over. */
TEST(other_bits)
{
	struct kevent_consumer in, out;
	eventfd_t one;
	int file = eventfd(0, EFD_NONBLOCK), i;
	uint32_t flags = KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_ET;

	ASSERT_EQ(0, kevent_ring_open(&in, 4, 0, 1));
	ASSERT_EQ(0, kevent_ring_open(&out, 4, 0, 1));
	ASSERT_EQ(1, add_file(in.fd, file, POLLIN, flags));
	ASSERT_EQ(1, add_file(out.fd, file, POLLOUT, flags));
	ASSERT_EQ(file, (int)take_id(&out));
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, eventfd_write(file, 1));
		EXPECT_EQ(file, (int)take_id(&in));
		EXPECT_EQ(-1, (int)take_id(&out));
		ASSERT_EQ(0, eventfd_read(file, &one));
		EXPECT_EQ(-1, (int)take_id(&in));
		EXPECT_EQ(file, (int)take_id(&out));
	}
	kevent_ring_close(&in);
	kevent_ring_close(&out);
}

/* A source that wakes all tells all. */
TEST(wake_all)
{
	struct kevent_consumer c[QUEUES];
	int file[2], i;

	ASSERT_EQ(0, pipe(file));
	for (i = 0; i < QUEUES; i++) {
		ASSERT_EQ(0, kevent_ring_open(&c[i], 4, 0, 1));
		ASSERT_EQ(1, add_file(c[i].fd, file[0], POLLIN,
				      KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_ET));
	}
	close(file[1]);
	for (i = 0; i < QUEUES; i++) {
		struct ukevent ev;

		EXPECT_EQ(1, get_now(c[i].fd, 1, &ev)) TH_LOG("queue %d", i);
		EXPECT_EQ((uint32_t)POLLHUP, ev.fired);
		kevent_ring_close(&c[i]);
	}
}

/* EXCLUSIVE does not go with ONESHOT, whose event cannot be passed on; nor with other sources. */
TEST(refused)
{
	int fd = kevent_init(NULL, 0, 0), file = eventfd(0, 0);
	struct ukevent timer = {
		.type = KEVENT_TIMER,
		.event = KEVENT_TIMER_FIRED,
		.req_flags = KEVENT_REQ_EXCLUSIVE,
	};

	EXPECT_TRUE(FAILS(EINVAL, add_file(fd, file, POLLIN,
					   KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_ONESHOT)));
	EXPECT_TRUE(FAILS(EINVAL, add_user(fd, 0, 1, KEVENT_REQ_EXCLUSIVE)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(fd, KEVENT_CTL_ADD, 1, &timer)));
	EXPECT_EQ(0, registrations(fd));
	close(fd);
}

/*
 * Threads.
 */

#define CONNECTIONS	2000

struct waiter {
	pthread_t thread;
	const struct kevent_consumer *c;
	bool (*drain)(int file);
	int file;
	uint32_t *drained;
	uint32_t events, in_vain;
	const bool *stop;
};

static void *waiter_main(void *arg)
{
	struct waiter *w = arg;
	struct ukevent ev;

	while (!load_get(w->stop)) {
		if (kevent_get_events(w->c->fd, 1, 1, NULL, &ev, 0) != 1)
			continue;
		w->events++;
		if (w->drain(w->file))
			load_inc(w->drained, 1);
		else
			w->in_vain++;
	}
	return NULL;
}

/* Eight threads that sleep: each connection wakes one, which finds it. */
TEST_F_TIMEOUT(exclusive, eight_sleepers, 300)
{
	struct waiter w[QUEUES];
	uint32_t i, drained = 0;
	bool stop = false;

	/* A level is looked at again by the next call, which so finds what is for another one. */
	ASSERT_EQ(QUEUES, add_members(self, 0, QUEUES, variant->flags | KEVENT_REQ_ET));
	for (i = 0; i < QUEUES; i++) {
		w[i] = (struct waiter){
			.c = &self->c[i],
			.drain = variant->drain,
			.file = self->file[0],
			.drained = &drained,
			.stop = &stop,
		};
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, waiter_main, &w[i]));
	}
	for (i = 1; i <= CONNECTIONS; i++) {
		uint64_t until = now_ns() + GENEROUS_NS;

		ASSERT_TRUE(variant->fire(self->file));
		while (load_get(&drained) < i && now_ns() < until)
			sched_yield();
		ASSERT_EQ(i, load_get(&drained));
	}
	load_set(&stop, true);
	for (i = 0; i < QUEUES; i++) {
		ASSERT_EQ(0, kick(self->c[i].fd));
		ASSERT_EQ(0, pthread_join(w[i].thread, NULL));
		EXPECT_EQ(0U, w[i].in_vain) TH_LOG("queue %u", i);
		EXPECT_EQ(CONNECTIONS / QUEUES, (int)w[i].events) TH_LOG("queue %u", i);
	}
}

#define CHURNERS	3
#define EPISODES	500
#define FIRINGS		16

struct churn {
	FIXTURE_DATA(exclusive) *self;
	bool (*drain)(int file);
	uint32_t flags;
	uint32_t arrived;
	uint32_t drained;
	uint32_t failed;
};

struct churner {
	struct churn *churn;
	pthread_t thread;
	int number;		/* its queue; the first one stays a member */
	bool member;
	uint64_t dice;
};

static uint32_t dice(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 32;
}

/* Who takes an event drains all there is. */
static void take_and_drain(struct churn *churn, struct kevent_consumer *c)
{
	while (take_id(c) >= 0)
		while (churn->drain(churn->self->file[0]))
			load_inc(&churn->drained, 1);
}

static bool churn_once(struct churner *churner, struct kevent_consumer *c)
{
	struct churn *churn = churner->churn;
	int file = churn->self->file[0];
	bool right = true;

	switch (dice(&churner->dice) % 6) {
	case 0:
	case 1:
		if (churner->member)
			right = remove_file(c->fd, file) == 1;
		else
			right = add_file(c->fd, file, POLLIN, churn->flags) == 1;
		churner->member = !churner->member;
		break;
	case 2:
		kevent_ring_close(c);
		right = kevent_ring_open(c, SLOTS, 0, 1) == 0;
		churner->member = false;
		break;
	case 3:
		if (!churner->member)
			break;
		right = modify_file(c->fd, file, POLLIN, churn->flags & ~KEVENT_REQ_EXCLUSIVE) == 1;
		take_and_drain(churn, c);
		right &= modify_file(c->fd, file, POLLIN, churn->flags) == 1;
		break;
	default:
		take_and_drain(churn, c);
	}
	return right;
}

static void *churner_main(void *arg)
{
	struct churner *churner = arg;
	struct churn *churn = churner->churn;
	struct kevent_consumer *c = &churn->self->c[churner->number];
	uint32_t i, k;

	pin(churner->number);
	for (i = 0; i < EPISODES; i++) {
		meet(&churn->arrived, CHURNERS + 2, 2 * i + 1);
		for (k = 0; k < FIRINGS; k++) {
			if (churner->number == 0)
				take_and_drain(churn, c);
			else if (!churn_once(churner, c))
				load_inc(&churn->failed, 1);
			dawdle(dice(&churner->dice) % 256);
		}
		meet(&churn->arrived, CHURNERS + 2, 2 * i + 2);
	}
	return NULL;
}

/*
 * Members come and go while the source fires: in the end it is drained, or a queue knows. One
 * member stays, so that it does not take an ADD to find out.
 */
TEST_F_TIMEOUT(exclusive, members_come_and_go, 300)
{
	struct churn churn = {
		.self = self,
		.drain = variant->drain,
		.flags = variant->flags,
	};
	struct churner churner[CHURNERS + 1];
	uint32_t fired = 0, left = 0, i, k;

	ASSERT_EQ(1, add_members(self, 0, 1, variant->flags));
	for (i = 0; i <= CHURNERS; i++) {
		churner[i] = (struct churner){ .churn = &churn, .number = (int)i, .dice = i + 1 };
		ASSERT_EQ(0, pthread_create(&churner[i].thread, NULL, churner_main, &churner[i]));
	}
	for (i = 0; i < EPISODES; i++) {
		meet(&churn.arrived, CHURNERS + 2, 2 * i + 1);
		for (k = 0; k < FIRINGS; k++) {
			if (variant->fire(self->file))
				fired++;
			dawdle(i % 64 * 8);
		}
		meet(&churn.arrived, CHURNERS + 2, 2 * i + 2);
		if (state_of(self->file[0], POLLIN)) {
			left++;
			ASSERT_NE(0U, heard(self, 1)) TH_LOG("episode %u", i);
		}
	}
	for (i = 0; i <= CHURNERS; i++)
		ASSERT_EQ(0, pthread_join(churner[i].thread, NULL));
	while (variant->drain(self->file[0]))
		churn.drained++;
	ksft_print_msg("%u fired, something left %u times\n", fired, left);
	EXPECT_EQ(EPISODES * FIRINGS, (int)fired);
	EXPECT_EQ(fired, churn.drained);
	EXPECT_EQ(0U, churn.failed);
}

/* The best time of a write to a file that @num disabled members watch. */
static uint64_t time_to_ask(uint32_t num)
{
	static int file[MANY];
	int fd = kevent_init(NULL, 0, KEVENT_INIT_CLOEXEC);
	struct ukevent ev[64];
	uint64_t best = ~0ULL;
	uint32_t i;
	bool ok = fd >= 0;

	file[0] = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	for (i = 0; ok && i < num; i++) {
		if (i)
			file[i] = dup(file[0]);
		ok = add_file(fd, file[i], POLLIN, KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_DISPATCH) == 1;
	}
	for (i = 0; ok && i < num; i++)
		ok = eventfd_write(file[0], 1) == 0;
	while (ok && get_now(fd, ARRAY_LEN(ev), ev) > 0)
		;
	for (i = 0; ok && i < 8; i++) {
		uint64_t begin = now_ns(), time;

		ok = eventfd_write(file[0], 1) == 0 && get_now(fd, 1, ev) == 0;
		time = now_ns() - begin;
		best = time < best ? time : best;
	}
	for (i = 0; i < num; i++)
		close(file[i]);
	close(fd);
	return ok ? best : 0;
}

/* Members that all have enough are asked in turn, not each by each. */
TEST(disabled_members_are_asked_once)
{
	struct rlimit files = { MANY + 64, MANY + 64 };
	uint64_t few = ~0ULL, many = ~0ULL;
	int i;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	/* A machine with other work disturbs the longer of the two: the best of several counts. */
	for (i = 0; i < 10 && (i == 0 || 24 * few <= many); i++) {
		few = least(few, time_to_ask(MANY / 8));
		many = least(many, time_to_ask(MANY));
		ASSERT_NE(0U, few);
		ASSERT_NE(0U, many);
	}
	ksft_print_msg("%llu ns for %d, %llu ns for %d\n", (unsigned long long)few, MANY / 8,
		       (unsigned long long)many, MANY);
	/* Eight times as many; each by each would be 64. */
	EXPECT_GT(24 * few, many);
}

TEST_HARNESS_MAIN
