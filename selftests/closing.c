// SPDX-License-Identifier: GPL-2.0
/* Ends: what the last close of a file does to its registrations, and that of a queue to its own. */
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "load.h"
#include "watch.h"

#define SYSCTL	"/proc/sys/user/max_kevent_watches"
#define EXEC_FD	"KEVENT_SELFTEST_FD"

static const struct __kernel_timespec now_or_never;

/* In the program that a test starts: says that it runs, and stays until nobody wants it to. */
static __attribute__((constructor)) void stay_after_exec(void)
{
	const char *fds = getenv(EXEC_FD);
	int up, down;
	char byte;

	if (fds && sscanf(fds, "%d %d", &up, &down) == 2)
		_exit(write(up, "x", 1) == 1 && read(down, &byte, 1) == 0 ? 0 : 1);
}

/* The process has a user namespace of its own from now on, with room for @num registrations. */
static bool room_for(int num)
{
	char text[16];

	snprintf(text, sizeof(text), "%d\n", num);
	return !unshare(CLONE_NEWUSER) && spit(SYSCTL, text);
}

/* True: @num registrations can be made, so that nothing else has any left. */
static bool room_is_back(int num)
{
	int fd = kevent_init(NULL, 0, 0);
	bool back = fd >= 0 && add_users(fd, 0, (unsigned int)num) == num;

	close(fd);
	return back;
}

static int open_eventfd(unsigned int count)
{
	return eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC);
}

FIXTURE(closing)
{
	struct kevent_consumer c;
	struct ukevent ev[8];
	int fd;
	int file;
};

FIXTURE_VARIANT(closing)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(closing, ring) { .slots = 4 };
FIXTURE_VARIANT_ADD(closing, no_ring) { .slots = 0 };

FIXTURE_SETUP(closing)
{
	if (variant->slots) {
		ASSERT_EQ(0, kevent_ring_open(&self->c, variant->slots, 0, 1));
		self->fd = self->c.fd;
	} else {
		self->fd = kevent_init(NULL, 0, 0);
		ASSERT_LE(0, self->fd);
	}
	self->file = open_eventfd(0);
	ASSERT_LE(0, self->file);
}

FIXTURE_TEARDOWN(closing)
{
	if (variant->slots)
		kevent_ring_close(&self->c);
	else
		close(self->fd);
}

/* The last close: untaken is taken back, the key is free, and no call finds it any more. */
TEST_F(closing, last_close)
{
	static const uint32_t flags[] = {
		0, KEVENT_REQ_ET, KEVENT_REQ_DISPATCH, KEVENT_REQ_LAST_CHECK, KEVENT_REQ_EXCLUSIVE,
	};
	int i, file;

	for (i = 0; i < 2 * ARRAY_LEN(flags); i++) {
		file = open_eventfd(i % 2);
		ASSERT_LE(0, file);
		ASSERT_EQ(1, add_file(self->fd, file, POLLIN, flags[i / 2]));
		EXPECT_EQ(1, registrations(self->fd));
		close(file);
		EXPECT_EQ(0, registrations(self->fd));
		EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
		EXPECT_EQ(0, state_of(self->fd, POLLIN));
		EXPECT_TRUE(FAILS(ENOENT, remove_file(self->fd, file)));
		EXPECT_TRUE(FAILS(ENOENT, modify_file(self->fd, file, POLLIN, 0)));
		EXPECT_TRUE(FAILS(ENOENT, ready_file(self->fd, file)));
		EXPECT_TRUE(FAILS(EBADF, add_file(self->fd, file, POLLIN, 0)));
		EXPECT_TRUE(FAILS(EBADF, set_file(self->fd, file, POLLIN, 0)));
		if (variant->slots)
			EXPECT_EQ(-1, take_id(&self->c));
	}
}

/* Every other call that closes. */
TEST_F(closing, dup2_over)
{
	int other = open_eventfd(0);

	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, 0));
	ASSERT_EQ(0, eventfd_write(self->file, 1));
	ASSERT_EQ(self->file, dup2(other, self->file));
	EXPECT_EQ(0, registrations(self->fd));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
}

TEST_F(closing, close_range)
{
	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, 0));
	ASSERT_EQ(0, eventfd_write(self->file, 1));
	ASSERT_EQ(0, (int)syscall(SYS_close_range, self->file, self->file, 0));
	EXPECT_EQ(0, registrations(self->fd));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
}

/* Registrations that are over count no more. */
TEST(gives_back)
{
	int fd, file, i;

	ASSERT_TRUE(room_for(1)) TH_LOG("errno %d", errno);
	fd = kevent_init(NULL, 0, 0);
	ASSERT_LE(0, fd);
	for (i = 0; i < 100; i++) {
		file = open_eventfd(i % 2);
		ASSERT_EQ(1, add_file(fd, file, POLLIN, 0));
		ASSERT_TRUE(FAILS(ENOSPC, add_user(fd, 0, 1, 0)));
		close(file);
	}
	EXPECT_TRUE(room_is_back(1));
}

/* One of two descriptors: nothing ends. The other: it does. */
TEST_F(closing, one_of_two)
{
	int i, keep, copy;

	for (i = 0; i < 2; i++) {
		self->file = open_eventfd(0);
		copy = dup(self->file);
		ASSERT_LE(0, copy);
		ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
		keep = i ? self->file : copy;
		close(i ? copy : self->file);
		EXPECT_EQ(1, registrations(self->fd));
		ASSERT_EQ(0, eventfd_write(keep, 1));
		ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
		EXPECT_EQ((uint64_t)self->file, self->ev[0].id);
		ASSERT_EQ(0, eventfd_write(keep, 1));
		close(keep);
		EXPECT_EQ(0, registrations(self->fd));
		EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
	}
}

