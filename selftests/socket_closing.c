// SPDX-License-Identifier: GPL-2.0
/*
 * Ends of sockets that are watched: a registration keeps nothing open, and lives as long as the
 * socket does, whoever has it.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "load.h"
#include "sockets.h"

#define SYSCTL	"/proc/sys/user/max_kevent_watches"
#define EXEC_FD	"KEVENT_SELFTEST_STAY"
#define MOMENT_NS	(30 * NS_PER_MS)

/* In the program that a test starts: says that it runs, and stays until nobody wants it to. */
static __attribute__((constructor)) void stay_after_exec(void)
{
	const char *fds = getenv(EXEC_FD);
	int up, down;
	char byte;

	if (fds && sscanf(fds, "%d %d", &up, &down) == 2)
		_exit(write(up, "x", 1) == 1 && read(down, &byte, 1) == 0 ? 0 : 1);
}

static bool spit_limit(int num)
{
	char text[16];

	snprintf(text, sizeof(text), "%d\n", num);
	return !unshare(CLONE_NEWUSER) && spit(SYSCTL, text);
}

/* True, at some time: @num registrations can be made, so that nothing else has any left. */
static bool room_is_back(int num)
{
	uint64_t until = now_ns() + GENEROUS_NS;
	bool back;
	int fd;

	do {
		fd = kevent_init(NULL, 0, 0);
		back = fd >= 0 && add_users(fd, 0, (unsigned int)num) == num;
		close(fd);
		nap();
	} while (!back && now_ns() < until);
	return back;
}

static bool registrations_become(int queue, int num)
{
	uint64_t until = now_ns() + GENEROUS_NS;

	while (registrations(queue) != num) {
		if (now_ns() > until)
			return false;
		nap();
	}
	return true;
}

/* The peer reads the end of the stream, or its reset, at once. */
static bool sees_end(int fd)
{
	char buf[64];
	ssize_t len;

	fcntl(fd, F_SETFL, 0);
	while ((len = recv(fd, buf, sizeof(buf), 0)) > 0)
		;
	return len == 0 || errno == ECONNRESET;
}

static bool still_open(int fd)
{
	char byte;

	nap();
	return FAILS(EAGAIN, recv(fd, &byte, 1, MSG_DONTWAIT));
}

static bool told(int queue, int id, uint32_t bits)
{
	struct __kernel_timespec soon = ns_to_timespec(GENEROUS_NS);
	struct ukevent ev;

	return kevent_get_events(queue, 1, 1, &soon, &ev, 0) == 1 && ev.id == (uint64_t)id &&
	       (ev.fired & bits) == bits;
}

static bool nobody_is_told(int queue)
{
	struct __kernel_timespec soon = ns_to_timespec(MOMENT_NS);
	struct ukevent ev;

	return kevent_get_events(queue, 1, 1, &soon, &ev, 0) == 0;
}

FIXTURE(ends)
{
	int queue;
	int fd[2];		/* the one that is watched, and its peer */
};

FIXTURE_VARIANT(ends)
{
	struct kind kind;
};

FIXTURE_VARIANT_ADD(ends, tcp4) { .kind = { AF_INET, SOCK_STREAM } };
FIXTURE_VARIANT_ADD(ends, tcp6) { .kind = { AF_INET6, SOCK_STREAM } };
FIXTURE_VARIANT_ADD(ends, unix_stream) { .kind = { AF_UNIX, SOCK_STREAM } };
FIXTURE_VARIANT_ADD(ends, unix_seqpacket) { .kind = { AF_UNIX, SOCK_SEQPACKET } };
FIXTURE_VARIANT_ADD(ends, vsock) { .kind = { AF_VSOCK, SOCK_STREAM } };

FIXTURE_SETUP(ends)
{
	self->queue = kevent_init(NULL, 0, KEVENT_INIT_CLOEXEC);
	ASSERT_LE(0, self->queue);
	ASSERT_TRUE(open_pair(&variant->kind, self->fd));
	ASSERT_EQ(1, add_socket(self->queue, self->fd[0], RECV | END, KEVENT_REQ_ET));
}

FIXTURE_TEARDOWN(ends)
{
	close(self->queue);
	close(self->fd[0]);
	close(self->fd[1]);
}

