// SPDX-License-Identifier: GPL-2.0
/* Queues that take turns at one file: EXCLUSIVE. */
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "sources.h"

#define QUEUES	8
#define ET	KEVENT_REQ_ET
#define EXCL	(KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_ET)

FIXTURE(exclusive)
{
	int file;		/* an eventfd that counts as a semaphore */
	int queue[QUEUES];
	struct ukevent ev[4];
};

FIXTURE_VARIANT(exclusive)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(exclusive, ring) { .slots = 2 };
FIXTURE_VARIANT_ADD(exclusive, no_ring) { .slots = 0 };

FIXTURE_SETUP(exclusive)
{
	int i;

	self->file = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	ASSERT_LE(0, self->file);
	for (i = 0; i < QUEUES; i++) {
		self->queue[i] = kevent_init(NULL, variant->slots, 0);
		ASSERT_LE(0, self->queue[i]);
		ASSERT_EQ(1, add_file(self->queue[i], self->file, POLLIN, EXCL));
	}
}

FIXTURE_TEARDOWN(exclusive)
{
	int i;

	for (i = 0; i < QUEUES; i++)
		close(self->queue[i]);
	close(self->file);
}

/* The queues that were told, one bit each; their events are taken. */
static unsigned int told(int *queue, struct ukevent *ev)
{
	unsigned int bits = 0;
	int i;

	for (i = 0; i < QUEUES; i++)
		if (queue[i] >= 0 && get_now(queue[i], 4, ev) == 1)
			bits |= 1U << i;
	return bits;
}

static unsigned int fire(int file, int *queue, struct ukevent *ev)
{
	eventfd_t count;
	unsigned int bits;

	if (eventfd_write(file, 1))
		return 0;
	bits = told(queue, ev);
	eventfd_read(file, &count);
	return bits;
}

/* Each firing tells exactly one, and each has its turn. */
TEST_F(exclusive, one_is_told_in_turn)
{
	unsigned int counts[QUEUES] = { 0 };
	int i, n;

	for (n = 0; n < 10 * QUEUES; n++) {
		unsigned int bits = fire(self->file, self->queue, self->ev);

		ASSERT_EQ(1, __builtin_popcount(bits));
		counts[__builtin_ctz(bits)]++;
	}
	for (i = 0; i < QUEUES; i++)
		EXPECT_EQ(10U, counts[i]);
}

/* Nobody takes: eight firings tell each queue once. */
TEST_F(exclusive, all_are_told_by_as_many_firings)
{
	int i;

	for (i = 0; i < QUEUES; i++)
		ASSERT_EQ(0, eventfd_write(self->file, 1));
	EXPECT_EQ((1U << QUEUES) - 1, told(self->queue, self->ev));
}

/* Who watches without the flag is told besides. */
TEST_F(exclusive, others_are_told_besides)
{
	int other = kevent_init(NULL, 0, 0);

	ASSERT_LE(0, other);
	ASSERT_EQ(1, add_file(other, self->file, POLLIN, ET));
	EXPECT_EQ(1, __builtin_popcount(fire(self->file, self->queue, self->ev)));
	EXPECT_EQ(1, get_now(other, 1, self->ev));
	EXPECT_EQ(1, __builtin_popcount(fire(self->file, self->queue, self->ev)));
	EXPECT_EQ(1, get_now(other, 1, self->ev));
	close(other);
}

/* Who is disabled, or does not want these bits, is passed over. */
TEST_F(exclusive, who_cannot_is_passed_over)
{
	unsigned int bits;
	int i, n;

	for (i = 1; i < QUEUES; i++)
		ASSERT_EQ(1, modify_file(self->queue[i], self->file, i % 2 ? POLLIN : POLLPRI,
					 i % 2 ? KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_DISPATCH : EXCL));
	/* 0, and each of the DISPATCH ones once. */
	for (bits = 0, n = 0; n < QUEUES / 2 + 1; n++)
		bits |= fire(self->file, self->queue, self->ev);
	EXPECT_EQ(0xabU, bits);
	for (n = 0; n < 3; n++)
		EXPECT_EQ(1U, fire(self->file, self->queue, self->ev));
}