/* An event that is taken stays with its taker. */
TEST(taken_stays)
{
	struct kevent_consumer c;
	struct ukevent *ev;
	int file = open_eventfd(1);

	ASSERT_EQ(0, kevent_ring_open(&c, 2, 0, 1));
	ASSERT_EQ(1, add_file(c.fd, file, POLLIN, 0));
	ev = kevent_ring_take(&c);
	ASSERT_NE(NULL, ev);
	close(file);
	EXPECT_EQ(0, registrations(c.fd));
	EXPECT_TRUE(kevent_word_held_by(ev->word, 1));
	EXPECT_EQ((uint64_t)file, ev->id);
	EXPECT_EQ(~(uint64_t)file, ev->user);
	EXPECT_EQ((uint32_t)POLLIN, ev->fired);
	/* Its slot is not filled until it is finished. */
	ASSERT_EQ(2, add_users(c.fd, 0, 2));
	ASSERT_EQ(2, ready_users(c.fd, 0, 2));
	EXPECT_EQ((uint64_t)file, ev->id);
	EXPECT_EQ(0, take_id(&c));
	kevent_ring_finish(&c, ev);
	ASSERT_LT(0, kevent_ring_wait(&c, &now_or_never));
	EXPECT_EQ(1, take_id(&c));
	kevent_ring_close(&c);
}

/* The event of ONESHOT stays once it is published, and not before. */
TEST_F(closing, once)
{
	int n = variant->slots ? 1 : 0;

	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ONESHOT));
	ASSERT_EQ(0, eventfd_write(self->file, 1));
	close(self->file);
	EXPECT_EQ(0, registrations(self->fd));
	EXPECT_EQ(n, get_now(self->fd, 8, self->ev));
}

/* What waits for room is taken back as well. */
TEST(pending)
{
	struct kevent_consumer c;
	int file = open_eventfd(1);

	ASSERT_EQ(0, kevent_ring_open(&c, 1, 0, 1));
	ASSERT_EQ(1, add_users(c.fd, 0, 1));
	ASSERT_EQ(1, ready(c.fd, 0, 1));
	ASSERT_EQ(1, add_file(c.fd, file, POLLIN, 0));
	ASSERT_EQ(1, kevent_ring_pending(&c));
	close(file);
	EXPECT_EQ(0, kevent_ring_pending(&c));
	EXPECT_EQ(0, take_id(&c));
	EXPECT_EQ(0, kevent_ring_wait(&c, &now_or_never));
	kevent_ring_close(&c);
}

/* A thread that sleeps on the queue sleeps on. */
TEST_F(closing, sleeper)
{
	struct sleeper s;

	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, 0));
	get_sleeper(&s, self->fd, 1, 8, NULL, self->ev);
	ASSERT_TRUE(sleeper_start(&s));
	close(self->file);
	EXPECT_EQ(0, registrations(self->fd));
	EXPECT_TRUE(sleeper_still_sleeps(&s));
	ASSERT_EQ(0, kick(self->fd));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(0, s.ret);
}

/* A mapping holds its file. */
TEST_F(closing, mapped)
{
	struct kevent_consumer inner;
	int number;

	ASSERT_EQ(0, kevent_ring_open(&inner, 4, 0, 1));
	number = inner.fd;
	ASSERT_EQ(1, add_user(inner.fd, 0, 1, 0));
	ASSERT_EQ(1, add_file(self->fd, inner.fd, POLLIN, 0));
	ASSERT_EQ(1, ready(inner.fd, 0, 1));
	close(inner.fd);
	EXPECT_EQ(1, registrations(self->fd));
	EXPECT_EQ(1, get_now(self->fd, 8, self->ev));
	EXPECT_EQ((uint64_t)number, self->ev[0].id);
	ASSERT_EQ(0, munmap(inner.ring, kevent_ring_bytes(4)));
	EXPECT_EQ(0, registrations(self->fd));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
}

/*
 * Other processes.
 */

struct child {
	pid_t pid;
	int up[2], down[2];
};

/* A child that has what the caller has, and waits. In the child: 0. */
static pid_t child_start(struct child *child)
{
	char byte;

	if (pipe(child->up) || pipe(child->down))
		return -1;
	child->pid = load_fork();
	if (child->pid == 0) {
		close(child->down[1]);
		return 0;
	}
	close(child->up[1]);
	close(child->down[0]);
	return read(child->up[0], &byte, 1) == 1 ? child->pid : -1;
}

/* In the child: tells the parent, and stays until that lets it go. */
static void child_stay(struct child *child)
{
	char byte;

	_exit(write(child->up[1], "x", 1) == 1 && read(child->down[0], &byte, 1) == 0 ? 0 : 1);
}

static bool child_end(struct child *child)
{
	close(child->down[1]);
	return load_join(child->pid);
}

/* After fork() the file is closed when both have closed it. */
TEST_F(closing, fork)
{
	struct child child;

	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
	ASSERT_LE(0, child_start(&child));
	if (child.pid == 0) {
		close(self->fd);
		child_stay(&child);
	}
	ASSERT_EQ(0, eventfd_write(self->file, 1));
	close(self->file);
	EXPECT_EQ(1, registrations(self->fd));
	EXPECT_EQ(1, get_now(self->fd, 8, self->ev));
	EXPECT_TRUE(child_end(&child));
	EXPECT_EQ(0, registrations(self->fd));
}

/* The child fires it, and closes first. */
TEST_F(closing, fork_child_first)
{
	struct child child;

	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
	ASSERT_LE(0, child_start(&child));
	if (child.pid == 0) {
		eventfd_write(self->file, 1);
		child_stay(&child);
	}
	EXPECT_TRUE(child_end(&child));
	EXPECT_EQ(1, registrations(self->fd));
	EXPECT_EQ(1, get_now(self->fd, 8, self->ev));
	close(self->file);
	EXPECT_EQ(0, registrations(self->fd));
}

/* Who holds the file last is killed. */
TEST_F(closing, holder_killed)
{
	struct child child;

	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, 0));
	ASSERT_EQ(0, eventfd_write(self->file, 1));
	ASSERT_LE(0, child_start(&child));
	if (child.pid == 0)
		child_stay(&child);
	close(self->file);
	EXPECT_EQ(1, registrations(self->fd));
	EXPECT_TRUE(load_kill(child.pid));
	EXPECT_EQ(0, registrations(self->fd));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
}

