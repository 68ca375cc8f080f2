// SPDX-License-Identifier: GPL-2.0
/*
 * Every type of file that a program can open, against what poll(2) says of it at that moment: told
 * when it becomes so, and when it was so at ADD; through a ring, and copied; as level, again as
 * long as it lasts, and as edge, once. The matrix in the documentation is made from the CELLs here
 * by `cargo xtask tables`.
 */
#include <limits.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>

#include "sources.h"

/* A file, and what moves it. */
struct thing {
	int fd;			/* the one that is watched */
	int peer, third;	/* its other ends */
	pid_t child;
	pthread_t thread;
	char *page;
};

/* How a file becomes ready, and no longer so. */
struct cell {
	bool (*open)(struct thing *t);
	bool (*begin)(struct thing *t);
	bool (*end)(struct thing *t);	/* NULL: it stays so */
	uint32_t bits;			/* asked for; not true before begin() */
	uint32_t says;			/* at least this is true after it */
};

static bool pair(struct thing *t, int fd[2], int watched)
{
	t->fd = fd[watched];
	t->peer = fd[!watched];
	return true;
}

static bool put(int fd)
{
	return write(fd, "x\n", 2) == 2;
}

static bool take(int fd)
{
	char buf[4096];

	return read(fd, buf, sizeof(buf)) > 0;
}

static bool peer_writes(struct thing *t) { return put(t->peer); }
static bool watched_reads(struct thing *t) { return take(t->fd); }

static bool peer_closes(struct thing *t)
{
	int fd = t->peer;

	t->peer = -1;
	return close(fd) == 0;
}

/* Until nothing more fits. */
static bool fill(int fd)
{
	static const char block[4096];

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, block, sizeof(block)) > 0)
		;
	while (write(fd, block, 1) > 0)
		;
	return errno == EAGAIN;
}

/* What is under way may still make room. */
static bool fill_for_good(int fd)
{
	return fill(fd) && usleep(20000) == 0 && fill(fd) && usleep(20000) == 0 && fill(fd);
}

static bool drain(int fd)
{
	char buf[65536];

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	return errno == EAGAIN;
}

static bool peer_drains(struct thing *t) { return drain(t->peer); }
static bool watched_fills(struct thing *t) { return fill(t->fd); }
static bool watched_drains(struct thing *t) { return drain(t->fd); }

/* pipe */

static bool pipe_reader(struct thing *t)
{
	int fd[2];

	return pipe(fd) == 0 && pair(t, fd, 0);
}

static bool pipe_writer(struct thing *t)
{
	int fd[2];

	return pipe(fd) == 0 && pair(t, fd, 1);
}

static bool full_pipe(struct thing *t) { return pipe_writer(t) && fill(t->fd); }

/* fifo, open for both: one file with two wait queues */

static bool fifo(struct thing *t)
{
	unlink("/tmp/kevent_fifo");
	if (mkfifo("/tmp/kevent_fifo", 0600))
		return false;
	t->fd = open("/tmp/kevent_fifo", O_RDWR);
	t->peer = open("/tmp/kevent_fifo", O_RDWR);
	return t->fd >= 0 && t->peer >= 0;
}

static bool fifo_reader(struct thing *t)
{
	int both;

	if (!fifo(t))
		return false;
	both = t->fd;
	t->fd = open("/tmp/kevent_fifo", O_RDONLY | O_NONBLOCK);
	close(both);
	close(t->peer);
	t->peer = open("/tmp/kevent_fifo", O_WRONLY);
	return t->fd >= 0 && t->peer >= 0;
}

static bool full_fifo(struct thing *t) { return fifo(t) && fill(t->fd); }

/* eventfd */

static bool event(struct thing *t)
{
	t->fd = eventfd(0, EFD_NONBLOCK);
	return t->fd >= 0;
}

static bool full_event(struct thing *t) { return event(t) && !eventfd_write(t->fd, ~0ULL - 1); }
static bool count_up(struct thing *t) { return !eventfd_write(t->fd, 1); }
static bool count_full(struct thing *t) { return !eventfd_write(t->fd, ~0ULL - 1); }

