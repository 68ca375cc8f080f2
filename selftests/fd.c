// SPDX-License-Identifier: GPL-2.0
/* The descriptor of a queue: who may wait for it, share it, and look at it. */
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "sources.h"

#define EXEC_FD	"KEVENT_SELFTEST_FD"

/* In the program that a test starts: is the descriptor open? */
static __attribute__((constructor)) void answer_after_exec(void)
{
	const char *fd = getenv(EXEC_FD);

	if (fd)
		_exit(fcntl(atoi(fd), F_GETFD) < 0 ? 10 : 11);
}

static int exec_sees(int fd)
{
	char value[16];
	int status;
	pid_t pid;

	snprintf(value, sizeof(value), "%d", fd);
	pid = fork();
	if (pid == 0) {
		setenv(EXEC_FD, value, 1);
		execl("/proc/self/exe", "fd", (char *)NULL);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

FIXTURE(fd)
{
	struct kevent_consumer c;
	struct ukevent ev[8];
	int fd;
};

FIXTURE_VARIANT(fd)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(fd, ring) { .slots = 4 };
FIXTURE_VARIANT_ADD(fd, no_ring) { .slots = 0 };

FIXTURE_SETUP(fd)
{
	if (variant->slots) {
		ASSERT_EQ(0, kevent_ring_open(&self->c, variant->slots, 0, 1));
		self->fd = self->c.fd;
	} else {
		self->fd = kevent_init(NULL, 0, 0);
		ASSERT_LE(0, self->fd);
	}
	ASSERT_EQ(4, add_users(self->fd, 0, 4));
}

FIXTURE_TEARDOWN(fd)
{
	if (variant->slots)
		kevent_ring_close(&self->c);
	else
		close(self->fd);
}

static int poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDNORM };
	int n = poll(&p, 1, 0);

	return n < 0 ? -1 : p.revents;
}

/* Readable as long as an event waits for a consumer. */
TEST_F(fd, poll)
{
	EXPECT_EQ(0, poll_now(self->fd));
	ASSERT_EQ(2, ready_users(self->fd, 0, 2));
	EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(self->fd));
	ASSERT_EQ(1, get_now(self->fd, 1, self->ev));
	EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(self->fd));
	ASSERT_EQ(1, remove_user(self->fd, 1));
	EXPECT_EQ(0, poll_now(self->fd));
}

struct poller {
	pthread_t thread;
	struct pollfd p;
	pid_t tid;
	int ret;
};

static void *poller_main(void *arg)
{
	struct poller *p = arg;

	__atomic_store_n(&p->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	p->ret = (int)syscall(SYS_ppoll, &p->p, 1, NULL, NULL, 8);
	return NULL;
}

/* A sleeper in poll() wakes up when something fires. */
TEST_F(fd, poll_sleeps)
{
	struct poller p = { .p = { .fd = self->fd, .events = POLLIN } };
	pid_t tid;

	ASSERT_EQ(0, pthread_create(&p.thread, NULL, poller_main, &p));
	while (!(tid = __atomic_load_n(&p.tid, __ATOMIC_ACQUIRE)))
		nap();
	ASSERT_TRUE(task_fell_asleep(tid, SYS_ppoll));
	ASSERT_EQ(1, ready(self->fd, 2, 1));
	ASSERT_EQ(0, pthread_join(p.thread, NULL));
	EXPECT_EQ(1, p.ret);
	EXPECT_EQ(POLLIN, p.p.revents);
}

/* A taken entry is no longer waiting, finished or not. */
TEST(poll_after_take)
{
	struct kevent_consumer c;
	struct ukevent *ev;

	ASSERT_EQ(0, kevent_ring_open(&c, 2, 0, 1));
	ASSERT_EQ(4, add_users(c.fd, 0, 4));
	ASSERT_EQ(1, ready(c.fd, 0, 1));
	ev = kevent_ring_take(&c);
	ASSERT_NE(NULL, ev);
	EXPECT_EQ(0, poll_now(c.fd));
	kevent_ring_finish(&c, ev);
	EXPECT_EQ(0, poll_now(c.fd));
	/* What waits for room does wait. */
	ASSERT_EQ(3, ready_users(c.fd, 1, 3));
	EXPECT_EQ(1, take_id(&c));
	EXPECT_EQ(2, take_id(&c));
	EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(c.fd));
	kevent_ring_close(&c);
}

