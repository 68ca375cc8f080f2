// SPDX-License-Identifier: GPL-2.0
/* Wake-ups that say less than a poll would: of two wait queues, of nothing, of the end. */
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sources.h"

/* One registration of a file with two wait queues is told by both. */
TEST(two_wait_queues)
{
	int fd = kevent_init(NULL, 0, 0), fifo;
	static char block[65536];
	struct ukevent ev;

	unlink("/tmp/kevent_two");
	ASSERT_EQ(0, mkfifo("/tmp/kevent_two", 0600));
	fifo = open("/tmp/kevent_two", O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, fifo);
	ASSERT_EQ(1, add_file(fd, fifo, POLLIN | POLLOUT, KEVENT_REQ_ET));
	ASSERT_EQ(1, get_now(fd, 1, &ev));
	EXPECT_EQ((uint32_t)POLLOUT, ev.fired);
	while (write(fifo, block, sizeof(block)) > 0)
		;
	ASSERT_EQ(1, get_now(fd, 1, &ev));
	EXPECT_EQ((uint32_t)POLLIN, ev.fired & POLLIN);
	while (get_now(fd, 1, &ev) == 1)
		;
	while (read(fifo, block, sizeof(block)) > 0)
		;
	ASSERT_EQ(1, get_now(fd, 1, &ev));
	EXPECT_EQ((uint32_t)POLLOUT, ev.fired & POLLOUT);
	close(fifo);
	EXPECT_EQ(0, registrations(fd));
	close(fd);
}

/*
 * As epoll, an edge hears of each write to a pipe, also to one that is not empty: if it is one from
 * the start, or by MODIFY, with the same bits, with others, or with EXCLUSIVE.
 */
TEST(each_write_to_a_pipe)
{
	static const struct {
		uint32_t mask;
		uint32_t flags;
		uint32_t later;	/* flags of a MODIFY */
	} how[] = {
		{ POLLIN, KEVENT_REQ_ET, 0 },
		{ POLLIN, KEVENT_REQ_ET | KEVENT_REQ_LAST_CHECK, 0 },
		{ POLLIN, KEVENT_REQ_ET | KEVENT_REQ_EXCLUSIVE, 0 },
		{ POLLIN, 0, KEVENT_REQ_ET },
		{ POLLIN | POLLRDNORM, 0, KEVENT_REQ_ET },
		{ POLLIN, 0, KEVENT_REQ_ET | KEVENT_REQ_EXCLUSIVE },
	};
	int fd = kevent_init(NULL, 0, 0), end[2], i, n;
	struct ukevent ev;

	for (i = 0; i < ARRAY_LEN(how); i++) {
		ASSERT_EQ(0, pipe(end));
		ASSERT_EQ(1, add_file(fd, end[0], how[i].mask, how[i].flags));
		if (how[i].later)
			ASSERT_EQ(1, modify_file(fd, end[0], POLLIN, how[i].later));
		for (n = 0; n < 3; n++) {
			ASSERT_EQ(1, write(end[1], "x", 1));
			EXPECT_EQ(1, get_now(fd, 1, &ev)) TH_LOG("%d: write %d", i, n);
			EXPECT_EQ(0, get_now(fd, 1, &ev));
		}
		close(end[0]);
		close(end[1]);
	}
	close(fd);
}

/* Woken, and then nothing is true: a checked event is dropped, another is not. */
TEST(wake_without_state)
{
	int fd = kevent_init(NULL, 0, 0), file = eventfd(0, 0), i;
	struct ukevent ev;
	eventfd_t count;

	for (i = 0; i < 2; i++) {
		uint32_t flags = i ? KEVENT_REQ_LAST_CHECK | KEVENT_REQ_DISPATCH :
				     KEVENT_REQ_LAST_CHECK | KEVENT_REQ_ET;

		ASSERT_EQ(1, add_file(fd, file, POLLIN, flags));
		ASSERT_EQ(0, eventfd_write(file, 1));
		ASSERT_EQ(0, eventfd_read(file, &count));
		EXPECT_EQ(0, get_now(fd, 1, &ev));
		/* It was not delivered, so the next one is. */
		ASSERT_EQ(0, eventfd_write(file, 1));
		EXPECT_EQ(1, get_now(fd, 1, &ev));
		EXPECT_EQ((uint32_t)POLLIN, ev.fired);
		ASSERT_EQ(0, eventfd_read(file, &count));
		ASSERT_EQ(1, remove_file(fd, file));
	}
	ASSERT_EQ(1, add_file(fd, file, POLLIN, KEVENT_REQ_ET));
	ASSERT_EQ(0, eventfd_write(file, 1));
	ASSERT_EQ(0, eventfd_read(file, &count));
	EXPECT_EQ(1, get_now(fd, 1, &ev));
	close(file);
	close(fd);
}