static bool count_down(struct thing *t)
{
	eventfd_t count;

	return eventfd_read(t->fd, &count) == 0;
}

/* timerfd */

static bool timer(struct thing *t)
{
	t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	return t->fd >= 0;
}

static bool expire(struct thing *t)
{
	struct itimerspec soon = { .it_value.tv_nsec = 1000 };

	return timerfd_settime(t->fd, 0, &soon, NULL) == 0;
}

/* signalfd */

static bool signals(struct thing *t)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return false;
	t->fd = signalfd(-1, &set, SFD_NONBLOCK);
	return t->fd >= 0;
}

static bool signal_self(struct thing *t)
{
	(void)t;
	return raise(SIGUSR2) == 0;
}

/* pidfd */

static bool process(struct thing *t)
{
	t->child = fork();
	if (t->child == 0)
		for (;;)
			pause();
	t->fd = (int)syscall(SYS_pidfd_open, t->child, 0);
	return t->child > 0 && t->fd >= 0;
}

static bool process_ends(struct thing *t)
{
	siginfo_t info;

	return kill(t->child, SIGKILL) == 0 &&
	       waitid(P_PID, (id_t)t->child, &info, WEXITED | WNOWAIT) == 0;
}

static bool process_is_reaped(struct thing *t)
{
	return kill(t->child, SIGKILL) == 0 && waitpid(t->child, NULL, 0) == t->child;
}

/* inotify, fanotify */

static bool touch(struct thing *t)
{
	int fd = open("/tmp/kevent_touched", O_CREAT | O_WRONLY, 0600);

	(void)t;
	return fd >= 0 && put(fd) && close(fd) == 0;
}

static bool notify(struct thing *t)
{
	t->fd = inotify_init1(IN_NONBLOCK);
	return touch(t) && inotify_add_watch(t->fd, "/tmp/kevent_touched", IN_CLOSE_WRITE) >= 0;
}

static bool fanotify(struct thing *t)
{
	t->fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	return t->fd >= 0 && touch(t) &&
	       fanotify_mark(t->fd, FAN_MARK_ADD, FAN_CLOSE_WRITE, AT_FDCWD,
			     "/tmp/kevent_touched") == 0;
}

/* Each event of a fanotify brings a file. */
static bool fanotify_reads(struct thing *t)
{
	struct fanotify_event_metadata buf[16];
	ssize_t len;
	size_t i;

	while ((len = read(t->fd, buf, sizeof(buf))) > 0)
		for (i = 0; i < (size_t)len / sizeof(*buf); i++)
			close(buf[i].fd);
	return errno == EAGAIN;
}

/* terminals */

static bool terminal(struct thing *t, bool slave)
{
	int fd[2], unlock = 0, number;
	char path[32];

	fd[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (fd[0] < 0 || ioctl(fd[0], TIOCSPTLCK, &unlock) || ioctl(fd[0], TIOCGPTN, &number))
		return false;
	snprintf(path, sizeof(path), "/dev/pts/%d", number);
	fd[1] = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
	return fd[1] >= 0 && pair(t, fd, slave);
}

static bool pty_master(struct thing *t) { return terminal(t, false); }
static bool pty_slave(struct thing *t) { return terminal(t, true); }
static bool full_slave(struct thing *t) { return pty_slave(t) && fill_for_good(t->fd); }

/* The terminal of a session, under its own name. */
static bool session_tty(struct thing *t)
{
	int unlock = 0, number;
	char path[32];

	/* Who leads a group cannot lead a session. */
	setpgid(0, getpgid(getppid()));
	setsid();
	t->peer = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (t->peer < 0 || ioctl(t->peer, TIOCSPTLCK, &unlock) || ioctl(t->peer, TIOCGPTN, &number))
		return false;
	snprintf(path, sizeof(path), "/dev/pts/%d", number);
	t->third = open(path, O_RDWR);
	if (t->third < 0 || (ioctl(t->third, TIOCSCTTY, 1) && errno != EPERM))
		return false;
	signal(SIGHUP, SIG_IGN);
	t->fd = open("/dev/tty", O_RDWR | O_NONBLOCK);
	return t->fd >= 0;
}

static bool full_tty(struct thing *t) { return session_tty(t) && fill_for_good(t->fd); }

/* sockets */

static bool sockets(struct thing *t, int type)
{
	int fd[2];

	return socketpair(AF_UNIX, type, 0, fd) == 0 && pair(t, fd, 0);
}

static bool stream(struct thing *t) { return sockets(t, SOCK_STREAM); }
static bool dgram(struct thing *t) { return sockets(t, SOCK_DGRAM); }
static bool seqpacket(struct thing *t) { return sockets(t, SOCK_SEQPACKET); }
static bool full_stream(struct thing *t) { return stream(t) && fill(t->fd); }
static bool full_dgram(struct thing *t) { return dgram(t) && fill(t->fd); }
static bool full_seqpacket(struct thing *t) { return seqpacket(t) && fill(t->fd); }

static bool listener(struct thing *t)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	t->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	return t->fd >= 0 && bind(t->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	       listen(t->fd, 8) == 0;
}

static bool connect_to(int listening, int *fd)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	*fd = socket(AF_INET, SOCK_STREAM, 0);
	return getsockname(listening, (struct sockaddr *)&addr, &len) == 0 &&
	       connect(*fd, (struct sockaddr *)&addr, len) == 0;
}