/* A checked event that is no longer true is not waiting, in any mode; and the next one is told. */
TEST(poll_checked)
{
	static const uint32_t modes[] = { 0, KEVENT_REQ_ET, KEVENT_REQ_DISPATCH };
	int fd, file = eventfd(0, 0), other = eventfd(0, 0), i, n;
	struct ukevent ev;
	eventfd_t count;

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		fd = kevent_init(NULL, 0, 0);
		ASSERT_LE(0, fd);
		ASSERT_EQ(1, add_file(fd, file, POLLIN, KEVENT_REQ_LAST_CHECK | modes[i]));
		ASSERT_EQ(1, add_file(fd, other, POLLIN, KEVENT_REQ_LAST_CHECK | modes[i]));
		for (n = 0; n < 3; n++) {
			ASSERT_EQ(0, eventfd_write(file, 1));
			EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(fd));
			ASSERT_EQ(0, eventfd_read(file, &count));
			EXPECT_EQ(0, poll_now(fd)) TH_LOG("%d: %d", i, n);
			EXPECT_EQ(0, get_now(fd, 1, &ev));
		}
		/* Behind one that is not true, there is another. */
		ASSERT_EQ(0, eventfd_write(file, 1));
		ASSERT_EQ(0, eventfd_write(other, 1));
		ASSERT_EQ(0, eventfd_read(file, &count));
		EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(fd));
		ASSERT_EQ(1, get_now(fd, 1, &ev));
		EXPECT_EQ((uint64_t)other, ev.id);
		ASSERT_EQ(0, eventfd_read(other, &count));
		close(fd);
	}
	close(file);
	close(other);
}

/* The same through select(). */
TEST_F(fd, select)
{
	struct timeval now = { 0 };
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(self->fd, &in);
	FD_SET(self->fd, &out);
	EXPECT_EQ(0, select(self->fd + 1, &in, &out, NULL, &now));
	ASSERT_EQ(1, ready(self->fd, 0, 1));
	FD_SET(self->fd, &in);
	EXPECT_EQ(1, select(self->fd + 1, &in, NULL, NULL, NULL));
	EXPECT_TRUE(FD_ISSET(self->fd, &in));
}

static int watch(int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	return ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) ? -1 : ep;
}

/* Level-triggered epoll tells it again until all is taken. */
TEST_F(fd, epoll_level)
{
	int ep = watch(self->fd, EPOLLIN);
	struct epoll_event event;

	ASSERT_LE(0, ep);
	EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	ASSERT_EQ(2, ready_users(self->fd, 0, 2));
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, -1));
	EXPECT_EQ((uint32_t)EPOLLIN, event.events);
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, 0));
	ASSERT_EQ(1, get_now(self->fd, 1, self->ev));
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, 0));
	ASSERT_EQ(1, get_now(self->fd, 1, self->ev));
	EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	close(ep);
}

/* Edge-triggered epoll tells each new event once. */
TEST_F(fd, epoll_edge)
{
	int ep = watch(self->fd, EPOLLIN | EPOLLET);
	struct epoll_event event;

	ASSERT_LE(0, ep);
	ASSERT_EQ(1, ready(self->fd, 0, 1));
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, -1));
	EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, -1));
	EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	ASSERT_EQ(2, get_now(self->fd, 8, self->ev));
	ASSERT_EQ(1, ready(self->fd, 0, 1));
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, -1));
	close(ep);
}

/* Epoll sleeps until an event that has no room fires, too. */
TEST_F(fd, epoll_many_events)
{
	int ep = watch(self->fd, EPOLLIN | EPOLLET), i;
	struct epoll_event event;

	ASSERT_LE(0, ep);
	ASSERT_EQ(4, add_users(self->fd, 4, 4));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(1, ready(self->fd, (uint64_t)i, 1));
		EXPECT_EQ(1, epoll_wait(ep, &event, 1, -1)) TH_LOG("event %d", i);
	}
	close(ep);
}

/* A queue that is closed leaves the epoll that watched it. */
TEST(epoll_close)
{
	int fd = kevent_init(NULL, 4, 0), ep;
	struct epoll_event event;

	ASSERT_LE(0, fd);
	ep = watch(fd, EPOLLIN);
	ASSERT_LE(0, ep);
	ASSERT_EQ(1, add_user(fd, 0, 1, 0));
	ASSERT_EQ(1, ready(fd, 0, 1));
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, 0));
	close(fd);
	EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	close(ep);
}

/*
 * io_uring, without a library.
 */

struct uring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static bool uring_open(struct uring *u)
{
	struct io_uring_params p = { 0 };
	char *sq, *cq;

	u->fd = (int)syscall(__NR_io_uring_setup, 8, &p);
	if (u->fd < 0)
		return false;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned int),
		  PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		  PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_CQ_RING);
	u->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		       MAP_SHARED, u->fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || u->sqes == MAP_FAILED)
		return false;
	u->sq_tail = (unsigned int *)(sq + p.sq_off.tail);
	u->sq_mask = (unsigned int *)(sq + p.sq_off.ring_mask);
	u->sq_array = (unsigned int *)(sq + p.sq_off.array);
	u->cq_head = (unsigned int *)(cq + p.cq_off.head);
	u->cq_tail = (unsigned int *)(cq + p.cq_off.tail);
	u->cq_mask = (unsigned int *)(cq + p.cq_off.ring_mask);
	u->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return true;
}

static int uring_submit(struct uring *u, struct io_uring_sqe sqe)
{
	unsigned int tail = *u->sq_tail, slot = tail & *u->sq_mask;

	u->sqes[slot] = sqe;
	u->sq_array[slot] = slot;
	__atomic_store_n(u->sq_tail, tail + 1, __ATOMIC_RELEASE);
	return (int)syscall(__NR_io_uring_enter, u->fd, 1, 0, 0, NULL, 0);
}