/* A program that is started closes what was to be closed, and keeps the rest. */
TEST_F(closing, exec)
{
	int kept = eventfd(0, 0);
	struct child child;
	char value[32];

	ASSERT_LE(0, kept);
	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, 0));
	ASSERT_EQ(1, add_file(self->fd, kept, POLLIN, 0));
	ASSERT_EQ(0, eventfd_write(self->file, 1));
	ASSERT_LE(0, child_start(&child));
	if (child.pid == 0) {
		snprintf(value, sizeof(value), "%d %d", child.up[1], child.down[0]);
		setenv(EXEC_FD, value, 1);
		execl("/proc/self/exe", "closing", (char *)NULL);
		_exit(1);
	}
	close(self->file);
	close(kept);
	EXPECT_EQ(1, registrations(self->fd));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
	EXPECT_TRUE(FAILS(ENOENT, remove_file(self->fd, self->file)));
	EXPECT_TRUE(child_end(&child));
	EXPECT_EQ(0, registrations(self->fd));
}

static bool send_fd(int sock, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct iovec byte = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) == 1;
}

static int receive_fd(int sock)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char text;
	struct iovec byte = { .iov_base = &text, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.buf),
	};
	int fd = -1;

	if (recvmsg(sock, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

/* A message in flight holds the file, and then its receiver does. */
TEST_F(closing, in_flight)
{
	int pair[2], received;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
	ASSERT_TRUE(send_fd(pair[0], self->file));
	close(self->file);
	EXPECT_EQ(1, registrations(self->fd));
	received = receive_fd(pair[1]);
	ASSERT_LE(0, received);
	ASSERT_EQ(0, eventfd_write(received, 1));
	EXPECT_EQ(1, get_now(self->fd, 8, self->ev));
	EXPECT_EQ((uint64_t)self->file, self->ev[0].id);
	close(received);
	EXPECT_EQ(0, registrations(self->fd));
}

/* A message that is never received is closed with its socket. */
TEST_F(closing, in_flight_and_lost)
{
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, 0));
	ASSERT_EQ(0, eventfd_write(self->file, 1));
	ASSERT_TRUE(send_fd(pair[0], self->file));
	close(self->file);
	close(pair[0]);
	EXPECT_EQ(1, registrations(self->fd));
	close(pair[1]);
	EXPECT_EQ(0, registrations(self->fd));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
}

/* A socket in flight to itself is found to be nobody's, though it is watched. */
TEST_F(closing, cycle_in_flight)
{
	uint64_t until = now_ns() + GENEROUS_NS;
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(1, add_file(self->fd, pair[1], POLLIN, 0));
	ASSERT_TRUE(send_fd(pair[0], pair[1]));
	close(pair[1]);
	EXPECT_EQ(1, registrations(self->fd));
	close(pair[0]);
	while (registrations(self->fd) != 0 && now_ns() < until)
		nap();
	EXPECT_EQ(0, registrations(self->fd));
}

/* Nor does a queue live because it is in flight to the socket that it watches. */
TEST(queue_in_flight)
{
	int pair[2], fd;

	ASSERT_TRUE(room_for(2)) TH_LOG("errno %d", errno);
	fd = kevent_init(NULL, 4, 0);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(1, add_file(fd, pair[0], POLLIN, 0));
	ASSERT_EQ(1, add_file(fd, pair[1], POLLIN, 0));
	ASSERT_TRUE(send_fd(pair[0], fd));
	close(fd);
	EXPECT_FALSE(room_is_back(1));
	close(pair[0]);
	EXPECT_TRUE(room_is_back(1));
	close(pair[1]);
	EXPECT_TRUE(room_is_back(2));
}

/*
 * Ghosts: the number is closed, and the file lives on under another one.
 */

/* The number of a file that another number keeps. Returns that one. */
static int make_ghost(int file)
{
	int copy = dup(file);

	close(file);
	return copy;
}

/* The number is closed: REMOVE and READY mean the ghost, all else is EBADF. */
TEST_F(closing, ghost_of_closed_number)
{
	int copy;

	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
	copy = make_ghost(self->file);
	ASSERT_LE(0, copy);
	EXPECT_TRUE(FAILS(EBADF, add_file(self->fd, self->file, POLLIN, 0)));
	EXPECT_TRUE(FAILS(EBADF, modify_file(self->fd, self->file, POLLIN, 0)));
	EXPECT_TRUE(FAILS(EBADF, set_file(self->fd, self->file, POLLIN, 0)));
	/* It is as it was. */
	EXPECT_EQ(1, registrations(self->fd));
	ASSERT_EQ(0, eventfd_write(copy, 1));
	ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
	EXPECT_EQ((uint64_t)self->file, self->ev[0].id);
	EXPECT_EQ(0, flags_of(&self->ev[0]) & KEVENT_RET_INJECTED);
	ASSERT_EQ(1, ready_file(self->fd, self->file));
	ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
	EXPECT_TRUE(flags_of(&self->ev[0]) & KEVENT_RET_INJECTED);

	ASSERT_EQ(0, eventfd_write(copy, 1));
	ASSERT_EQ(1, remove_file(self->fd, self->file));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
	ASSERT_EQ(0, eventfd_write(copy, 1));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
	EXPECT_TRUE(FAILS(ENOENT, remove_file(self->fd, self->file)));
}

/* The number names another file at once: MODIFY is not for that one. */
TEST_F(closing, ghost_is_not_modified)
{
	int copy, other = open_eventfd(1);

	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
	copy = dup(self->file);
	ASSERT_EQ(self->file, dup2(other, self->file));
	EXPECT_TRUE(FAILS(ENOENT, modify_file(self->fd, self->file, POLLIN, 0)));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
	ASSERT_EQ(0, eventfd_write(copy, 1));
	EXPECT_EQ(1, get_now(self->fd, 8, self->ev));
	EXPECT_EQ(1, remove_file(self->fd, self->file));
	EXPECT_EQ(0, registrations(self->fd));
}