TEST_F(ends, last_close)
{
	ASSERT_TRUE(give(self->fd[1], 1));
	nap();
	close(self->fd[0]);
	EXPECT_TRUE(sees_end(self->fd[1]));
	EXPECT_EQ(0, registrations(self->queue));
	EXPECT_TRUE(nobody_is_told(self->queue));
	EXPECT_TRUE(FAILS(ENOENT, remove_socket(self->queue, self->fd[0])));
}

TEST_F(ends, close_of_a_copy)
{
	int copy = dup(self->fd[0]);

	close(self->fd[0]);
	EXPECT_TRUE(still_open(self->fd[1]));
	EXPECT_EQ(1, registrations(self->queue));
	ASSERT_TRUE(give(self->fd[1], 1));
	EXPECT_TRUE(told(self->queue, self->fd[0], RECV));
	close(copy);
	EXPECT_TRUE(sees_end(self->fd[1]));
	EXPECT_EQ(0, registrations(self->queue));
}

/* The number names another socket now: the old registration makes way. */
TEST_F(ends, number_used_again)
{
	int other[2], copy = dup(self->fd[0]);

	ASSERT_TRUE(open_pair(&variant->kind, other));
	ASSERT_TRUE(give(self->fd[1], 1));
	nap();
	ASSERT_EQ(self->fd[0], dup2(other[0], self->fd[0]));
	ASSERT_EQ(1, add_socket(self->queue, self->fd[0], RECV, KEVENT_REQ_ET));
	EXPECT_EQ(1, registrations(self->queue));
	EXPECT_TRUE(nobody_is_told(self->queue));
	ASSERT_TRUE(give(other[1], 1));
	EXPECT_TRUE(told(self->queue, self->fd[0], RECV));
	close(copy);
	close(other[0]);
	close(other[1]);
}

TEST_F(ends, removed_after_close)
{
	int copy = dup(self->fd[0]);

	close(self->fd[0]);
	EXPECT_EQ(1, remove_socket(self->queue, self->fd[0]));
	ASSERT_TRUE(give(self->fd[1], 1));
	EXPECT_TRUE(nobody_is_told(self->queue));
	close(copy);
	EXPECT_TRUE(sees_end(self->fd[1]));
}

TEST_F(ends, close_of_the_queue)
{
	close(self->queue);
	self->queue = -1;
	EXPECT_TRUE(still_open(self->fd[1]));
	ASSERT_TRUE(give(self->fd[0], 1));
	close(self->fd[0]);
	EXPECT_TRUE(sees_end(self->fd[1]));
}

/* Somebody else has it: it lives, and is told of, until he closes it. */
TEST_F(ends, socket_is_passed)
{
	int over[2], theirs;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, over));
	ASSERT_TRUE(pass(over[0], self->fd[0]));
	close(self->fd[0]);
	/* On its way: nobody has a number for it. */
	EXPECT_TRUE(still_open(self->fd[1]));
	ASSERT_TRUE(give(self->fd[1], 1));
	EXPECT_TRUE(told(self->queue, self->fd[0], RECV));
	theirs = receive(over[1]);
	ASSERT_LE(0, theirs);
	ASSERT_TRUE(give(self->fd[1], 1));
	EXPECT_TRUE(told(self->queue, self->fd[0], RECV));
	close(theirs);
	EXPECT_TRUE(sees_end(self->fd[1]));
	EXPECT_EQ(0, registrations(self->queue));
}

TEST_F(ends, socket_is_lost_on_its_way)
{
	int over[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, over));
	ASSERT_TRUE(pass(over[0], self->fd[0]));
	close(self->fd[0]);
	EXPECT_EQ(1, registrations(self->queue));
	close(over[0]);
	close(over[1]);
	EXPECT_TRUE(sees_end(self->fd[1]));
	EXPECT_TRUE(registrations_become(self->queue, 0));
}

/* The queue goes to somebody else, who takes its events. */
TEST_F(ends, queue_is_passed)
{
	int over[2], theirs;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, over));
	ASSERT_TRUE(pass(over[0], self->queue));
	close(self->queue);
	self->queue = -1;
	ASSERT_TRUE(give(self->fd[1], 1));
	theirs = receive(over[1]);
	ASSERT_LE(0, theirs);
	EXPECT_EQ(1, registrations(theirs));
	EXPECT_TRUE(told(theirs, self->fd[0], RECV));
	close(theirs);
}