static int uring_poll(struct uring *u, int fd, uint32_t len)
{
	return uring_submit(u, (struct io_uring_sqe){
		.opcode = IORING_OP_POLL_ADD,
		.fd = fd,
		.poll32_events = POLLIN,
		.len = len,
		.user_data = (uint64_t)fd,
	});
}

/* The next completion, at most after waiting for it; NULL: none. */
static struct io_uring_cqe *uring_next(struct uring *u, unsigned int wait)
{
	unsigned int head = *u->cq_head;

	syscall(__NR_io_uring_enter, u->fd, 0, wait, IORING_ENTER_GETEVENTS, NULL, 0);
	if (head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE))
		return NULL;
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	return &u->cqes[head & *u->cq_mask];
}

/* A poll request of io_uring completes when something fires, or has fired. */
TEST_F(fd, io_uring_poll)
{
	struct io_uring_cqe *cqe;
	struct uring u;

	if (!uring_open(&u))
		SKIP(return, "no io_uring: errno %d", errno);
	ASSERT_EQ(1, uring_poll(&u, self->fd, 0));
	EXPECT_EQ(NULL, uring_next(&u, 0));
	ASSERT_EQ(1, ready(self->fd, 0, 1));
	cqe = uring_next(&u, 1);
	ASSERT_NE(NULL, cqe);
	EXPECT_EQ((uint64_t)self->fd, cqe->user_data);
	EXPECT_EQ(POLLIN, cqe->res);
	/* Readable from the start. */
	ASSERT_EQ(1, uring_poll(&u, self->fd, 0));
	cqe = uring_next(&u, 1);
	ASSERT_NE(NULL, cqe);
	EXPECT_EQ(POLLIN, cqe->res);
	EXPECT_EQ(NULL, uring_next(&u, 0));
	close(u.fd);
}

/* A multishot one tells each event. */
TEST_F(fd, io_uring_multishot)
{
	struct io_uring_cqe *cqe;
	struct uring u;
	int i;

	if (!uring_open(&u))
		SKIP(return, "no io_uring: errno %d", errno);
	ASSERT_EQ(1, uring_poll(&u, self->fd, IORING_POLL_ADD_MULTI));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(NULL, uring_next(&u, 0));
		ASSERT_EQ(1, ready(self->fd, (uint64_t)i, 1));
		cqe = uring_next(&u, 1);
		ASSERT_NE(NULL, cqe);
		EXPECT_EQ(POLLIN, cqe->res);
		EXPECT_NE(0U, cqe->flags & IORING_CQE_F_MORE);
	}
	close(u.fd);
}

/* An eventfd that io_uring signals, with a bit of its own in the key, is like any other. */
TEST_F(fd, io_uring_signals)
{
	int file = eventfd(0, 0), other = kevent_init(NULL, 0, 0), i;
	eventfd_t count;
	struct uring u;

	if (!uring_open(&u))
		SKIP(return, "no io_uring: errno %d", errno);
	ASSERT_EQ(0, (int)syscall(__NR_io_uring_register, u.fd, IORING_REGISTER_EVENTFD, &file, 1));
	ASSERT_EQ(1, add_file(self->fd, file, POLLIN, KEVENT_REQ_ET));
	/* Who wants what it does not say is not told. */
	ASSERT_EQ(1, add_file(other, file, POLLOUT, KEVENT_REQ_ET));
	ASSERT_EQ(1, get_now(other, 8, self->ev));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(1, uring_submit(&u, (struct io_uring_sqe){ .opcode = IORING_OP_NOP }));
		ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
		EXPECT_EQ((uint32_t)POLLIN, self->ev[0].fired);
		EXPECT_EQ(0, flags_of(self->ev) & KEVENT_RET_RECHECK);
		EXPECT_EQ(0, get_now(other, 8, self->ev));
		ASSERT_EQ(0, eventfd_read(file, &count));
		/* A read says that it can be written. */
		ASSERT_EQ(1, get_now(other, 8, self->ev));
	}
	close(u.fd);
	close(file);
	close(other);
}

/*
 * What follows from a completion of io_uring does not complete a multishot poll of it again and
 * again: that ends, whether it polls the queue or one that watches it.
 */