/* ADD and SET put the new file in its place: what it has not told, nobody is told. */
TEST_F(closing, ghost_is_replaced)
{
	static const unsigned int cmds[] = { KEVENT_CTL_ADD, KEVENT_CTL_SET };
	int copy, other, i;

	for (i = 0; i < ARRAY_LEN(cmds); i++) {
		self->file = open_eventfd(0);
		other = open_eventfd(0);
		ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
		ASSERT_EQ(0, eventfd_write(self->file, 1));
		copy = dup(self->file);
		ASSERT_EQ(self->file, dup2(other, self->file));
		close(other);
		ASSERT_EQ(1, file_ctl(self->fd, cmds[i], self->file, POLLIN, KEVENT_REQ_ET));
		EXPECT_EQ(1, registrations(self->fd));
		EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
		ASSERT_EQ(0, eventfd_write(copy, 1));
		EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
		ASSERT_EQ(0, eventfd_write(self->file, 1));
		EXPECT_EQ(1, get_now(self->fd, 8, self->ev));
		/* The end of the ghost's file is no end of the new one. */
		close(copy);
		EXPECT_EQ(1, registrations(self->fd));
		EXPECT_TRUE(FAILS(EEXIST, add_file(self->fd, self->file, POLLIN, 0)));
		ASSERT_EQ(1, modify_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
		EXPECT_EQ(1, get_now(self->fd, 8, self->ev));
		close(self->file);
		EXPECT_EQ(0, registrations(self->fd));
	}
}

/* The ghost ends also for a file that is then refused. */
TEST_F(closing, ghost_and_refused)
{
	int copy, null = open("/dev/null", O_RDONLY);

	ASSERT_LE(0, null);
	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
	copy = dup(self->file);
	ASSERT_EQ(0, eventfd_write(copy, 1));
	ASSERT_EQ(self->file, dup2(null, self->file));
	EXPECT_TRUE(FAILS(EPERM, add_file(self->fd, self->file, POLLIN, 0)));
	EXPECT_EQ(0, registrations(self->fd));
	EXPECT_EQ(0, get_now(self->fd, 8, self->ev));
}

/* Ghosts count no more when they are replaced. */
TEST(ghost_gives_back)
{
	int fd, file, i;

	ASSERT_TRUE(room_for(1)) TH_LOG("errno %d", errno);
	fd = kevent_init(NULL, 4, 0);
	file = open_eventfd(1);
	for (i = 0; i < 50; i++) {
		int other = open_eventfd(1);

		ASSERT_EQ(1, add_file(fd, file, POLLIN, 0));
		ASSERT_LE(0, dup(file));
		ASSERT_EQ(file, dup2(other, file));
		close(other);
	}
	EXPECT_EQ(1, registrations(fd));
	ASSERT_EQ(1, remove_file(fd, file));
	EXPECT_TRUE(room_is_back(1));
}

/* When its number names the same file again, it is no ghost any more. */
TEST_F(closing, ghost_comes_back)
{
	int copy;

	ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
	copy = make_ghost(self->file);
	ASSERT_EQ(self->file, dup2(copy, self->file));
	EXPECT_TRUE(FAILS(EEXIST, add_file(self->fd, self->file, POLLIN, 0)));
	EXPECT_EQ(1, modify_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
	EXPECT_EQ(1, set_file(self->fd, self->file, POLLIN, KEVENT_REQ_ET));
	EXPECT_EQ(1, registrations(self->fd));
	ASSERT_EQ(0, eventfd_write(copy, 1));
	EXPECT_EQ(1, get_now(self->fd, 8, self->ev));
}

/* Without another number there is no ghost: the same number begins anew, again and again. */
TEST_F(closing, number_used_again)
{
	int i, number = self->file;

	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(1, add_file(self->fd, number, POLLIN, 0));
		ASSERT_EQ(i == 0 ? 0 : 1, state_of(self->fd, POLLIN) & POLLIN ? 1 : 0);
		close(number);
		ASSERT_EQ(0, state_of(self->fd, POLLIN));
		ASSERT_EQ(number, open_eventfd(1));
	}
	EXPECT_EQ(0, registrations(self->fd));
}

/*
 * Nothing holds what is watched.
 */

static int tcp_pair(int pair[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0), error;

	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	error = bind(listener, (struct sockaddr *)&addr, len) || listen(listener, 1) ||
		getsockname(listener, (struct sockaddr *)&addr, &len) ||
		connect(pair[0], (struct sockaddr *)&addr, len);
	pair[1] = error ? -1 : accept(listener, NULL, NULL);
	close(listener);
	return pair[1] < 0 ? -1 : 0;
}

static int unix_pair(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static int pipe_writer_first(int pair[2])
{
	int ends[2];

	if (pipe(ends))
		return -1;
	pair[0] = ends[1];
	pair[1] = ends[0];
	return 0;
}

FIXTURE(peer)
{
	int pair[2];	/* the second one sees the end of the first */
	int fd;
};

FIXTURE_VARIANT(peer)
{
	int (*make)(int pair[2]);
	short sees;
};

FIXTURE_VARIANT_ADD(peer, pipe_of_writer) { .make = pipe, .sees = POLLERR };
FIXTURE_VARIANT_ADD(peer, pipe_of_reader) { .make = pipe_writer_first, .sees = POLLHUP };
FIXTURE_VARIANT_ADD(peer, unix_socket) { .make = unix_pair, .sees = POLLHUP };
FIXTURE_VARIANT_ADD(peer, tcp_socket) { .make = tcp_pair, .sees = POLLRDHUP };

FIXTURE_SETUP(peer)
{
	self->fd = kevent_init(NULL, 4, 0);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(peer)
{
	close(self->fd);
}

/* Who is at the other end sees the close, whatever the queue knows of the file. */
TEST_F(peer, sees_the_end)
{
	static const uint32_t flags[] = {
		0, KEVENT_REQ_ET, KEVENT_REQ_DISPATCH, KEVENT_REQ_EXCLUSIVE,
	};
	struct ukevent ev;
	int i;

	for (i = 0; i < 2 * ARRAY_LEN(flags); i++) {
		struct pollfd p;

		ASSERT_EQ(0, variant->make(self->pair));
		/* Every second time with an untaken event. */
		ASSERT_EQ(1, add_file(self->fd, self->pair[0],
				      i % 2 ? POLLIN | POLLOUT : POLLPRI, flags[i / 2]));
		EXPECT_EQ(0, state_of(self->pair[1], variant->sees));
		close(self->pair[0]);
		p = (struct pollfd){ .fd = self->pair[1], .events = variant->sees };
		EXPECT_EQ(1, poll(&p, 1, (int)(GENEROUS_NS / NS_PER_MS)));
		EXPECT_EQ(variant->sees, p.revents & variant->sees);
		EXPECT_EQ(0, registrations(self->fd));
		EXPECT_EQ(0, get_now(self->fd, 1, &ev));
		close(self->pair[1]);
	}
}

/* Both ends in one queue: the close of one is an event of the other. */
TEST_F(peer, watched_too)
{
	struct ukevent ev;

	ASSERT_EQ(0, variant->make(self->pair));
	ASSERT_EQ(1, add_file(self->fd, self->pair[0], POLLPRI, 0));
	ASSERT_EQ(1, add_file(self->fd, self->pair[1], POLLRDHUP, 0));
	close(self->pair[0]);
	ASSERT_EQ(1, kevent_get_events(self->fd, 1, 1, NULL, &ev, 0));
	EXPECT_EQ((uint64_t)self->pair[1], ev.id);
	EXPECT_EQ(variant->sees, (short)ev.fired & variant->sees);
	EXPECT_EQ(1, registrations(self->fd));
	close(self->pair[1]);
	EXPECT_EQ(0, registrations(self->fd));
	EXPECT_EQ(0, get_now(self->fd, 1, &ev));
}

/*
 * The end of a queue.
 */

#define HELD	7

FIXTURE(release)
{
	struct kevent_consumer c;
	struct ukevent *taken;
	int file[5];
};

FIXTURE_VARIANT(release)
{
	bool unmap_first;
};

FIXTURE_VARIANT_ADD(release, mapping_last) { .unmap_first = false };
FIXTURE_VARIANT_ADD(release, descriptor_last) { .unmap_first = true };

/* One registration of every kind: over, taken, untaken, pending, armed; a timer, a user's. */
FIXTURE_SETUP(release)
{
	struct ukevent timer = {
		.id = 1,
		.type = KEVENT_TIMER,
		.event = KEVENT_TIMER_FIRED,
		.param = { NS_PER_MS, NS_PER_MS },
	};
	int i;

	ASSERT_TRUE(room_for(HELD)) TH_LOG("errno %d", errno);
	ASSERT_EQ(0, kevent_ring_open(&self->c, 2, 0, 1));
	for (i = 0; i < 5; i++) {
		self->file[i] = open_eventfd(i < 4 ? 1 : 0);
		ASSERT_EQ(1, add_file(self->c.fd, self->file[i], POLLIN,
				      i == 0 ? KEVENT_REQ_ONESHOT : KEVENT_REQ_ET));
		if (i == 0)
			ASSERT_EQ(self->file[0], (int)take_id(&self->c));
		if (i == 1)
			self->taken = kevent_ring_take(&self->c);
	}
	ASSERT_NE(NULL, self->taken);
	ASSERT_EQ(1, kevent_ring_pending(&self->c));
	ASSERT_EQ(1, kevent_ctl(self->c.fd, KEVENT_CTL_ADD, 1, &timer));
	ASSERT_EQ(1, add_user(self->c.fd, 0, 1, 0));
	ASSERT_FALSE(room_is_back(2));
}

FIXTURE_TEARDOWN(release)
{
	int i;

	/* Nobody is told any more. */
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(0, eventfd_write(self->file[i], 1));
		close(self->file[i]);
	}
}

TEST_F(release, everything_ends)
{
	size_t bytes = kevent_ring_bytes(2);

	if (variant->unmap_first)
		munmap(self->c.ring, bytes);
	else
		close(self->c.fd);
	EXPECT_FALSE(room_is_back(2));
	if (variant->unmap_first)
		close(self->c.fd);
	else
		munmap(self->c.ring, bytes);
	EXPECT_TRUE(room_is_back(HELD));
}

/* As long as it is mapped, wake-ups fill the ring. */
TEST_F(release, ring_lives_on)
{
	uint64_t until = now_ns() + GENEROUS_NS;
	long long id;

	if (variant->unmap_first)
		return;
	close(self->c.fd);
	EXPECT_EQ(self->file[1], (int)self->taken->id);
	EXPECT_TRUE(kevent_word_held_by(self->taken->word, 1));
	EXPECT_EQ(self->file[2], (int)take_id(&self->c));
	kevent_ring_finish(&self->c, self->taken);
	ASSERT_EQ(0, eventfd_write(self->file[4], 1));
	do
		id = take_id(&self->c);
	while (id < 0 && now_ns() < until);
	EXPECT_EQ(self->file[3], (int)id);
	munmap(self->c.ring, kevent_ring_bytes(2));
	EXPECT_TRUE(room_is_back(HELD));
}

/* A thread that sleeps in a call holds the queue until it returns. */
TEST(queue_of_sleeper)
{
	int fd, file = open_eventfd(0);
	struct ukevent ev;
	struct sleeper s;

	ASSERT_TRUE(room_for(1)) TH_LOG("errno %d", errno);
	fd = kevent_init(NULL, 4, 0);
	ASSERT_EQ(1, add_file(fd, file, POLLIN, 0));
	get_sleeper(&s, fd, 1, 1, NULL, &ev);
	ASSERT_TRUE(sleeper_start(&s));
	close(fd);
	EXPECT_TRUE(sleeper_still_sleeps(&s));
	EXPECT_FALSE(room_is_back(1));
	ASSERT_EQ(0, eventfd_write(file, 1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(1, s.ret);
	EXPECT_TRUE(room_is_back(1));
}

/*
 * Two at once.
 */

#define RACES	20000

/* Takes all that comes, and looks whether it came too late. */
struct taker {
	pthread_t thread;
	struct kevent_consumer c;	/* c.ring NULL: by calls */
	uint64_t closed;		/* what has this generation, or an older one, is over */
	uint64_t gone;			/* this one was removed, and there was no copy */
	struct ukevent buf;
	uint64_t taken, late, garbled;
	bool stop;
};

static void taker_sees(struct taker *t, const struct ukevent *ev, uint64_t closed)
{
	t->taken++;
	if (ev->param[0] <= closed || ev->param[0] == load_get(&t->gone))
		t->late++;
	if (ev->type != KEVENT_POLL || ev->user != ~ev->id || ev->fired != POLLIN)
		t->garbled++;
}

static void *taker_main(void *arg)
{
	struct taker *t = arg;
	struct ukevent *ev;

	pin(1);
	while (!load_get(&t->stop)) {
		uint64_t closed = load_get(&t->closed);

		load_set(&t->buf.param[0], 0);
		ev = t->c.ring ? kevent_ring_take(&t->c) : NULL;
		if (ev) {
			taker_sees(t, ev, closed);
			dawdle(200);
			taker_sees(t, ev, closed);
			kevent_ring_finish(&t->c, ev);
		} else if (!t->c.ring && get_now(t->c.fd, 1, &t->buf) == 1) {
			taker_sees(t, &t->buf, closed);
		} else {
			sched_yield();
		}
	}
	return NULL;
}

#define LOOKED_AT	256

FIXTURE(look)
{
	struct kevent_consumer c;
	struct ukevent ev[LOOKED_AT];
	uint32_t arrived;
	bool begins, stop;
	int fd;
};

FIXTURE_VARIANT(look)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(look, ring) { .slots = LOOKED_AT };
FIXTURE_VARIANT_ADD(look, no_ring) { .slots = 0 };

FIXTURE_SETUP(look)
{
	if (variant->slots) {
		ASSERT_EQ(0, kevent_ring_open(&self->c, variant->slots, 0, 1));
		self->fd = self->c.fd;
	} else {
		self->fd = kevent_init(NULL, 0, 0);
		ASSERT_LE(0, self->fd);
	}
}

FIXTURE_TEARDOWN(look)
{
	if (variant->slots)
		kevent_ring_close(&self->c);
	else
		close(self->fd);
}

/* Waits for an event, after it has looked at what may have one, until it is let go. */
static int look_and_sleep(FIXTURE_DATA(look) *self)
{
	struct ukevent ev;

	if (self->c.ring)
		return kevent_wait(self->fd, 1, (uint32_t)kevent_ring_head(&self->c), NULL, 0);
	return kevent_get_events(self->fd, 1, 1, NULL, &ev, 0);
}

static void *looker_main(void *arg)
{
	FIXTURE_DATA(look) *self = arg;
	uint32_t times = 0;

	pin(1);
	for (;;) {
		meet(&self->arrived, 2, ++times);
		if (load_get(&self->stop))
			return NULL;
		load_set(&self->begins, true);
		look_and_sleep(self);
		meet(&self->arrived, 2, ++times);
	}
}

/* How many events there are. */
static int take_all(FIXTURE_DATA(look) *self)
{
	struct ukevent *ev;
	int num = 0;

	if (!self->c.ring)
		return get_now(self->fd, LOOKED_AT, self->ev);
	while ((ev = kevent_ring_take(&self->c))) {
		kevent_ring_finish(&self->c, ev);
		num++;
	}
	return num;
}

/* Makes a pipe without a byte, whose read end is to be looked at many times. */
static bool watch_pipe(FIXTURE_DATA(look) *self, int end[2])
{
	static int copy[LOOKED_AT];
	bool ok = pipe(end) == 0;
	char byte;
	int i;

	for (i = 0; ok && i < LOOKED_AT; i++) {
		copy[i] = dup(end[0]);
		ok = add_file(self->fd, copy[i], POLLIN, 0) == 1;
	}
	ok = ok && write(end[1], "x", 1) == 1 && take_all(self) == LOOKED_AT &&
	     read(end[0], &byte, 1) == 1;
	while (i--)
		close(copy[i]);
	return ok;
}

/*
 * The last close of a file while a thread that is about to sleep looks at it: it ends at once, and
 * not when that thread wakes up.
 */
TEST_F_TIMEOUT(look, and_close, 120)
{
	uint32_t times = 0, dice = 1, i, num = races(1000);
	uint64_t begin, window;
	pthread_t looker;
	int end[2];
	bool ok = true;

	/* How long it takes to look at all. */
	ASSERT_TRUE(watch_pipe(self, end));
	ASSERT_EQ(0, kick(self->fd));
	begin = now_ns();
	look_and_sleep(self);
	window = now_ns() - begin;
	ksft_print_msg("%llu ns for %d\n", (unsigned long long)window, LOOKED_AT);
	close(end[0]);
	close(end[1]);
	EXPECT_EQ(0, registrations(self->fd));

	ASSERT_EQ(0, pthread_create(&looker, NULL, looker_main, self));
	pin(0);
	for (i = 0; ok && i < num; i++) {
		struct pollfd peer;

		ok = watch_pipe(self, end);
		peer = (struct pollfd){ .fd = end[1] };
		load_set(&self->begins, false);
		meet(&self->arrived, 2, ++times);
		while (!load_get(&self->begins))
			sched_yield();
		begin = now_ns() + rand_r(&dice) % window;
		while (now_ns() < begin)
			;
		close(end[0]);
		ok = ok && poll(&peer, 1, (int)(GENEROUS_NS / NS_PER_MS)) == 1 &&
		     peer.revents == POLLERR;
		EXPECT_TRUE(ok) TH_LOG("round %u, %llu ns", i, (unsigned long long)window);
		kick(self->fd);
		meet(&self->arrived, 2, ++times);
		EXPECT_EQ(0, registrations(self->fd));
		close(end[1]);
	}
	load_set(&self->stop, true);
	meet(&self->arrived, 2, ++times);
	ASSERT_EQ(0, pthread_join(looker, NULL));
}

/* Close or REMOVE while another thread takes: nothing is taken later, nor changes under a taker. */
TEST_F_TIMEOUT(closing, while_taken, 300)
{
	static const uint32_t modes[] = { 0, KEVENT_REQ_ET, KEVENT_REQ_LAST_CHECK };
	struct taker t = { .c = { .fd = self->fd } };
	int i, num = (int)races(RACES);

	if (variant->slots)
		ASSERT_EQ(0, kevent_ring_join(&t.c, &self->c, 2));
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, taker_main, &t));
	pin(0);
	for (i = 0; i < num; i++) {
		int file = open_eventfd(1);
		struct ukevent add = file_request(file, POLLIN, modes[i % 3]);

		ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &add));
		dawdle((uint32_t)i % 512);
		if (i % 16 == 0)
			sched_yield();
		if (!variant->slots && modes[i % 3] == KEVENT_REQ_LAST_CHECK) {
			ASSERT_EQ(1, remove_file(self->fd, file));
			if (load_get(&t.buf.param[0]) != add.data)
				load_set(&t.gone, add.data);
		}
		close(file);
		load_set(&t.closed, add.data);
	}
	EXPECT_EQ(0, registrations(self->fd));
	load_set(&t.stop, true);
	ASSERT_EQ(0, pthread_join(t.thread, NULL));
	EXPECT_LT(0U, t.taken);
	EXPECT_EQ(0U, t.late);
	EXPECT_EQ(0U, t.garbled);
}