/* fork(): the parent closes, the child goes on. */
TEST_F(ends, parent_closes)
{
	int up[2];
	char byte = 0;
	pid_t child;

	ASSERT_EQ(0, pipe(up));
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0) {
		close(self->fd[1]);
		byte = told(self->queue, self->fd[0], RECV) ? 'y' : 'n';
		_exit(write(up[1], &byte, 1) != 1);
	}
	close(self->fd[0]);
	EXPECT_TRUE(still_open(self->fd[1]));
	ASSERT_TRUE(give(self->fd[1], 1));
	ASSERT_EQ(1, read(up[0], &byte, 1));
	EXPECT_EQ('y', byte);
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	EXPECT_TRUE(sees_end(self->fd[1]));
	EXPECT_EQ(0, registrations(self->queue));
}

/* A child that dies has closed what it had. */
TEST_F(ends, child_is_killed)
{
	pid_t child = load_fork();

	if (child == 0)
		for (;;)
			pause();
	close(self->fd[0]);
	EXPECT_TRUE(still_open(self->fd[1]));
	EXPECT_EQ(1, registrations(self->queue));
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	EXPECT_TRUE(sees_end(self->fd[1]));
	EXPECT_TRUE(registrations_become(self->queue, 0));
}

/* exec(): what is marked is closed, and the rest goes on. */
TEST_F(ends, exec_closes)
{
	int up[2], down[2], marked;
	char byte, text[32];
	pid_t child;

	for (marked = 0; marked < 2; marked++) {
		int pair[2];

		ASSERT_TRUE(open_pair(&variant->kind, pair));
		fcntl(pair[0], F_SETFD, marked ? FD_CLOEXEC : 0);
		fcntl(pair[1], F_SETFD, FD_CLOEXEC);
		ASSERT_EQ(1, add_socket(self->queue, pair[0], RECV, KEVENT_REQ_ET));
		ASSERT_EQ(0, pipe(up));
		ASSERT_EQ(0, pipe(down));
		fcntl(down[1], F_SETFD, FD_CLOEXEC);
		child = load_fork();
		if (child == 0) {
			snprintf(text, sizeof(text), "%d %d", up[1], down[0]);
			setenv(EXEC_FD, text, 1);
			execl("/proc/self/exe", "socket_closing", NULL);
			_exit(1);
		}
		close(up[1]);
		close(down[0]);
		ASSERT_EQ(1, read(up[0], &byte, 1));
		close(pair[0]);
		EXPECT_TRUE(marked ? sees_end(pair[1]) : still_open(pair[1]));
		EXPECT_EQ(marked ? 1 : 2, registrations(self->queue));
		close(down[1]);
		ASSERT_EQ(child, waitpid(child, NULL, 0));
		EXPECT_TRUE(registrations_become(self->queue, 1));
		close(up[0]);
		close(pair[1]);
	}
}

/* Closed while it fires. */
TEST_F(ends, close_under_fire)
{
	int i, pair[2];
	pid_t child;

	for (i = 0; i < 100; i++) {
		ASSERT_TRUE(open_pair(&variant->kind, pair));
		ASSERT_EQ(1, add_socket(self->queue, pair[0], RECV | SEND | END, 0));
		child = load_fork();
		if (child == 0) {
			close(pair[0]);
			while (give(pair[1], 1))
				;
			_exit(0);
		}
		close(pair[1]);
		if (i % 2)
			sched_yield();
		close(pair[0]);
		ASSERT_EQ(child, waitpid(child, NULL, 0));
	}
	EXPECT_TRUE(registrations_become(self->queue, 1));
}

/* A listener that is closed lets go those who wait. */
struct looker {
	pthread_t thread;
	int queue;
	uint32_t seen;
	bool stop;
};

static void *looker_main(void *arg)
{
	struct looker *l = arg;
	struct ukevent ev;

	while (!load_get(&l->stop)) {
		if (kevent_get_events(l->queue, 0, 1, NULL, &ev, 0) == 1)
			l->seen++;
	}
	return NULL;
}