/* A wake-up without a key: marked in the ring, made certain by a copy. */
TEST(wake_without_key)
{
	int p[2], i;

	for (i = 0; i < 2; i++) {
		struct kevent_consumer c;
		struct ukevent *ev, copy;

		ASSERT_EQ(0, pipe(p));
		ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
		ASSERT_EQ(1, add_file(c.fd, p[0], POLLIN, KEVENT_REQ_ET));
		close(p[1]);
		if (i) {
			ASSERT_EQ(1, get_now(c.fd, 1, &copy));
			EXPECT_EQ((uint32_t)POLLHUP, copy.fired);
			EXPECT_EQ((int)KEVENT_RET_DONE, flags_of(&copy));
		} else {
			ev = kevent_ring_take(&c);
			ASSERT_NE(NULL, ev);
			EXPECT_EQ((uint32_t)POLLIN, ev->fired);
			EXPECT_EQ((int)(KEVENT_RET_DONE | KEVENT_RET_RECHECK),
				  flags_of(ev) & ~SLOT_FLAGS);
			kevent_ring_finish(&c, ev);
		}
		close(p[0]);
		kevent_ring_close(&c);
	}
}

/* The task behind a signalfd ends, while the file lives on: POLLFREE. */
TEST(task_of_a_signalfd_ends)
{
	int fd = kevent_init(NULL, 0, 0), told[2], go[2], pidfd, theirs, mine;
	struct ukevent ev;
	pid_t child;

	ASSERT_EQ(0, pipe(told));
	ASSERT_EQ(0, pipe(go));
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0) {
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		theirs = signalfd(-1, &set, 0);
		if (add_file(fd, theirs, POLLIN, 0) != 1 ||
		    write(told[1], &theirs, sizeof(theirs)) != sizeof(theirs))
			_exit(1);
		(void)!read(go[0], &theirs, 1);
		_exit(0);
	}
	ASSERT_EQ((ssize_t)sizeof(theirs), read(told[0], &theirs, sizeof(theirs)));
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	mine = (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	ASSERT_LE(0, mine);
	EXPECT_EQ(0, get_now(fd, 1, &ev));
	ASSERT_EQ(1, write(go[1], "x", 1));
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	ASSERT_TRUE(get_one(fd, &ev));
	EXPECT_EQ((uint32_t)POLLHUP, ev.fired);
	EXPECT_EQ((int)(KEVENT_RET_DONE | KEVENT_RET_BROKEN), flags_of(&ev));
	EXPECT_EQ(1, registrations(fd));
	EXPECT_EQ(1, remove_file(fd, theirs));
	close(mine);
	close(pidfd);
	close(fd);
}

/* WAKEUP_ALL: a file wakes every sleeper of the queue. */
TEST(wakeup_all)
{
	int file = eventfd(0, 0), i;
	struct kevent_consumer c;
	struct sleeper s[3];

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(1, add_file(c.fd, file, POLLIN, KEVENT_REQ_ET | KEVENT_REQ_WAKEUP_ALL));
	for (i = 0; i < ARRAY_LEN(s); i++) {
		wait_sleeper(&s[i], &c, NULL);
		ASSERT_TRUE(sleeper_start(&s[i]));
	}
	ASSERT_EQ(0, eventfd_write(file, 1));
	for (i = 0; i < ARRAY_LEN(s); i++) {
		ASSERT_TRUE(sleeper_join(&s[i]));
		EXPECT_EQ(1, s[i].ret);
	}
	close(file);
	kevent_ring_close(&c);
}