static bool peer_connects(struct thing *t) { return connect_to(t->fd, &t->peer); }

static bool accepts(struct thing *t)
{
	t->third = accept(t->fd, NULL, NULL);
	return t->third >= 0;
}

static bool tcp(struct thing *t)
{
	struct thing l = { 0 };

	if (!listener(&l) || !connect_to(l.fd, &t->peer))
		return false;
	fcntl(l.fd, F_SETFL, 0);
	t->fd = accept(l.fd, NULL, NULL);
	close(l.fd);
	return t->fd >= 0;
}

static bool full_tcp(struct thing *t)
{
	/* The peer's window closes, then the buffer fills. */
	return tcp(t) && fill_for_good(t->fd);
}

static bool half_closed_tcp(struct thing *t) { return tcp(t) && !shutdown(t->fd, SHUT_WR); }

static bool peer_resets(struct thing *t)
{
	struct linger linger = { .l_onoff = 1 };

	return setsockopt(t->peer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0 &&
	       peer_closes(t);
}

static bool tcp_drains(struct thing *t)
{
	int i;

	for (i = 0; i < 10; i++) {
		drain(t->peer);
		usleep(10000);
	}
	return true;
}

/* userfaultfd */

static bool faults(struct thing *t)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	t->fd = (int)syscall(SYS_userfaultfd, O_NONBLOCK);
	t->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range.start = (uintptr_t)t->page;
	range.range.len = 4096;
	return t->fd >= 0 && t->page != MAP_FAILED && ioctl(t->fd, UFFDIO_API, &api) == 0 &&
	       ioctl(t->fd, UFFDIO_REGISTER, &range) == 0;
}

static void *touch_page(void *page)
{
	__atomic_store_n((char *)page, 1, __ATOMIC_RELAXED);
	return NULL;
}

static bool page_is_touched(struct thing *t)
{
	return pthread_create(&t->thread, NULL, touch_page, t->page) == 0;
}

static bool page_is_given(struct thing *t)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)t->page, .len = 4096 },
	};
	struct uffd_msg msg;

	return read(t->fd, &msg, sizeof(msg)) == sizeof(msg) &&
	       ioctl(t->fd, UFFDIO_ZEROPAGE, &zero) == 0 && pthread_join(t->thread, NULL) == 0;
}

/* a queue */

static bool queue(struct thing *t)
{
	t->fd = kevent_init(NULL, 4, 0);
	return t->fd >= 0 && add_user(t->fd, 1, 1, 0) == 1;
}

static bool user_fires(struct thing *t) { return ready(t->fd, 1, 1) == 1; }

static bool user_is_taken(struct thing *t)
{
	struct ukevent ev;

	return get_now(t->fd, 1, &ev) == 1;
}

static void shut(struct thing *t)
{
	close(t->fd);
	if (t->peer > 0)
		close(t->peer);
	if (t->third > 0)
		close(t->third);
	if (t->child > 0) {
		kill(t->child, SIGKILL);
		waitpid(t->child, NULL, 0);
	}
}