/* How two queues that watch one file, and the file, end at once. */
enum ends { REMOVE, CLOSE_QUEUE, CLOSE_QUEUES };

FIXTURE(both_ends)
{
	pthread_t other;
	uint32_t arrived;
	uint32_t rounds;
	enum ends ends;
	int fd[2];
	int file;
};

FIXTURE_VARIANT(both_ends)
{
	enum ends ends;
	uint32_t rounds;
};

FIXTURE_VARIANT_ADD(both_ends, remove_and_file) { .ends = REMOVE, .rounds = 20000 };
FIXTURE_VARIANT_ADD(both_ends, queues_and_file) { .ends = CLOSE_QUEUES, .rounds = 20000 };
FIXTURE_VARIANT_ADD(both_ends, queue_and_file_and_queue) { .ends = CLOSE_QUEUE, .rounds = 100000 };

FIXTURE_SETUP(both_ends)
{
	ASSERT_TRUE(room_for(2)) TH_LOG("errno %d", errno);
	self->ends = variant->ends;
	self->rounds = races(variant->rounds);
	self->fd[0] = -1;
	self->fd[1] = -1;
}

FIXTURE_TEARDOWN(both_ends)
{
}

/* The far end: the file, and the second queue. */
static void *close_file(void *arg)
{
	FIXTURE_DATA(both_ends) *self = arg;
	uint32_t i;

	pin(1);
	for (i = 0; i < self->rounds; i++) {
		meet(&self->arrived, 2, 2 * i + 1);
		dawdle(i / 64 % 64 * 16);
		close(self->file);
		if (self->ends == CLOSE_QUEUE)
			close(self->fd[1]);
		meet(&self->arrived, 2, 2 * i + 2);
	}
	return NULL;
}

