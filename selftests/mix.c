// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on the same queues, files and numbers from several threads: what registers,
 * modifies, fires, takes, closes and reuses numbers meets in every order. A detector in the kernel
 * sees most of what can go wrong; the rest must come out right in the end.
 */
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define QUEUES		4
#define FILES		8
#define TIMERS		64
#define THREADS		6
#define ROUNDS		8
#define CHILDREN	50

/* Fixed numbers, so that threads name the same ones. */
#define QUEUE(i)	(50 + (int)((i) % QUEUES))
#define FILE_NR(i)	(100 + (int)((i) % FILES))

static const uint32_t modes[] = {
	0,
	KEVENT_REQ_ET,
	KEVENT_REQ_ONESHOT,
	KEVENT_REQ_DISPATCH,
	KEVENT_REQ_LAST_CHECK,
	KEVENT_REQ_EXCLUSIVE,
	KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_ET,
	KEVENT_REQ_EXCLUSIVE | KEVENT_REQ_DISPATCH,
};

static atomic_bool stop;
static int epfd;

static int ctl_file(int queue, unsigned int cmd, int file, uint32_t mask, uint32_t flags)
{
	struct ukevent request = {
		.id = (uint64_t)file,
		.type = KEVENT_POLL,
		.event = mask,
		.req_flags = flags,
	};

	return kevent_ctl(queue, cmd, 1, &request);
}

static int ctl_timer(int queue, unsigned int cmd, uint64_t id, uint64_t first, uint64_t interval)
{
	struct ukevent request = {
		.id = id,
		.type = KEVENT_TIMER,
		.event = KEVENT_TIMER_FIRED,
		.param = { first, interval },
	};

	return kevent_ctl(queue, cmd, 1, &request);
}

static void new_file(int file)
{
	int fd = eventfd(1, EFD_NONBLOCK);

	if (fd >= 0) {
		dup2(fd, file);
		close(fd);
	}
}

static void new_queue(int queue, unsigned int slots)
{
	int fd = kevent_init(NULL, slots, 0);

	if (fd >= 0) {
		dup2(fd, queue);
		close(fd);
	}
}

static void one_operation(uint32_t x)
{
	int queue = QUEUE(x), file = FILE_NR(x >> 2);
	uint32_t rest = x >> 9;
	struct epoll_event told[4] = { { .events = EPOLLIN } };
	struct ukevent ev[16];
	eventfd_t count;

	switch ((x >> 5) % 13) {
	case 0:
	case 1:
		ctl_file(queue, KEVENT_CTL_ADD, file, POLLIN, modes[rest % ARRAY_LEN(modes)]);
		break;
	case 2:
		ctl_file(queue, KEVENT_CTL_REMOVE, file, 0, 0);
		break;
	case 3:
		ctl_file(queue, KEVENT_CTL_SET, file, POLLIN | POLLOUT,
			 modes[rest % ARRAY_LEN(modes)]);
		break;
	case 4:
		new_file(file);
		break;
	case 5:
		close(file);
		break;
	case 6:
		eventfd_write(file, 1);
		break;
	case 7:
		eventfd_read(file, &count);
		break;
	case 8:
		get_now(queue, ARRAY_LEN(ev), ev);
		break;
	case 9:
		epoll_ctl(epfd, rest & 1 ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, file, told);
		break;
	case 10:
		epoll_wait(epfd, told, ARRAY_LEN(told), 0);
		break;
	case 11:
		ctl_timer(queue, KEVENT_CTL_SET, rest % TIMERS, (rest & 1023) * 100, rest * 50);
		break;
	case 12:
		if (rest % 16 == 0)
			new_queue(queue, rest & 16 ? 16 : 0);
		else
			ctl_file(queue, KEVENT_CTL_ADD, QUEUE(rest), POLLIN, 0);
		break;
	}
}

static void *operate(void *seed)
{
	uint32_t state = (uint32_t)(uintptr_t)seed * 7919 + 1;

	while (!atomic_load(&stop)) {
		state = state * 1103515245 + 12345;
		one_operation(state >> 8);
	}
	return NULL;
}

/* Tasks whose signalfd is watched by queues of others, and that die. */
static void watch_and_die(void)
{
	sigset_t all;
	int i, fd;

	sigfillset(&all);
	fd = signalfd(-1, &all, 0);
	for (i = 0; i < QUEUES; i++)
		ctl_file(QUEUE(i), KEVENT_CTL_ADD, fd, POLLIN, modes[i % ARRAY_LEN(modes)]);
	raise(SIGUSR1);
	_exit(0);
}

static bool children(void)
{
	pid_t parent = fork();
	int i, status;

	if (parent == 0) {
		signal(SIGUSR1, SIG_IGN);
		for (i = 0; i < CHILDREN; i++) {
			pid_t child = fork();

			if (child == 0)
				watch_and_die();
			if (child < 0 || waitpid(child, NULL, 0) != child)
				_exit(1);
		}
		_exit(0);
	}
	return parent > 0 && waitpid(parent, &status, 0) == parent && status == 0;
}

FIXTURE(mix)
{
	pthread_t threads[THREADS];
};

FIXTURE_SETUP(mix)
{
	int i;

	epfd = epoll_create1(0);
	ASSERT_LE(0, epfd);
	for (i = 0; i < QUEUES; i++)
		new_queue(QUEUE(i), i & 1 ? 16 : 0);
}

FIXTURE_TEARDOWN(mix)
{
	close(epfd);
}

/* In the end nothing is left but what was not removed. */
TEST_F_TIMEOUT(mix, of_everything, 300)
{
	int i;

	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&self->threads[i], NULL, operate, (void *)(long)i));
	for (i = 0; i < ROUNDS; i++) {
		usleep(100000);
		EXPECT_TRUE(children());
	}
	atomic_store(&stop, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(self->threads[i], NULL);

	for (i = 0; i < FILES; i++)
		close(FILE_NR(i));
	for (i = 0; i < QUEUES; i++) {
		uint64_t id;
		int other;

		for (id = 0; id < TIMERS; id++)
			ctl_timer(QUEUE(i), KEVENT_CTL_REMOVE, id, 0, 0);
		for (other = 0; other < QUEUES; other++)
			ctl_file(QUEUE(i), KEVENT_CTL_REMOVE, QUEUE(other), 0, 0);
		EXPECT_EQ(0, registrations(QUEUE(i)));
	}
	for (i = 0; i < QUEUES; i++)
		EXPECT_EQ(0, close(QUEUE(i)));
}

TEST_HARNESS_MAIN