/* An event as a consumer of the ring sees it; waits for it. False: there was none. */
static bool from_ring(struct kevent_consumer *c, struct ukevent *copy)
{
	struct __kernel_timespec soon = ns_to_timespec(GENEROUS_NS);
	struct ukevent *ev;

	while (!(ev = kevent_ring_take(c)))
		if (kevent_ring_wait(c, &soon) <= 0)
			return false;
	*copy = *ev;
	kevent_ring_finish(c, ev);
	return true;
}

/* What is told must be what poll(2) says; what RECHECK marks, poll(2) alone says. */
static bool as_poll_says(const struct ukevent *ev, int fd, const struct cell *cell, bool exact)
{
	uint32_t says = poll_says(fd, cell->bits);

	if ((says & cell->says) != cell->says)
		return false;
	if (flags_of(ev) & KEVENT_RET_RECHECK)
		return !exact;
	return exact ? ev->fired == says : ev->fired && !(ev->fired & ~says);
}

/* One way of a cell: as level or edge, copied or through a ring, true at ADD or later. */
static void check_way(struct __test_metadata *_metadata, const struct cell *cell, int mode,
		      int ring, int already)
{
	uint32_t flags = mode ? KEVENT_REQ_ET : 0;
	struct kevent_consumer c = { 0 };
	struct thing t = { .fd = -1 };
	struct ukevent ev;
	int fd, i;

	if (ring) {
		ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
		fd = c.fd;
	} else {
		fd = kevent_init(NULL, 0, 0);
		ASSERT_LE(0, fd);
	}
	ASSERT_TRUE(cell->open(&t)) TH_LOG("errno %d", errno);
	ASSERT_EQ(0U, poll_says(t.fd, cell->bits));
	if (already)
		ASSERT_TRUE(cell->begin(&t));
	ASSERT_EQ(1, add_file(fd, t.fd, cell->bits, flags)) TH_LOG("errno %d", errno);
	if (!already) {
		EXPECT_EQ(0, get_now(fd, 1, &ev));
		ASSERT_TRUE(cell->begin(&t));
	}
	ASSERT_TRUE(ring ? from_ring(&c, &ev) : get_one(fd, &ev));
	EXPECT_EQ((uint64_t)t.fd, ev.id);
	EXPECT_EQ(~(uint64_t)t.fd, ev.user);
	/* A file may become more ready than at its first wake-up; a level follows. */
	EXPECT_TRUE(as_poll_says(&ev, t.fd, cell, !ring && already))
		TH_LOG("mode %d ring %d already %d: fired %x results %x, poll says %x",
		       mode, ring, already, ev.fired, ev.ret_flags,
		       poll_says(t.fd, cell->bits));
	if (mode == 0) {
		/* Again, by each look, and all that is true. */
		for (i = 0; i < 2; i++) {
			usleep(1000);
			while (get_now(fd, 1, &ev) == 1 && !as_poll_says(&ev, t.fd, cell, true))
				;
			ASSERT_EQ(1, get_now(fd, 1, &ev));
			EXPECT_TRUE(as_poll_says(&ev, t.fd, cell, true))
				TH_LOG("again: fired %x results %x, poll says %x", ev.fired,
				       ev.ret_flags, poll_says(t.fd, cell->bits));
		}
		EXPECT_EQ(1, poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0));
	} else {
		/* As often as it woke, and not for ever. */
		for (i = 0; i < 10 && get_now(fd, 1, &ev) == 1; i++)
			;
		EXPECT_GT(10, i);
	}
	if (cell->end) {
		ASSERT_TRUE(cell->end(&t));
		EXPECT_EQ(0U, poll_says(t.fd, cell->bits));
		for (i = 0; i < 10 && get_now(fd, 1, &ev) == 1; i++)
			;
		EXPECT_GT(10, i);
		EXPECT_EQ(0U, poll_says(fd, POLLIN));
	}
	ASSERT_EQ(1, remove_file(fd, t.fd));
	shut(&t);
	if (ring)
		kevent_ring_close(&c);
	else
		close(fd);
}