static bool new_queues(int fd[2])
{
	fd[0] = kevent_init(NULL, 0, 0);
	fd[1] = kevent_init(NULL, 0, 0);
	return fd[0] >= 0 && fd[1] >= 0;
}

/* Each ends once, and nothing of it is left, however they meet. */
TEST_F_TIMEOUT(both_ends, at_once, 300)
{
	static const uint32_t flags[] = { 0, KEVENT_REQ_ET, KEVENT_REQ_EXCLUSIVE };
	uint32_t i, removed = 0, delay = 0;

	ASSERT_TRUE(new_queues(self->fd));
	ASSERT_EQ(0, pthread_create(&self->other, NULL, close_file, self));
	pin(0);
	for (i = 0; i < self->rounds; i++) {
		uint32_t mode = flags[i % ARRAY_LEN(flags)];

		self->file = open_eventfd(i % 2);
		ASSERT_EQ(1, add_file(self->fd[0], self->file, POLLIN, mode));
		ASSERT_EQ(1, add_file(self->fd[1], self->file, POLLIN, mode));
		/* On one processor, who arrives last goes on first. */
		if (i % 8 < 4)
			sched_yield();
		meet(&self->arrived, 2, 2 * i + 1);
		if (self->ends == REMOVE) {
			dawdle(delay);
			if (remove_file(self->fd[0], self->file) == 1) {
				/* Stays where either may be the first. */
				delay += 16;
				removed++;
			} else {
				delay -= delay ? 16 : 0;
			}
		} else {
			dawdle(i % 64 * 256);
			close(self->fd[0]);
			if (self->ends == CLOSE_QUEUES)
				close(self->fd[1]);
		}
		meet(&self->arrived, 2, 2 * i + 2);
		if (self->ends != REMOVE) {
			ASSERT_TRUE(new_queues(self->fd));
			continue;
		}
		ASSERT_TRUE(FAILS(ENOENT, remove_file(self->fd[0], self->file)));
		ASSERT_TRUE(FAILS(ENOENT, remove_file(self->fd[1], self->file)));
		if (i % 1000 == 0)
			ASSERT_EQ(0, registrations(self->fd[0]) + registrations(self->fd[1]));
	}
	ASSERT_EQ(0, pthread_join(self->other, NULL));
	if (self->ends == REMOVE)
		ksft_print_msg("%u of %u removals came first\n", removed, self->rounds);
	close(self->fd[0]);
	close(self->fd[1]);
	EXPECT_TRUE(room_is_back(2));
}