TEST_F(fd, io_uring_signals_itself)
{
	int file, polled, outer;
	struct io_uring_cqe *cqe;
	struct uring u;

	for (outer = 0; outer < 2; outer++) {
		if (!uring_open(&u))
			SKIP(return, "no io_uring: errno %d", errno);
		file = eventfd(0, 0);
		polled = self->fd;
		ASSERT_EQ(0, (int)syscall(__NR_io_uring_register, u.fd, IORING_REGISTER_EVENTFD,
					  &file, 1));
		if (outer) {
			polled = kevent_init(NULL, 0, 0);
			ASSERT_EQ(1, add_file(polled, self->fd, POLLIN, KEVENT_REQ_ET));
		}
		ASSERT_EQ(1, add_file(self->fd, file, POLLIN, KEVENT_REQ_ET));
		ASSERT_EQ(1, uring_poll(&u, polled, IORING_POLL_ADD_MULTI));
		ASSERT_EQ(1, uring_submit(&u, (struct io_uring_sqe){ .opcode = IORING_OP_NOP }));
		cqe = uring_next(&u, 1);
		ASSERT_NE(NULL, cqe);
		EXPECT_EQ(0U, cqe->user_data);
		cqe = uring_next(&u, 1);
		ASSERT_NE(NULL, cqe);
		EXPECT_EQ((uint64_t)polled, cqe->user_data);
		EXPECT_EQ(POLLIN, cqe->res);
		EXPECT_EQ(0U, cqe->flags & IORING_CQE_F_MORE) TH_LOG("outer %d", outer);
		ASSERT_EQ(1, remove_file(self->fd, file));
		close(u.fd);
		close(file);
		if (outer)
			close(polled);
	}
}

/*
 * Sharing.
 */

/* A duplicate is the same queue, and keeps it alive. */
TEST_F(fd, dup)
{
	int copy = dup(self->fd);

	ASSERT_LE(0, copy);
	ASSERT_EQ(1, ready(copy, 1, 1));
	EXPECT_EQ(1, get_now(self->fd, 8, self->ev));
	close(self->fd);
	ASSERT_EQ(1, ready(copy, 2, 1));
	ASSERT_EQ(1, get_now(copy, 8, self->ev));
	EXPECT_EQ(2U, self->ev[0].id);
	ASSERT_EQ(self->fd, dup2(copy, self->fd));
	close(copy);
}