/* A level that another thread looks at again when its socket is closed. */
TEST_F_TIMEOUT(ends, looked_at, 300)
{
	struct looker l = { .queue = self->queue };
	uint32_t i, num = races(3000);
	int fd[2];

	ASSERT_EQ(1, remove_socket(self->queue, self->fd[0]));
	ASSERT_EQ(0, pthread_create(&l.thread, NULL, looker_main, &l));
	for (i = 0; i < num; i++) {
		ASSERT_TRUE(open_pair(&variant->kind, fd));
		ASSERT_EQ(1, add_socket(self->queue, fd[0], RECV | SEND | END, 0));
		ASSERT_TRUE(give(fd[1], 1));
		if (i % 16 == 0)
			sched_yield();
		close(fd[0]);
		close(fd[1]);
	}
	load_set(&l.stop, true);
	ASSERT_EQ(0, pthread_join(l.thread, NULL));
	EXPECT_LT(0U, l.seen);
	EXPECT_TRUE(registrations_become(self->queue, 0));
}

TEST_F(ends, listener)
{
	int listener = listening(&variant->kind, 4), peer;

	ASSERT_EQ(1, add_socket(self->queue, listener, ACCEPT, KEVENT_REQ_ET));
	peer = connected(&variant->kind, listener);
	ASSERT_LE(0, peer);
	EXPECT_TRUE(told(self->queue, listener, ACCEPT));
	close(listener);
	EXPECT_TRUE(sees_end(peer));
	EXPECT_EQ(1, registrations(self->queue));
	close(peer);
}

/* Cycles of files on their way: nothing that is watched is kept by who watches. */

#define ROOM	64

/* Both sockets are on their way in each other, and the queue watches both. */
TEST(cycle_of_sockets)
{
	int queue, fd[2], i;

	ASSERT_TRUE(spit_limit(ROOM));
	queue = kevent_init(NULL, 0, 0);
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
		ASSERT_EQ(1, add_socket(queue, fd[0], RECV, 0));
		ASSERT_EQ(1, add_socket(queue, fd[1], RECV, 0));
		ASSERT_TRUE(pass(fd[0], fd[0]));
		ASSERT_TRUE(pass(fd[1], fd[1]));
		close(fd[0]);
		close(fd[1]);
	}
	/* The next socket that is closed begins the search for what nobody can reach. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	close(fd[0]);
	close(fd[1]);
	EXPECT_TRUE(registrations_become(queue, 0));
	close(queue);
	EXPECT_TRUE(room_is_back(ROOM));
}

/* The queue is on its way in the socket that it watches. */
TEST(cycle_through_the_queue)
{
	int queue, fd[2], i;

	ASSERT_TRUE(spit_limit(ROOM));
	for (i = 0; i < 8; i++) {
		queue = kevent_init(NULL, i % 2 ? 8 : 0, 0);
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
		ASSERT_EQ(1, add_socket(queue, fd[0], RECV, 0));
		ASSERT_EQ(1, add_socket(queue, fd[1], RECV, 0));
		ASSERT_TRUE(pass(fd[1], queue));
		ASSERT_TRUE(pass(fd[0], queue));
		close(queue);
		close(fd[0]);
		close(fd[1]);
	}
	EXPECT_TRUE(room_is_back(ROOM));
}

/* Both: the queue is in a socket that is in a socket that it watches. */
TEST(cycle_of_queue_and_sockets)
{
	int queue, fd[2], other[2], i;

	ASSERT_TRUE(spit_limit(ROOM));
	for (i = 0; i < 8; i++) {
		queue = kevent_init(NULL, 8, 0);
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, other));
		ASSERT_EQ(1, add_socket(queue, fd[0], RECV, 0));
		ASSERT_EQ(1, add_socket(queue, other[0], RECV, 0));
		ASSERT_TRUE(pass(fd[0], queue));
		ASSERT_TRUE(pass(other[0], fd[1]));
		ASSERT_TRUE(pass(fd[0], other[1]));
		close(queue);
		close(fd[0]);
		close(fd[1]);
		close(other[0]);
		close(other[1]);
	}
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	close(fd[0]);
	close(fd[1]);
	EXPECT_TRUE(room_is_back(ROOM));
}

TEST_HARNESS_MAIN