/*
 * Beside epoll, which hears of the last close by the same field of the file.
 */

enum end { EPOLL_DEL, EPOLL_CLOSE, QUEUE_REMOVE, QUEUE_CLOSE, FILE_CLOSE, ENDS };

FIXTURE(epoll)
{
	pthread_t other;
	uint32_t arrived;
	int ep;
	int outer;	/* an epoll that watches @ep */
	int fd;
	int file;
	bool epoll_on, queue_on;
};

FIXTURE_SETUP(epoll)
{
	self->ep = epoll_create1(0);
	self->outer = epoll_create1(0);
	self->fd = kevent_init(NULL, 0, 0);
	self->file = open_eventfd(0);
	ASSERT_LE(0, self->ep);
	ASSERT_LE(0, self->outer);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->file);
}

FIXTURE_TEARDOWN(epoll)
{
}

static int epoll_add(int ep, int file)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(ep, EPOLL_CTL_ADD, file, &event);
}

static int epoll_del(int ep, int file)
{
	return epoll_ctl(ep, EPOLL_CTL_DEL, file, NULL);
}

static void begin_both(FIXTURE_DATA(epoll) *self, bool epoll_first)
{
	self->ep = epoll_create1(0);
	self->fd = kevent_init(NULL, 0, 0);
	self->file = open_eventfd(0);
	self->epoll_on = epoll_first && !epoll_add(self->ep, self->file);
	self->queue_on = add_file(self->fd, self->file, POLLIN, 0) == 1;
	self->epoll_on = self->epoll_on || !epoll_add(self->ep, self->file);
}