/* After fork() both have the same queue. */
TEST_F(fd, fork)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (pid == 0) {
		if (add_user(self->fd, 9, 1, 0) != 1 || ready(self->fd, 9, 1) != 1)
			_exit(1);
		_exit(ready(self->fd, 1, 1) == 1 ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(2, get_now(self->fd, 8, self->ev));
	EXPECT_EQ(9U, self->ev[0].id);
	EXPECT_EQ(1U, self->ev[1].id);
	EXPECT_EQ(1, remove_user(self->fd, 9));
}

/* And the same mapping: parent and child are two consumers of one ring. */
TEST(fork_shares_mapping)
{
	struct kevent_consumer c, d;
	int status;
	pid_t pid;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(3, add_users(c.fd, 0, 3));
	ASSERT_EQ(2, ready_users(c.fd, 0, 2));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		if (kevent_ring_join(&d, &c, 2) || take_id(&d) != 0)
			_exit(1);
		/* Leaves with an event in its hands. */
		_exit(kevent_ring_take(&d) ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(-1, take_id(&c));
	EXPECT_EQ(1U, kevent_ring_recover(&c, 2));
	ASSERT_EQ(1, ready(c.fd, 2, 1));
	EXPECT_EQ(2, take_id(&c));
	kevent_ring_close(&c);
}

/* A child that keeps only the mapping keeps the memory. */
TEST(fork_keeps_mapping)
{
	struct kevent_consumer c;
	int go[2], status;
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(2, add_users(c.fd, 0, 2));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		close(go[1]);
		close(c.fd);
		if (read(go[0], &byte, 1) != 0)
			_exit(1);
		_exit(take_id(&c) == 0 && take_id(&c) == 1 && take_id(&c) == -1 ? 0 : 2);
	}
	ASSERT_EQ(2, ready_users(c.fd, 0, 2));
	kevent_ring_close(&c);
	close(go[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* A program that is started has the descriptor, unless it was to be closed. */
TEST(close_on_exec)
{
	int kept = kevent_init(NULL, 4, 0), closed = kevent_init(NULL, 4, KEVENT_INIT_CLOEXEC);

	ASSERT_LE(0, kept);
	ASSERT_LE(0, closed);
	EXPECT_EQ(11, exec_sees(kept));
	EXPECT_EQ(10, exec_sees(closed));
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

/* A queue that came over a socket can be used and mapped, also when its maker has closed it. */
TEST(passed_over_a_socket)
{
	struct kevent_consumer c;
	int pair[2], fd, status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		fd = kevent_init(NULL, 4, 0);
		if (fd < 0 || add_users(fd, 0, 2) != 2 || ready_users(fd, 0, 1) != 1)
			_exit(1);
		_exit(send_fd(pair[1], fd) ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	fd = receive_fd(pair[0]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, kevent_ring_map(&c, fd, 4, 1));
	EXPECT_EQ(0, take_id(&c));
	ASSERT_EQ(1, ready(fd, 1, 1));
	EXPECT_EQ(1, take_id(&c));
	EXPECT_EQ(2, registrations(fd));
	kevent_ring_close(&c);
}

/* fdinfo says how large the ring is, how far it got, what waits, and what is registered. */
TEST_F(fd, fdinfo)
{
	unsigned long long slots, head, pending, count, type, id, event, flags;
	char path[64], text[4096], *line;
	unsigned int seen = 0;
	int fields;

	ASSERT_EQ(1, add_user(self->fd, 0xabcdef0123ULL, 0x70, KEVENT_REQ_ET));
	ASSERT_EQ(2, add_users(self->fd, 4, 2));
	ASSERT_EQ(6, ready_users(self->fd, 0, 6));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	line = strstr(slurp(path, text, sizeof(text)), "kevent ");
	ASSERT_NE(NULL, line);
	fields = sscanf(line, "kevent slots:%llu head:%llu pending:%llu registrations:%llu\n",
			&slots, &head, &pending, &count);
	ASSERT_EQ(4, fields);
	EXPECT_EQ(variant->slots, slots);
	EXPECT_EQ(variant->slots, head);
	EXPECT_EQ(6 - variant->slots, pending);
	EXPECT_EQ(7U, count);
	while ((line = strchr(line, '\n')) && *++line) {
		if (sscanf(line, "type:%llu id:%llx event:%llx flags:%llx", &type, &id, &event,
			   &flags) != 4)
			continue;
		EXPECT_EQ((unsigned int)KEVENT_USER, type);
		if (id == 0xabcdef0123ULL) {
			EXPECT_EQ(0x70U, event);
			EXPECT_EQ((unsigned int)KEVENT_REQ_ET, flags);
			seen |= 1U << 31;
		} else {
			ASSERT_GT(6U, id);
			EXPECT_EQ(1U, event);
			EXPECT_EQ(0U, flags);
			seen |= 1U << id;
		}
	}
	EXPECT_EQ(1U << 31 | 0x3f, seen);
}

/*
 * Queues that watch queues.
 */

static int nest(int outer, int inner, uint32_t flags)
{
	struct ukevent request = {
		.id = (uint64_t)inner,
		.type = KEVENT_POLL,
		.event = POLLIN,
		.req_flags = flags,
		.user = (uint64_t)inner,
	};

	return kevent_ctl(outer, KEVENT_CTL_ADD, 1, &request);
}

static int unnest(int outer, int inner)
{
	struct ukevent request = { .id = (uint64_t)inner, .type = KEVENT_POLL };

	return kevent_ctl(outer, KEVENT_CTL_REMOVE, 1, &request);
}

/* A queue tells the queue that watches it. */
TEST_F(fd, nested)
{
	int outer = kevent_init(NULL, 0, 0);

	ASSERT_LE(0, outer);
	ASSERT_EQ(1, nest(outer, self->fd, KEVENT_REQ_ET));
	EXPECT_EQ(0, poll_now(outer));
	EXPECT_EQ(0, get_now(outer, 8, self->ev));
	ASSERT_EQ(1, ready(self->fd, 0, 1));
	EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(outer));
	ASSERT_EQ(1, kevent_get_events(outer, 1, 8, NULL, self->ev, 0));
	EXPECT_EQ((uint32_t)KEVENT_POLL, self->ev[0].type);
	EXPECT_EQ((uint64_t)self->fd, self->ev[0].id);
	EXPECT_EQ((uint64_t)self->fd, self->ev[0].user);
	EXPECT_EQ((uint32_t)POLLIN, self->ev[0].fired);
	ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
	EXPECT_EQ(0, get_now(outer, 8, self->ev));
	EXPECT_EQ(1, unnest(outer, self->fd));
	EXPECT_EQ(0, poll_now(outer));
	close(outer);
}

/* Level: told again, through both queues, as long as the inner one has an event. */
TEST_F(fd, nested_level)
{
	int outer = kevent_init(NULL, 0, 0), outermost = kevent_init(NULL, 2, 0);
	int i;

	ASSERT_LE(0, outer);
	ASSERT_LE(0, outermost);
	ASSERT_EQ(1, nest(outer, self->fd, 0));
	ASSERT_EQ(1, nest(outermost, outer, 0));
	ASSERT_EQ(1, ready(self->fd, 0, 1));
	/* Who watches the watching queue is told a little later. */
	EXPECT_EQ(1, poll(&(struct pollfd){ .fd = outermost, .events = POLLIN }, 1, 20000));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(outermost));
		ASSERT_EQ(1, get_now(outermost, 8, self->ev));
		ASSERT_EQ(1, get_now(outer, 8, self->ev));
		EXPECT_EQ((uint64_t)self->fd, self->ev[0].id);
	}
	ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
	EXPECT_EQ(0, poll_now(outermost));
	EXPECT_EQ(0, get_now(outermost, 8, self->ev));
	EXPECT_EQ(0, get_now(outer, 8, self->ev));
	close(outermost);
	close(outer);
}

/* Edge: told once for each change. A state that is true already is one. */
TEST_F(fd, nested_edge)
{
	int outer = kevent_init(NULL, 0, 0);

	ASSERT_LE(0, outer);
	ASSERT_EQ(1, ready(self->fd, 0, 1));
	ASSERT_EQ(1, nest(outer, self->fd, KEVENT_REQ_ET));
	EXPECT_EQ(1, get_now(outer, 8, self->ev));
	EXPECT_EQ(0, get_now(outer, 8, self->ev));
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	EXPECT_EQ(1, get_now(outer, 8, self->ev));
	EXPECT_EQ(0, get_now(outer, 8, self->ev));
	close(outer);
}

/* To look at a level again is no edge for who watches the queue; a wake-up of its source is. */
TEST_F(fd, nested_looks)
{
	int outer = kevent_init(NULL, 0, 0), ep = watch(self->fd, EPOLLIN | EPOLLET), file, i;
	struct epoll_event event;

	file = eventfd(0, 0);
	ASSERT_LE(0, file);
	ASSERT_EQ(1, nest(outer, self->fd, KEVENT_REQ_ET));
	ASSERT_EQ(1, add_file(self->fd, file, POLLIN, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, eventfd_write(file, 1));
		EXPECT_EQ(1, get_now(outer, 8, self->ev)) TH_LOG("wake-up %d", i);
		EXPECT_EQ(1, epoll_wait(ep, &event, 1, 0));
		/* Handed out again and again. */
		ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
		ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
		ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
		EXPECT_EQ(0, get_now(outer, 8, self->ev)) TH_LOG("look %d", i);
		EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
		EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(self->fd));
		EXPECT_EQ(0, get_now(outer, 8, self->ev)) TH_LOG("poll %d", i);
		EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	}
	close(ep);
	close(outer);
	close(file);
}

/* A wake-up that merges is an edge as well, also into what was found by looking again. */
TEST_F(fd, nested_merges)
{
	int outer = kevent_init(NULL, 0, 0), ep = watch(self->fd, EPOLLIN | EPOLLET), file, i;
	struct epoll_event event;

	file = eventfd(0, 0);
	ASSERT_LE(0, file);
	ASSERT_EQ(1, nest(outer, self->fd, KEVENT_REQ_ET));
	ASSERT_EQ(1, add_file(self->fd, file, POLLIN, 0));
	for (i = 0; i < 6; i++) {
		if (i == 3) {
			ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
			EXPECT_EQ(POLLIN | POLLRDNORM, poll_now(self->fd));
		}
		ASSERT_EQ(0, eventfd_write(file, 1));
		EXPECT_EQ(1, get_now(outer, 8, self->ev)) TH_LOG("wake-up %d", i);
		EXPECT_EQ(1, epoll_wait(ep, &event, 1, 0)) TH_LOG("wake-up %d", i);
	}
	ASSERT_EQ(1, get_now(self->fd, 8, self->ev));
	close(ep);
	close(outer);
	close(file);
}

/*
 * A poller that found nothing, as the event of a level was not finished, is told when that is found
 * again.
 */
TEST(poll_unfinished)
{
	int ep, file = eventfd(0, 0);
	struct epoll_event event;
	struct kevent_consumer c;
	struct ukevent *ev;

	ASSERT_EQ(0, kevent_ring_open(&c, 2, 0, 1));
	ASSERT_EQ(1, add_file(c.fd, file, POLLIN, 0));
	ASSERT_EQ(0, eventfd_write(file, 1));
	ep = watch(c.fd, EPOLLIN);
	ev = kevent_ring_take(&c);
	ASSERT_NE(NULL, ev);
	EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	kevent_ring_finish(&c, ev);
	ASSERT_EQ(0, kevent_commit(c.fd, 0, 0));
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, 0));
	kevent_ring_close(&c);
	close(file);
	close(ep);
}