/* MODIFY joins and leaves. */
TEST_F(exclusive, modify)
{
	int i;

	for (i = 0; i < QUEUES; i++)
		ASSERT_EQ(1, modify_file(self->queue[i], self->file, POLLIN, ET));
	EXPECT_EQ((1U << QUEUES) - 1, fire(self->file, self->queue, self->ev));
	for (i = 2; i < QUEUES; i++)
		ASSERT_EQ(1, modify_file(self->queue[i], self->file, POLLIN, EXCL));
	EXPECT_EQ(3, __builtin_popcount(fire(self->file, self->queue, self->ev)));
	EXPECT_EQ(3U, 3U & fire(self->file, self->queue, self->ev));
}

/* What one was told and did not take goes to another when it ends. */
TEST_F(exclusive, passed_on_by_remove)
{
	int i;

	ASSERT_EQ(0, eventfd_write(self->file, 1));
	for (i = 0; i < QUEUES - 1; i++) {
		int holder;

		for (holder = 0; holder < QUEUES; holder++)
			if (poll_says(self->queue[holder], POLLIN))
				break;
		ASSERT_LT(holder, QUEUES);
		ASSERT_EQ(1, remove_file(self->queue[holder], self->file));
		ASSERT_EQ(0U, poll_says(self->queue[holder], POLLIN));
	}
	EXPECT_EQ(1, __builtin_popcount(told(self->queue, self->ev)));
}

TEST_F(exclusive, passed_on_by_close)
{
	int i;

	ASSERT_EQ(0, eventfd_write(self->file, 1));
	for (i = 0; i < QUEUES - 1; i++) {
		int holder;

		for (holder = 0; holder < QUEUES; holder++)
			if (self->queue[holder] >= 0 && poll_says(self->queue[holder], POLLIN))
				break;
		ASSERT_LT(holder, QUEUES);
		close(self->queue[holder]);
		self->queue[holder] = -1;
	}
	EXPECT_EQ(1, __builtin_popcount(told(self->queue, self->ev)));
}

/* MODIFY that no longer asks for what was told. */
TEST_F(exclusive, passed_on_by_modify)
{
	int holder;

	ASSERT_EQ(0, eventfd_write(self->file, 1));
	for (holder = 0; holder < QUEUES; holder++)
		if (poll_says(self->queue[holder], POLLIN))
			break;
	ASSERT_LT(holder, QUEUES);
	ASSERT_EQ(1, modify_file(self->queue[holder], self->file, POLLPRI, EXCL));
	EXPECT_EQ(1, __builtin_popcount(told(self->queue, self->ev) & ~(1U << holder)));
}

/* What is taken is the taker's: nothing is passed on. */
TEST_F(exclusive, not_passed_on_when_taken)
{
	unsigned int bits;

	ASSERT_EQ(0, eventfd_write(self->file, 1));
	bits = told(self->queue, self->ev);
	ASSERT_EQ(1, __builtin_popcount(bits));
	ASSERT_EQ(1, remove_file(self->queue[__builtin_ctz(bits)], self->file));
	EXPECT_EQ(0U, told(self->queue, self->ev));
}

/* The queue of a process that is killed. */
TEST(passed_on_by_death)
{
	int file = eventfd(0, 0), queue = kevent_init(NULL, 0, 0), ready[2];
	struct ukevent ev;
	pid_t child;
	char x;

	ASSERT_EQ(0, pipe(ready));
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0) {
		close(queue);
		queue = kevent_init(NULL, 4, 0);
		if (add_file(queue, file, POLLIN, EXCL) != 1 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &x, 1));
	/* The child is alone, so it is told. */
	ASSERT_EQ(0, eventfd_write(file, 1));
	ASSERT_EQ(1, add_file(queue, file, POLLPRI, EXCL));
	ASSERT_EQ(1, modify_file(queue, file, POLLIN, EXCL));
	while (get_now(queue, 1, &ev) == 1)
		;
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	EXPECT_TRUE(get_one(queue, &ev));
	EXPECT_EQ((uint32_t)POLLIN, ev.fired);
	close(queue);
	close(file);
}