static void end_one(FIXTURE_DATA(epoll) *self, enum end end)
{
	switch (end) {
	case EPOLL_DEL:
		epoll_del(self->ep, self->file);
		break;
	case EPOLL_CLOSE:
		close(self->ep);
		break;
	case QUEUE_REMOVE:
		remove_file(self->fd, self->file);
		break;
	case QUEUE_CLOSE:
		close(self->fd);
		break;
	default:
		close(self->file);
	}
	if (end == EPOLL_DEL || end == EPOLL_CLOSE || end == FILE_CLOSE)
		self->epoll_on = false;
	if (end == QUEUE_REMOVE || end == QUEUE_CLOSE || end == FILE_CLOSE)
		self->queue_on = false;
}

/* True: those are told of the file that shall be, and nobody else. */
static bool right_ones_are_told(FIXTURE_DATA(epoll) *self)
{
	struct epoll_event event;
	struct ukevent ev;
	eventfd_t count;
	bool by_epoll, by_queue;

	eventfd_write(self->file, 1);
	by_epoll = epoll_wait(self->ep, &event, 1, 0) == 1;
	by_queue = get_now(self->fd, 1, &ev) == 1;
	eventfd_read(self->file, &count);
	return by_epoll == self->epoll_on && by_queue == self->queue_on;
}

/* Begun in either order, ended in every one. */
TEST_F(epoll, every_order)
{
	int first, one, two;

	for (first = 0; first < 2; first++)
		for (one = 0; one < ENDS; one++)
			for (two = 0; two < ENDS; two++) {
				begin_both(self, first);
				ASSERT_TRUE(self->epoll_on && self->queue_on);
				ASSERT_TRUE(right_ones_are_told(self));
				end_one(self, one);
				EXPECT_TRUE(right_ones_are_told(self)) TH_LOG("%d %d", one, two);
				end_one(self, two);
				EXPECT_TRUE(right_ones_are_told(self)) TH_LOG("%d %d", one, two);
				close(self->ep);
				close(self->fd);
				close(self->file);
			}
}

/* After one has ended, it can begin again beside the other. */
TEST_F(epoll, begins_again)
{
	int i;

	begin_both(self, true);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, epoll_del(self->ep, self->file));
		ASSERT_EQ(0, epoll_add(self->ep, self->file));
		ASSERT_EQ(1, remove_file(self->fd, self->file));
		ASSERT_EQ(1, add_file(self->fd, self->file, POLLIN, 0));
		ASSERT_TRUE(right_ones_are_told(self));
	}
	end_one(self, FILE_CLOSE);
	EXPECT_EQ(0, registrations(self->fd));
}

#define EPOLL_RACES	10000

/* Who closes the file: nobody until both are through, or one of them, soon or late. */
enum closer { NOBODY, EPOLL_SOON, EPOLL_LATE, QUEUE_SOON, QUEUE_LATE, CLOSERS };

/* The part of epoll in one round. Watching @ep itself makes epoll list the files of @ep. */
static bool race_epoll(FIXTURE_DATA(epoll) *self, enum closer closer)
{
	bool right = true;

	right &= !epoll_add(self->ep, self->file);
	if (closer == EPOLL_SOON)
		close(self->file);
	right &= !epoll_add(self->outer, self->ep);
	right &= !epoll_del(self->ep, self->file);
	right &= !epoll_del(self->outer, self->ep);
	right &= !epoll_add(self->ep, self->file);
	if (closer == EPOLL_LATE)
		close(self->file);
	return right;
}

static bool race_queue(FIXTURE_DATA(epoll) *self, enum closer closer)
{
	bool right = true;

	right &= add_file(self->fd, self->file, POLLIN, 0) == 1;
	if (closer == QUEUE_SOON)
		close(self->file);
	right &= remove_file(self->fd, self->file) == 1;
	right &= add_file(self->fd, self->file, POLLIN, 0) == 1;
	if (closer == QUEUE_LATE)
		close(self->file);
	return right;
}

static void *queue_main(void *arg)
{
	FIXTURE_DATA(epoll) *self = arg;
	uint32_t i, num = races(EPOLL_RACES);

	pin(1);
	for (i = 0; i < num; i++) {
		meet(&self->arrived, 2, 2 * i + 1);
		dawdle(i / 64 % 64 * 16);
		self->queue_on = race_queue(self, i % CLOSERS);
		meet(&self->arrived, 2, 2 * i + 2);
	}
	return NULL;
}

/* Both at once, and the file closed under them: neither disturbs the other, nothing is left. */
TEST_F_TIMEOUT(epoll, at_once, 300)
{
	uint32_t i, num = races(EPOLL_RACES);

	close(self->file);
	ASSERT_EQ(0, pthread_create(&self->other, NULL, queue_main, self));
	pin(0);
	for (i = 0; i < num; i++) {
		enum closer closer = i % CLOSERS;

		self->file = open_eventfd(0);
		meet(&self->arrived, 2, 2 * i + 1);
		dawdle(i % 64 * 16);
		self->epoll_on = race_epoll(self, closer);
		meet(&self->arrived, 2, 2 * i + 2);
		if (closer == NOBODY) {
			ASSERT_TRUE(self->epoll_on && self->queue_on);
			ASSERT_TRUE(right_ones_are_told(self));
			close(self->file);
		}
		self->epoll_on = false;
		self->queue_on = false;
		ASSERT_TRUE(right_ones_are_told(self)) TH_LOG("round %u", i);
		ASSERT_TRUE(FAILS(ENOENT, remove_file(self->fd, self->file)));
	}
	ASSERT_EQ(0, pthread_join(self->other, NULL));
	EXPECT_EQ(0, registrations(self->fd));
}

TEST_HARNESS_MAIN