/* What is no longer watched tells nothing; a queue that is closed is no longer watched. */
TEST(nested_ends)
{
	int outer = kevent_init(NULL, 0, 0), inner = kevent_init(NULL, 4, 0);
	struct ukevent ev;

	ASSERT_LE(0, outer);
	ASSERT_LE(0, inner);
	ASSERT_EQ(1, add_user(inner, 0, 1, 0));
	ASSERT_EQ(1, nest(outer, inner, KEVENT_REQ_ET));
	EXPECT_TRUE(FAILS(EEXIST, nest(outer, inner, KEVENT_REQ_ET)));
	ASSERT_EQ(1, unnest(outer, inner));
	ASSERT_EQ(1, ready(inner, 0, 1));
	EXPECT_EQ(0, get_now(outer, 1, &ev));
	ASSERT_EQ(1, nest(outer, inner, KEVENT_REQ_ET));
	close(inner);
	EXPECT_EQ(0, get_now(outer, 1, &ev));
	EXPECT_EQ(0, registrations(outer));
	close(outer);
}

/* A sleeper on the outer queue wakes up. */
TEST_F(fd, nested_wakes_sleeper)
{
	int outer = kevent_init(NULL, 0, 0);
	struct sleeper s;

	ASSERT_LE(0, outer);
	ASSERT_EQ(1, nest(outer, self->fd, KEVENT_REQ_ET));
	get_sleeper(&s, outer, 1, 8, NULL, self->ev);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(1, ready(self->fd, 3, 1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(1, s.ret);
	close(outer);
}

/* A queue cannot watch itself, under any descriptor. */
TEST_F(fd, nested_in_itself)
{
	int copy = dup(self->fd);

	ASSERT_LE(0, copy);
	EXPECT_TRUE(FAILS(ELOOP, nest(self->fd, self->fd, KEVENT_REQ_ET)));
	EXPECT_TRUE(FAILS(ELOOP, nest(self->fd, copy, KEVENT_REQ_ET)));
	close(copy);
}

#define DEPTH	4

/* Queues may watch queues that watch queues, four deep, and whatever way the chain is made. */
TEST(nested_depth)
{
	int q[DEPTH + 2], down, i;

	for (down = 0; down < 2; down++) {
		struct ukevent ev;

		for (i = 0; i < DEPTH + 2; i++) {
			q[i] = kevent_init(NULL, 4, 0);
			ASSERT_LE(0, q[i]);
		}
		/* q[i + 1] watches q[i]. */
		for (i = 0; i < DEPTH; i++) {
			int k = down ? DEPTH - 1 - i : i;

			ASSERT_EQ(1, nest(q[k + 1], q[k], KEVENT_REQ_ET)) TH_LOG("errno %d", errno);
		}
		EXPECT_TRUE(FAILS(ELOOP, nest(q[DEPTH + 1], q[DEPTH], KEVENT_REQ_ET)));
		EXPECT_TRUE(FAILS(ELOOP, nest(q[0], q[DEPTH + 1], KEVENT_REQ_ET)));
		/* A shorter chain in the same place is good. */
		EXPECT_EQ(1, nest(q[DEPTH + 1], q[DEPTH - 1], KEVENT_REQ_ET));

		ASSERT_EQ(1, add_user(q[0], 0, 1, 0));
		ASSERT_EQ(1, ready(q[0], 0, 1));
		EXPECT_EQ(1, kevent_get_events(q[DEPTH], 1, 1, NULL, &ev, 0));
		EXPECT_EQ((uint64_t)q[DEPTH - 1], ev.id);
		EXPECT_EQ(1, kevent_get_events(q[DEPTH + 1], 1, 1, NULL, &ev, 0));

		/* A link that is gone counts no more. */
		ASSERT_EQ(1, unnest(q[1], q[0]));
		EXPECT_EQ(1, unnest(q[DEPTH + 1], q[DEPTH - 1]));
		EXPECT_EQ(1, nest(q[DEPTH + 1], q[DEPTH], KEVENT_REQ_ET));
		for (i = 0; i < DEPTH + 2; i++)
			close(q[i]);
	}
}

/* Two halves that are each allowed cannot be joined to a chain that is not. */
TEST(nested_depth_in_the_middle)
{
	int q[DEPTH + 2], i;

	for (i = 0; i < DEPTH + 2; i++) {
		q[i] = kevent_init(NULL, 4, 0);
		ASSERT_LE(0, q[i]);
	}
	for (i = 0; i < DEPTH + 1; i++)
		if (i != DEPTH / 2)
			ASSERT_EQ(1, nest(q[i + 1], q[i], KEVENT_REQ_ET));
	EXPECT_TRUE(FAILS(ELOOP, nest(q[DEPTH / 2 + 1], q[DEPTH / 2], KEVENT_REQ_ET)));
	for (i = 0; i < DEPTH + 2; i++)
		close(q[i]);
}

/* No circle, however long. */
TEST(nested_cycle)
{
	int len, i, q[DEPTH];

	for (len = 2; len <= DEPTH; len++) {
		for (i = 0; i < len; i++) {
			q[i] = kevent_init(NULL, 0, 0);
			ASSERT_LE(0, q[i]);
			if (i > 0)
				ASSERT_EQ(1, nest(q[i], q[i - 1], KEVENT_REQ_ET));
		}
		EXPECT_TRUE(FAILS(ELOOP, nest(q[0], q[len - 1], KEVENT_REQ_ET)))
			TH_LOG("length %d", len);
		for (i = 0; i < len; i++)
			close(q[i]);
	}
}

#define QUEUES	7
#define DUPS	3

/* How often each queue watches each other one, and by which of the numbers. */
struct graph {
	int fd[QUEUES][DUPS];
	bool watches[QUEUES][QUEUES][DUPS];
};

/* The longest way down from @from; more than DEPTH if there is a circle. */
static int depth_of(const struct graph *g, int from, int limit)
{
	int to, k, below, depth = 0;

	if (!limit)
		return 0;
	for (to = 0; to < QUEUES; to++)
		for (k = 0; k < DUPS; k++)
			if (g->watches[from][to][k]) {
				below = 1 + depth_of(g, to, limit - 1);
				depth = below > depth ? below : depth;
			}
	return depth;
}

/* Whether any queue is too high. */
static bool is_refused(const struct graph *g)
{
	int i;

	for (i = 0; i < QUEUES; i++)
		if (depth_of(g, i, DEPTH + 1) > DEPTH)
			return true;
	return false;
}

/* Queues begin and stop to watch others under several numbers, and the rule is kept each time. */
TEST(nested_at_random)
{
	unsigned int dice = 1, refused = 0, i, k;
	static struct graph g;
	bool *watches, fails;
	int from, to;

	for (i = 0; i < QUEUES; i++)
		for (k = 0; k < DUPS; k++) {
			g.fd[i][k] = k ? dup(g.fd[i][0]) : kevent_init(NULL, 0, 0);
			ASSERT_LE(0, g.fd[i][k]);
		}
	for (i = 0; i < 4000; i++) {
		from = rand_r(&dice) % QUEUES;
		to = rand_r(&dice) % QUEUES;
		k = rand_r(&dice) % DUPS;
		watches = &g.watches[from][to][k];
		if (*watches) {
			*watches = false;
			ASSERT_EQ(1, unnest(g.fd[from][0], g.fd[to][k])) TH_LOG("step %u", i);
			continue;
		}
		*watches = true;
		fails = is_refused(&g);
		*watches = !fails;
		refused += fails;
		ASSERT_EQ(fails ? -1 : 1, nest(g.fd[from][0], g.fd[to][k], KEVENT_REQ_ET))
			TH_LOG("step %u", i);
		ASSERT_TRUE(!fails || errno == ELOOP);
	}
	EXPECT_LT(100U, refused);
	for (i = 0; i < QUEUES; i++)
		for (k = 0; k < DUPS; k++)
			close(g.fd[i][k]);
}

#define MANY	4096

/* The best time in which a queue watches @num others, or one by so many numbers, and closes. */
static uint64_t time_to_nest(int num, bool same)
{
	static int inner[MANY];
	uint64_t best = ~0ULL;
	bool ok = true;
	int outer, i, k;

	for (i = 0; ok && i < num; i++) {
		inner[i] = same && i ? dup(inner[0]) : kevent_init(NULL, 0, 0);
		ok = inner[i] >= 0;
	}
	for (k = 0; ok && k < 3; k++) {
		uint64_t time, begin;

		outer = kevent_init(NULL, 0, 0);
		begin = now_ns();
		for (i = 0; ok && i < num; i++)
			ok = nest(outer, inner[i], KEVENT_REQ_ET) == 1;
		close(outer);
		time = now_ns() - begin;
		best = time < best ? time : best;
	}
	for (i = 0; i < num; i++)
		close(inner[i]);
	return ok ? best : 0;
}

/* One of many registrations costs no more than one of a few, of one queue or of many. */
TEST(nested_many)
{
	struct rlimit files = { MANY + 64, MANY + 64 };
	uint64_t few, many;
	int same, i;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	for (same = 0; same < 2; same++) {
		few = ~0ULL;
		many = ~0ULL;
		/* As other work disturbs the longer of the two, the best of several counts. */
		for (i = 0; i < 10 && (i == 0 || 24 * few <= many); i++) {
			few = least(few, time_to_nest(MANY / 8, same));
			many = least(many, time_to_nest(MANY, same));
			ASSERT_NE(0U, few);
			ASSERT_NE(0U, many);
		}
		ksft_print_msg("%llu ns for %d, %llu ns for %d\n", (unsigned long long)few,
			       MANY / 8, (unsigned long long)many, MANY);
		/* Eight times as many; each by each would be 64. */
		EXPECT_GT(24 * few, many);
	}
}

/* An epoll and an io_uring are not watched: neither could end what it watches in turn. */
TEST_F(fd, epoll_as_source)
{
	int ep = epoll_create1(0), watching = watch(self->fd, EPOLLIN);

	ASSERT_LE(0, ep);
	ASSERT_LE(0, watching);
	EXPECT_TRUE(FAILS(EINVAL, nest(self->fd, ep, KEVENT_REQ_ET)));
	EXPECT_TRUE(FAILS(EINVAL, nest(self->fd, watching, KEVENT_REQ_ET)));
	close(ep);
	close(watching);
}

TEST_F(fd, io_uring_as_source)
{
	struct uring u;

	if (!uring_open(&u))
		SKIP(return, "no io_uring: errno %d", errno);
	EXPECT_TRUE(FAILS(EINVAL, nest(self->fd, u.fd, KEVENT_REQ_ET)));
	close(u.fd);
}

/* A number that no file has. */
TEST_F(fd, closed_source)
{
	int gone = dup(self->fd);

	ASSERT_LE(0, gone);
	close(gone);
	EXPECT_TRUE(FAILS(EBADF, nest(self->fd, gone, KEVENT_REQ_ET)));
	EXPECT_TRUE(FAILS(EBADF, nest(self->fd, -1, KEVENT_REQ_ET)));
}

/* An epoll that watches a queue that watches a queue hears of the innermost. */
TEST_F(fd, epoll_of_nested)
{
	int outer = kevent_init(NULL, 4, 0), ep;
	struct epoll_event event;

	ASSERT_LE(0, outer);
	ASSERT_EQ(1, nest(outer, self->fd, KEVENT_REQ_ET));
	ep = watch(outer, EPOLLIN);
	ASSERT_LE(0, ep);
	EXPECT_EQ(0, epoll_wait(ep, &event, 1, 0));
	ASSERT_EQ(1, ready(self->fd, 0, 1));
	EXPECT_EQ(1, epoll_wait(ep, &event, 1, -1));
	close(ep);
	close(outer);
}

TEST_HARNESS_MAIN