static void check_cell(struct __test_metadata *_metadata, const struct cell *cell)
{
	int mode, ring, already;

	for (mode = 0; mode < 2; mode++)
		for (ring = 0; ring < 2; ring++)
			for (already = 0; already < 2; already++)
				check_way(_metadata, cell, mode, ring, already);
}

#define CELL(type_, column_, ...)						\
TEST(type_##_##column_)								\
{										\
	check_cell(_metadata, &(struct cell){ __VA_ARGS__ });			\
}

CELL(pipe, readable, pipe_reader, peer_writes, watched_reads, POLLIN, POLLIN)
CELL(pipe, writable, full_pipe, peer_drains, watched_fills, POLLOUT, POLLOUT)
CELL(pipe, error, full_pipe, peer_closes, NULL, POLLPRI, POLLERR)
CELL(pipe, hangup, pipe_reader, peer_closes, NULL, POLLIN, POLLHUP)
CELL(fifo, readable, fifo, peer_writes, watched_drains, POLLIN, POLLIN)
CELL(fifo, writable, full_fifo, watched_drains, watched_fills, POLLOUT, POLLOUT)
CELL(fifo, hangup, fifo_reader, peer_closes, NULL, POLLIN, POLLHUP)
CELL(eventfd, readable, event, count_up, count_down, POLLIN, POLLIN)
CELL(eventfd, writable, full_event, count_down, count_full, POLLOUT, POLLOUT)
CELL(timerfd, readable, timer, expire, watched_reads, POLLIN, 0)
CELL(signalfd, readable, signals, signal_self, watched_reads, POLLIN, POLLIN)
CELL(pidfd, readable, process, process_ends, NULL, POLLIN, POLLIN)
CELL(pidfd, hangup, process, process_is_reaped, NULL, POLLIN, POLLHUP)
CELL(inotify, readable, notify, touch, watched_drains, POLLIN, POLLIN)
CELL(fanotify, readable, fanotify, touch, fanotify_reads, POLLIN, POLLIN)
CELL(tty, readable, session_tty, peer_writes, watched_drains, POLLIN, 0)
CELL(tty, writable, full_tty, peer_drains, NULL, POLLOUT, 0)
CELL(tty, hangup, session_tty, peer_closes, NULL, POLLIN, POLLHUP)
CELL(pty_master, readable, pty_master, peer_writes, watched_drains, POLLIN, 0)
CELL(pty_master, hangup, pty_master, peer_closes, NULL, POLLIN, POLLHUP)
CELL(pty_slave, readable, pty_slave, peer_writes, watched_drains, POLLIN, 0)
CELL(pty_slave, writable, full_slave, peer_drains, NULL, POLLOUT, 0)
CELL(pty_slave, hangup, pty_slave, peer_closes, NULL, POLLIN, POLLHUP)
CELL(unix_stream, readable, stream, peer_writes, watched_drains, POLLIN, POLLIN)
CELL(unix_stream, writable, full_stream, peer_drains, watched_fills, POLLOUT, POLLOUT)
CELL(unix_stream, hangup, stream, peer_closes, NULL, POLLIN | POLLRDHUP, POLLHUP | POLLRDHUP)
CELL(unix_dgram, readable, dgram, peer_writes, watched_drains, POLLIN, POLLIN)
CELL(unix_dgram, writable, full_dgram, peer_drains, watched_fills, POLLOUT, POLLOUT)
CELL(unix_seqpacket, readable, seqpacket, peer_writes, watched_drains, POLLIN, POLLIN)
CELL(unix_seqpacket, writable, full_seqpacket, peer_drains, watched_fills, POLLOUT, POLLOUT)
CELL(unix_seqpacket, hangup, seqpacket, peer_closes, NULL, POLLIN, POLLHUP)
CELL(tcp, readable, tcp, peer_writes, watched_drains, POLLIN, 0)
CELL(tcp, writable, full_tcp, tcp_drains, NULL, POLLOUT, POLLOUT)
CELL(tcp, error, half_closed_tcp, peer_resets, NULL, POLLPRI, 0)
CELL(tcp, hangup, half_closed_tcp, peer_closes, NULL, POLLIN | POLLRDHUP, 0)
CELL(tcp_listener, readable, listener, peer_connects, accepts, POLLIN, POLLIN)
CELL(userfaultfd, readable, faults, page_is_touched, page_is_given, POLLIN, 0)
CELL(queue, readable, queue, user_fires, user_is_taken, POLLIN, POLLIN)

/* What cannot be watched, and why. */
static void check_refused(struct __test_metadata *_metadata, int file, int error)
{
	static const uint32_t modes[] = {
		0, KEVENT_REQ_ET, KEVENT_REQ_ONESHOT, KEVENT_REQ_EXCLUSIVE,
	};
	int fd = kevent_init(NULL, 4, 0), i;

	ASSERT_LE(0, file) TH_LOG("errno %d", errno);
	for (i = 0; i < ARRAY_LEN(modes); i++) {
		struct ukevent request = file_request(file, POLLIN, modes[i]);

		errno = 0;
		EXPECT_EQ(-1, kevent_ctl(fd, KEVENT_CTL_ADD, 1, &request));
		EXPECT_EQ(error, errno);
		EXPECT_EQ(error, error_of(&request));
	}
	EXPECT_EQ(0, registrations(fd));
	close(file);
	close(fd);
}

#define REFUSED(type_, error_, open_)						\
TEST(type_##_refused)								\
{										\
	check_refused(_metadata, open_, error_);				\
}

static int new_ring(void)
{
	struct io_uring_params params = { 0 };

	return (int)syscall(SYS_io_uring_setup, 4, &params);
}

REFUSED(memfd, EPERM, memfd_create("kevent", 0))
REFUSED(regular_file, EPERM, open("/tmp/kevent_touched", O_CREAT | O_RDWR, 0600))
REFUSED(directory, EPERM, open("/tmp", O_RDONLY))
REFUSED(dev_null, EPERM, open("/dev/null", O_RDWR))
REFUSED(o_path, EBADF, open("/tmp", O_PATH))
REFUSED(epoll, EINVAL, epoll_create1(0))
REFUSED(io_uring, EINVAL, new_ring())

/* A registration in the place of a removed one, of any source: it tells of what it watches. */
TEST(places_are_used_again)
{
	int fd = kevent_init(NULL, 0, 0), file = eventfd(0, EFD_NONBLOCK), sock[2], round, i;
	struct ukevent ev, request;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	/* By fives, and four at a time: each source comes after each. */
	for (round = 0; round < 64; round++) {
		for (i = 0; i < 4; i++) {
			eventfd_t value;

			switch ((round + round / 4 + i) % 5) {
			case 0:
				request = file_request(file, POLLIN, KEVENT_REQ_ET);
				break;
			case 1:
				request = file_request(file, POLLIN, KEVENT_REQ_EXCLUSIVE);
				break;
			case 2:
				request = timer_request(7, 0, 0, 0);
				break;
			case 3:
				request = file_request(sock[0], KEVENT_SOCKET_RECV, 0);
				request.type = KEVENT_SOCKET;
				break;
			default:
				request = user_request(7, 1, 0);
			}
			ASSERT_EQ(1, kevent_ctl(fd, KEVENT_CTL_ADD, 1, &request));
			ASSERT_EQ(0, eventfd_write(file, 1));
			ASSERT_EQ(1, write(sock[1], "x", 1));
			if (request.type == KEVENT_USER)
				ASSERT_EQ(1, ready(fd, 7, 1));
			ASSERT_TRUE(get_one(fd, &ev)) TH_LOG("round %d, %d", round, i);
			EXPECT_EQ(request.type, ev.type);
			EXPECT_EQ(request.user, ev.user);
			EXPECT_EQ(request.event, ev.fired);
			ASSERT_EQ(1, kevent_ctl(fd, KEVENT_CTL_REMOVE, 1, &request));
			ASSERT_EQ(0, eventfd_read(file, &value));
			ASSERT_EQ(1, read(sock[0], &ev, 1));
			/* What is gone says nothing. */
			EXPECT_EQ(0, get_now(fd, 1, &ev));
		}
	}
	close(sock[0]);
	close(sock[1]);
	close(file);
	close(fd);
}

TEST_HARNESS_MAIN