/* MODIFY takes an event back while its file fires: what fired is reported all the same. */

#define MODIFICATIONS	6000

struct modified {
	uint32_t arrived;
	int file;
};

static void *fires(void *arg)
{
	struct modified *m = arg;
	uint32_t i;

	pin(1);
	for (i = 1; i <= MODIFICATIONS; i++) {
		meet(&m->arrived, 2, 2 * i - 1);
		dawdle(i * 97 % 65536);
		eventfd_write(m->file, 1);
		meet(&m->arrived, 2, 2 * i);
	}
	return NULL;
}

TEST(modify_while_it_fires)
{
	static const uint32_t masks[2] = { POLLIN, POLLIN | POLLPRI };
	struct modified m = { .file = eventfd(0, EFD_NONBLOCK) };
	int fd = kevent_init(NULL, 0, 0), lost = 0;
	struct ukevent ev;
	eventfd_t count;
	pthread_t other;
	uint32_t i;

	ASSERT_EQ(1, add_file(fd, m.file, masks[0], KEVENT_REQ_ET));
	ASSERT_EQ(0, pthread_create(&other, NULL, fires, &m));
	pin(0);
	for (i = 1; i <= MODIFICATIONS; i++) {
		meet(&m.arrived, 2, 2 * i - 1);
		EXPECT_EQ(1, modify_file(fd, m.file, masks[i % 2], KEVENT_REQ_ET));
		meet(&m.arrived, 2, 2 * i);
		lost += get_now(fd, 1, &ev) != 1;
		eventfd_read(m.file, &count);
	}
	EXPECT_EQ(0, lost);
	pthread_join(other, NULL);
	close(m.file);
	close(fd);
}

/*
 * A file fires a few times while its event is taken, the later ones without the lock of the queue:
 * whatever the moment, the consumer comes to see all of it.
 */

#define BURSTS	6000
#define BURST	6

static void *fires_again(void *arg)
{
	struct modified *m = arg;
	uint32_t i, j;

	pin(1);
	for (i = 1; i <= BURSTS; i++) {
		meet(&m->arrived, 2, 2 * i - 1);
		for (j = 0; j < BURST; j++) {
			eventfd_write(m->file, 1);
			dawdle(i * 31 % 4096);
		}
		meet(&m->arrived, 2, 2 * i);
	}
	return NULL;
}

TEST(fires_again_while_taken)
{
	struct modified m = { .file = eventfd(0, EFD_NONBLOCK) };
	struct __kernel_timespec second = { 1, 0 };
	struct kevent_consumer c;
	int lost = 0, merged = 0;
	struct ukevent *ev;
	eventfd_t count;
	pthread_t other;
	uint32_t i, sum;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(1, add_file(c.fd, m.file, POLLIN, KEVENT_REQ_ET));
	ASSERT_EQ(0, pthread_create(&other, NULL, fires_again, &m));
	pin(0);
	for (i = 1; i <= BURSTS && !lost; i++) {
		meet(&m.arrived, 2, 2 * i - 1);
		dawdle(i * 97 % 16384);
		for (sum = 0; sum < BURST && !lost;) {
			ev = kevent_ring_take(&c);
			if (!ev) {
				lost = kevent_ring_wait(&c, &second) == 0;
				continue;
			}
			if (!eventfd_read(m.file, &count)) {
				merged += count > 1;
				sum += (uint32_t)count;
			}
			kevent_ring_finish(&c, ev);
		}
		meet(&m.arrived, 2, 2 * i);
		while ((ev = kevent_ring_take(&c)))
			kevent_ring_finish(&c, ev);
	}
	EXPECT_EQ(0, lost);
	EXPECT_LT(0, merged);
	for (; i <= BURSTS; i++) {
		meet(&m.arrived, 2, 2 * i - 1);
		meet(&m.arrived, 2, 2 * i);
	}
	pthread_join(other, NULL);
	close(m.file);
	kevent_ring_close(&c);
}

TEST_HARNESS_MAIN