/* A source that wakes everybody tells everybody. */
TEST(wake_all)
{
	int queue[QUEUES], p[2], i;
	struct ukevent ev[4];

	ASSERT_EQ(0, pipe(p));
	for (i = 0; i < QUEUES; i++) {
		queue[i] = kevent_init(NULL, 0, 0);
		ASSERT_EQ(1, add_file(queue[i], p[0], POLLIN, EXCL));
	}
	close(p[1]);
	EXPECT_EQ((1U << QUEUES) - 1, told(queue, ev));
	for (i = 0; i < QUEUES; i++)
		close(queue[i]);
	close(p[0]);
}

/* Connections to a listener: each is told to one queue, whose owner accepts it. */
TEST(listener)
{
	struct sockaddr addr = { .sa_family = AF_UNIX };
	socklen_t len = sizeof(sa_family_t);
	int queue[QUEUES], i, n, listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	unsigned int counts[QUEUES] = { 0 };
	struct ukevent ev[4];

	ASSERT_LE(0, listener);
	/* A name of the kernel's choice. */
	ASSERT_EQ(0, bind(listener, &addr, len));
	len = sizeof(addr);
	ASSERT_EQ(0, getsockname(listener, &addr, &len));
	ASSERT_EQ(0, listen(listener, 64));
	for (i = 0; i < QUEUES; i++) {
		queue[i] = kevent_init(NULL, 4, 0);
		ASSERT_EQ(1, add_file(queue[i], listener, POLLIN, EXCL));
	}
	for (n = 0; n < 10 * QUEUES; n++) {
		int client = socket(AF_UNIX, SOCK_STREAM, 0), server;
		unsigned int bits;

		ASSERT_EQ(0, connect(client, &addr, len));
		bits = told(queue, ev);
		ASSERT_EQ(1, __builtin_popcount(bits));
		counts[__builtin_ctz(bits)]++;
		server = accept(listener, NULL, NULL);
		ASSERT_LE(0, server);
		close(client);
		close(server);
	}
	for (i = 0; i < QUEUES; i++) {
		EXPECT_EQ(10U, counts[i]);
		close(queue[i]);
	}
	close(listener);
}

/* Members come and go while the source fires: what it counted is taken by somebody. */
#define ITEMS	20000

static atomic_uint consumed;
static atomic_bool produced;

static void *member(void *arg)
{
	int file = (int)(long)arg, queue = kevent_init(NULL, 2, 0);
	struct __kernel_timespec slice = ns_to_timespec(5 * NS_PER_MS);
	unsigned int n = 0;
	struct ukevent ev;
	eventfd_t count;

	while (atomic_load(&consumed) != ITEMS) {
		if (n++ % 64 == 0)
			file_ctl(queue, KEVENT_CTL_SET, file, POLLIN, KEVENT_REQ_EXCLUSIVE);
		if (n % 64 == 48)
			remove_file(queue, file);
		if (kevent_get_events(queue, 1, 1, &slice, &ev, 0) == 1)
			while (eventfd_read(file, &count) == 0)
				atomic_fetch_add(&consumed, 1);
		if (atomic_load(&produced) && n % 64 >= 48)
			n = 0;
	}
	close(queue);
	return NULL;
}

TEST_F_TIMEOUT(exclusive, members_come_and_go, 200)
{
	pthread_t threads[4];
	uint64_t until;
	int i;

	for (i = 0; i < QUEUES; i++)
		ASSERT_EQ(1, remove_file(self->queue[i], self->file));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, member, (void *)(long)self->file));
	for (i = 0; i < ITEMS; i++)
		ASSERT_EQ(0, eventfd_write(self->file, 1));
	atomic_store(&produced, true);
	until = now_ns() + 10 * GENEROUS_NS;
	while (atomic_load(&consumed) != ITEMS && now_ns() < until)
		nap();
	EXPECT_EQ((unsigned int)ITEMS, atomic_load(&consumed));
	atomic_store(&consumed, ITEMS);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

TEST_HARNESS_MAIN
