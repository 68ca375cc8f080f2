/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program of the fuzzer can do, one function for each of its calls. A reproducer has this
 * text in it, so that it does what the fuzzer did.
 *
 * Descriptors and rings have places, which all threads share. A call on an empty place fails, as it
 * may: no result is looked at. A thread that touches memory which is not there ends.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kevent.h"

/* Each function is of the file that includes this, unless it says something else. */
#ifndef ACT
#define ACT static __attribute__((unused))
#endif

#define QUEUES	4
#define PLACES	16
#define THREADS	4
#define PAGE	4096

/* The first places are for queues. */
static int fd[PLACES] = { -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1 };
static struct kevent_consumer ring[QUEUES];
static struct io_uring_params uring[PLACES];
static pthread_t thread[THREADS];
static __thread struct ukevent *held[8];
static __thread unsigned int nr_held;

/*
 * Two pages and a hole; the same two to be read only; room for rings; two pages that are not
 * present; and a page that a 32-bit pointer reaches.
 */
static char *plain, *readonly, *rooms, *fresh, *low;

/* Where an array is. */
struct place {
	enum { STACK, NOWHERE, UNMAPPED, KERNEL, EDGE, READONLY, IN_RING, FRESH } kind;
	unsigned int at;	/* EDGE: words that are there; FRESH: in the first of two pages;
				 * IN_RING: the queue */
};

struct when {
	enum { NEVER, AFTER, AT, WRONG, UNREADABLE } kind;
	int64_t ns;		/* AT: from now, on the clock */
};

struct extended {
	struct when timeout;
	unsigned int mask;	/* size of the signal mask, if there is one */
	unsigned int clock;
	uint64_t min_wait;
	uint64_t reserved;
};

/* A position, from the head of the ring or from 0. */
struct position {
	int from_head;
	int64_t plus;
};

/* The id is that of the descriptor at this place, if one is named. */
struct request {
	int place;
	struct ukevent record;
};

struct requests {
	unsigned int nr;
	const struct request *request;
};

static inline void *at_place(struct place place, size_t bytes, void *stack)
{
	struct kevent_consumer *c = &ring[place.at % QUEUES];

	switch (place.kind) {
	case STACK:
		return stack;
	case UNMAPPED:
		return plain + 2 * PAGE;
	case KERNEL:
		return (void *)0xffff888000000000UL;
	case EDGE:
		return plain + 2 * PAGE - 8 * (place.at % 256);
	case READONLY:
		return bytes <= PAGE ? readonly : stack;
	case IN_RING:
		return c->ring ? (char *)c->ring + 128 : stack;
	case FRESH:
		madvise(fresh, 2 * PAGE, MADV_DONTNEED);
		return bytes <= PAGE ? fresh + PAGE - 8 * (place.at % 256) : stack;
	default:
		return NULL;
	}
}

static inline void put(struct place place, void *to, const void *from, size_t bytes)
{
	if (place.kind == EDGE && bytes > 8 * (place.at % 256))
		bytes = 8 * (place.at % 256);
	if (place.kind == READONLY && bytes <= PAGE)
		to = plain;
	if (to != from && place.kind != NOWHERE && place.kind != UNMAPPED && place.kind != KERNEL)
		memcpy(to, from, bytes);
}

static inline const void *time_of(struct when when, clockid_t clock, struct __kernel_timespec *ts)
{
	struct timespec now = { 0 };
	int64_t ns = when.ns;

	switch (when.kind) {
	case NEVER:
		return NULL;
	case UNREADABLE:
		return plain + 2 * PAGE - 8;
	case AT:
		clock_gettime(clock, &now);
		ns += now.tv_nsec;
	default:
		ts->tv_sec = now.tv_sec + ns / 1000000000;
		ts->tv_nsec = when.kind == WRONG ? ns : ns % 1000000000;
		return ts;
	}
}

/* A mask that blocks nothing, of the size that it may have. */
static inline const void *arg_of(const struct extended *x, struct kevent_wait_arg *arg,
				 struct __kernel_timespec *ts)
{
	static const uint64_t mask[2];

	*arg = (struct kevent_wait_arg){
		.timeout = (uintptr_t)time_of(x->timeout, x->clock, ts),
		.sigmask = x->mask ? (uintptr_t)mask : 0,
		.sigmask_size = x->mask,
		.clock = x->clock,
		.min_wait = x->min_wait,
		.reserved = { x->reserved },
	};
	return arg;
}

/* Queues. */

ACT void new_queue(int to, unsigned int slots, unsigned int flags)
{
	fd[to] = kevent_init(NULL, slots, flags);
	if (fd[to] >= 0 && to < QUEUES)
		kevent_ring_map(&ring[to], fd[to], slots, (uint32_t)to + 1);
}

ACT void new_queue_at(int to, unsigned int room, unsigned int slots, unsigned int flags)
{
	void *where = rooms + room * (PAGE / 2);

	fd[to] = kevent_init(where, slots, flags);
	if (fd[to] >= 0 && to < QUEUES && slots)
		kevent_ring_attach(&ring[to], fd[to], where, slots, (uint32_t)to + 1);
}

ACT void open_device(int to, unsigned int flags)
{
	fd[to] = open("/dev/kevent", (int)flags);
}

ACT void map_ring(int queue, unsigned int slots, unsigned int owner)
{
	kevent_ring_map(&ring[queue], fd[queue], slots, owner);
}

ACT void map_any(int queue, unsigned int pages, unsigned int offset, unsigned int prot,
		 unsigned int flags)
{
	mmap(NULL, pages * PAGE, (int)prot, (int)flags, fd[queue], offset * PAGE);
}

ACT void unmap(int queue, unsigned int page)
{
	if (ring[queue].ring)
		munmap((char *)ring[queue].ring + page * PAGE, PAGE);
}

ACT void move_ring(int queue, unsigned int pages)
{
	size_t bytes = kevent_ring_bytes(kevent_ring_slots(&ring[queue]));
	void *moved;

	if (!ring[queue].ring)
		return;
	moved = mremap(ring[queue].ring, bytes, pages ? pages * PAGE : bytes, MREMAP_MAYMOVE);
	if (moved != MAP_FAILED)
		ring[queue].ring = moved;
}

ACT void protect(int queue, unsigned int prot)
{
	if (ring[queue].ring)
		mprotect(ring[queue].ring, PAGE, (int)prot);
}

ACT void advise(int queue, unsigned int advice)
{
	if (ring[queue].ring)
		madvise(ring[queue].ring, PAGE, (int)advice);
}

ACT void control(int queue, unsigned int cmd, struct requests requests, int nr, struct place place)
{
	struct ukevent stack[8], records[8], *at;
	unsigned int i;

	for (i = 0; i < requests.nr && i < 8; i++) {
		records[i] = requests.request[i].record;
		if (requests.request[i].place >= 0)
			records[i].id = (uint64_t)(int64_t)fd[requests.request[i].place];
	}
	at = at_place(place, i * sizeof(*at), stack);
	put(place, at, records, i * sizeof(*at));
	kevent_ctl(fd[queue], cmd, nr < 0 ? i : (unsigned int)nr, at);
}

ACT void get(int queue, unsigned int min, unsigned int max, struct when timeout,
	     unsigned int flags, struct place place)
{
	struct __kernel_timespec ts;
	struct ukevent stack[8];

	if (place.kind == STACK && max > 8)
		place.kind = EDGE;
	kevent_get_events(fd[queue], min, max, time_of(timeout, CLOCK_MONOTONIC, &ts),
			  at_place(place, max * sizeof(*stack), stack), flags);
}

ACT void get_extended(int queue, unsigned int min, unsigned int max, struct extended extended,
		      unsigned int flags)
{
	struct __kernel_timespec ts;
	struct kevent_wait_arg arg;
	struct ukevent stack[8];

	if (max > 8)
		max = 8;
	kevent_get_events(fd[queue], min, max, arg_of(&extended, &arg, &ts), stack,
			  flags | KEVENT_FLAGS_EXT_ARG);
}

static inline uint64_t position_of(int queue, struct position position)
{
	uint64_t head = 0;

	if (position.from_head && queue < QUEUES && ring[queue].ring)
		head = kevent_ring_head(&ring[queue]);
	return head + (uint64_t)position.plus;
}

ACT void wait_for(int queue, unsigned int num, struct position old, struct when timeout,
		  unsigned int flags)
{
	struct __kernel_timespec ts;

	kevent_wait(fd[queue], num, (uint32_t)position_of(queue, old),
		    time_of(timeout, CLOCK_MONOTONIC, &ts), flags);
}

ACT void wait_extended(int queue, unsigned int num, struct position old, struct extended extended,
		       unsigned int flags)
{
	struct __kernel_timespec ts;
	struct kevent_wait_arg arg;

	kevent_wait(fd[queue], num, (uint32_t)position_of(queue, old),
		    arg_of(&extended, &arg, &ts), flags | KEVENT_FLAGS_EXT_ARG);
}

/* As a 32-bit program makes it. */
static inline void call_32(unsigned int nr, unsigned int a, unsigned int b, unsigned int c,
			   unsigned int d, unsigned int e, unsigned int f)
{
#ifdef __x86_64__
	/* The red zone stays; the sixth argument is in ebp. */
	asm volatile("sub $128, %%rsp; push %%rbp; mov %[f], %%ebp; int $0x80; pop %%rbp; add $128, %%rsp"
		     : "+a"(nr)
		     : "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), [f] "r"(f)
		     : "memory", "cc", "r8", "r9", "r10", "r11");
#endif
}

ACT void call_by_32(int queue, unsigned int what, unsigned int num, struct extended extended,
		    unsigned int flags)
{
	struct __kernel_timespec *ts = (struct __kernel_timespec *)low;
	struct kevent_wait_arg *arg = (struct kevent_wait_arg *)(low + 64);
	unsigned int at = (unsigned int)(uintptr_t)(low + 256), given;

	arg_of(&extended, arg, ts);
	given = extended.timeout.kind == NEVER ? 0 : (unsigned int)(uintptr_t)ts;
	if (what & 1) {
		given = (unsigned int)(uintptr_t)arg;
		flags |= KEVENT_FLAGS_EXT_ARG;
	}
	if (what & 2)
		call_32(__NR_kevent_wait, (unsigned int)fd[queue], num, 0, given, flags, 0);
	else
		call_32(__NR_kevent_get_events, (unsigned int)fd[queue], 1, num, given, at, flags);
}

ACT void commit(int queue, struct position position)
{
	uint64_t to = position_of(queue, position);

	kevent_commit(fd[queue], (uint32_t)to, (uint32_t)(to >> 32));
}

/* The ring, without a call. */

ACT void take(int queue, unsigned int owner, unsigned int nr)
{
	struct kevent_consumer c;
	struct ukevent *ev;

	if (!ring[queue].ring || kevent_ring_join(&c, &ring[queue], owner))
		return;
	while (nr-- && nr_held < 8 && (ev = kevent_ring_take(&c)))
		held[nr_held++] = ev;
}

ACT void finish(int queue, unsigned int owner)
{
	struct kevent_consumer c;

	if (!ring[queue].ring || kevent_ring_join(&c, &ring[queue], owner))
		return;
	while (nr_held)
		kevent_ring_finish(&c, held[--nr_held]);
}

ACT void recover(int queue, unsigned int owner)
{
	if (ring[queue].ring)
		kevent_ring_recover(&ring[queue], owner);
}

ACT void inherit(int queue, unsigned int owner)
{
	struct ukevent *ev = NULL;

	if (ring[queue].ring && nr_held < 8)
		ev = kevent_ring_inherit(&ring[queue], owner);
	if (ev)
		held[nr_held++] = ev;
}

ACT void scribble(int queue, unsigned int word, uint64_t value, unsigned int how)
{
	uint64_t *at;

	if (!ring[queue].ring)
		return;
	at = (uint64_t *)ring[queue].ring + word % (PAGE / 8);
	if (how == 0)
		__atomic_store_n(at, value, __ATOMIC_RELAXED);
	else if (how == 1)
		__atomic_fetch_xor(at, value, __ATOMIC_RELAXED);
	else
		__atomic_fetch_or(at, value, __ATOMIC_RELAXED);
}

/* Files. */

ACT void new_pipe(int a, int b, unsigned int flags)
{
	int pair[2];

	if (pipe2(pair, O_NONBLOCK | (int)flags))
		return;
	fd[a] = pair[0];
	fd[b] = pair[1];
}

ACT void new_eventfd(int to, unsigned int count, unsigned int flags)
{
	fd[to] = eventfd(count, EFD_NONBLOCK | (int)flags);
}

ACT void new_socketpair(int a, int b, unsigned int type)
{
	int pair[2];

	if (socketpair(AF_UNIX, (int)type | SOCK_NONBLOCK, 0, pair))
		return;
	fd[a] = pair[0];
	fd[b] = pair[1];
}

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* On the loopback, at a port that is free, or with a name that is. */
static inline int bound(int family, int type, union address *a, socklen_t *len)
{
	int s = socket(family, type | SOCK_NONBLOCK, 0);

	memset(a, 0, sizeof(*a));
	a->any.sa_family = (sa_family_t)family;
	if (family == AF_INET6) {
		a->in6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
		*len = sizeof(a->in6);
	} else if (family == AF_INET) {
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*len = sizeof(a->in);
	} else if (family == AF_UNIX) {
		*len = sizeof(a->un.sun_family);
	} else {
		*len = sizeof(a->any);
	}
	bind(s, &a->any, *len);
	*len = sizeof(*a);
	getsockname(s, &a->any, len);
	return s;
}

ACT void new_listener(int to, unsigned int family, unsigned int backlog)
{
	union address a;
	socklen_t len;

	fd[to] = bound((int)family, SOCK_STREAM, &a, &len);
	listen(fd[to], (int)backlog);
}

ACT void new_udp(int a, int b, unsigned int family)
{
	union address address;
	socklen_t len;

	fd[a] = bound((int)family, SOCK_DGRAM, &address, &len);
	fd[b] = socket((int)family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	connect(fd[b], &address.any, len);
}

/* A lazy one connects when it sends, and the other side has what it sent before it answers. */
ACT void new_client(int to, int listener, unsigned int lazy)
{
	union address a = { 0 };
	socklen_t len = sizeof(a);
	int one = 1;

	getsockname(fd[listener], &a.any, &len);
	fd[to] = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (lazy)
		setsockopt(fd[to], IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one));
	connect(fd[to], &a.any, len);
}

ACT void accept_from(int to, int listener)
{
	fd[to] = accept4(fd[listener], NULL, NULL, SOCK_NONBLOCK);
}

ACT void new_timerfd(int to, unsigned int ns)
{
	fd[to] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	timerfd_settime(fd[to], 0, &(struct itimerspec){ .it_value.tv_nsec = ns % 1000000000 }, NULL);
}

ACT void new_signalfd(int to)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd[to] = signalfd(-1, &set, SFD_NONBLOCK);
}

ACT void new_inotify(int to)
{
	fd[to] = inotify_init1(IN_NONBLOCK);
	inotify_add_watch(fd[to], "/tmp", IN_ALL_EVENTS);
}

ACT void new_pidfd(int to)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	fd[to] = (int)syscall(SYS_pidfd_open, pid, 0);
}

ACT void new_io_uring(int to)
{
	memset(&uring[to], 0, sizeof(uring[to]));
	fd[to] = (int)syscall(SYS_io_uring_setup, 4, &uring[to]);
}

/*
 * Nothing, which is done at once; to be told what is ready, once or again and again; or an eventfd
 * that is told what is done.
 */
ACT void uring_submit(int file, unsigned int what, int place, unsigned int events)
{
	const struct io_uring_params *p = &uring[file];
	size_t bytes = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	struct io_uring_sqe *sqe;
	unsigned int tail;
	char *sq;

	if (what % 4 == 3) {
		syscall(SYS_io_uring_register, fd[file], IORING_REGISTER_EVENTFD, &fd[place], 1);
		return;
	}
	sq = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd[file], IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p->sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd[file],
		   IORING_OFF_SQES);
	if (sq != MAP_FAILED && sqe != MAP_FAILED && p->sq_entries) {
		tail = *(unsigned int *)(sq + p->sq_off.tail);
		*sqe = (struct io_uring_sqe){
			.opcode = what % 4 ? IORING_OP_POLL_ADD : IORING_OP_NOP,
			.fd = fd[place],
			.len = what % 4 == 2 ? IORING_POLL_ADD_MULTI : 0,
			.poll32_events = events,
		};
		((unsigned int *)(sq + p->sq_off.array))[tail % p->sq_entries] = 0;
		__atomic_store_n((unsigned int *)(sq + p->sq_off.tail), tail + 1, __ATOMIC_RELEASE);
		syscall(SYS_io_uring_enter, fd[file], 1, 0, 0, NULL, 0);
	}
	if (sq != MAP_FAILED)
		munmap(sq, bytes);
	if (sqe != MAP_FAILED)
		munmap(sqe, p->sq_entries * sizeof(*sqe));
}

ACT void new_epoll(int to)
{
	fd[to] = epoll_create1(0);
}

ACT void open_file(int to, unsigned int which)
{
	static const char *const names[] = {
		"/proc/self/mounts", "/proc/sys/kernel/hostname", "/dev/null", "/tmp", "/tmp/file",
		"/dev/ptmx", "/proc/kmsg", "/dev/zero",
	};

	fd[to] = open(names[which % 8], O_RDWR | O_NONBLOCK | (which % 8 == 4 ? O_CREAT : 0), 0600);
	if (fd[to] < 0)
		fd[to] = open(names[which % 8], O_RDONLY | O_NONBLOCK);
}

ACT void write_to(int file, unsigned int bytes)
{
	static const char zeros[65536];
	uint64_t one = 1;

	if (bytes == 8)
		write(fd[file], &one, 8);
	else
		write(fd[file], zeros, bytes % sizeof(zeros));
}

ACT void read_from(int file, unsigned int bytes)
{
	char buffer[4096];

	read(fd[file], buffer, bytes % sizeof(buffer));
}

ACT void send_to(int file, unsigned int bytes, unsigned int flags)
{
	static const char zeros[65536];

	send(fd[file], zeros, bytes % sizeof(zeros), (int)flags | MSG_NOSIGNAL | MSG_DONTWAIT);
}

ACT void receive(int file, unsigned int bytes, unsigned int flags)
{
	char buffer[4096];

	recv(fd[file], buffer, bytes % sizeof(buffer), (int)flags | MSG_DONTWAIT);
}

ACT void shut_down(int file, unsigned int how)
{
	shutdown(fd[file], (int)how);
}

/* Closes with a reset, has a low-water mark, or is told that there is no more room. */
ACT void set_socket(int file, unsigned int option, unsigned int value)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	int v = (int)value;

	switch (option % 4) {
	case 0:
		setsockopt(fd[file], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		break;
	case 1:
		setsockopt(fd[file], SOL_SOCKET, SO_RCVLOWAT, &v, sizeof(v));
		break;
	case 2:
		setsockopt(fd[file], SOL_SOCKET, SO_SNDBUF, &v, sizeof(v));
		break;
	default:
		setsockopt(fd[file], SOL_SOCKET, SO_OOBINLINE, &v, sizeof(v));
	}
}

/* The peer is gone: a connection that nobody accepted, or to where nobody listens. */
ACT void disconnect(int file)
{
	struct sockaddr a = { .sa_family = AF_UNSPEC };

	connect(fd[file], &a, sizeof(a));
}

ACT void close_place(int place)
{
	int file = fd[place];

	fd[place] = -1;
	if (file >= 0)
		close(file);
}

ACT void duplicate(int from, int to)
{
	fd[to] = dup(fd[from]);
}

/* Another file under the same number. */
ACT void replace(int from, int to)
{
	if (fd[from] >= 0 && fd[to] >= 0)
		dup2(fd[from], fd[to]);
}

ACT void pass(int over, int place)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = control, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd[place], sizeof(int));
	sendmsg(fd[over], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ACT void receive_passed(int over, int to)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *head;

	if (recvmsg(fd[over], &message, MSG_DONTWAIT) < 0)
		return;
	head = CMSG_FIRSTHDR(&message);
	if (head && head->cmsg_type == SCM_RIGHTS)
		memcpy(&fd[to], CMSG_DATA(head), sizeof(int));
}

/* Those who watch queues. */

ACT void poll_place(int place, unsigned int events, unsigned int ms)
{
	poll(&(struct pollfd){ .fd = fd[place], .events = (short)events }, 1, (int)(ms % 8));
}

ACT void epoll_control(int epoll, unsigned int op, int place, unsigned int events)
{
	struct epoll_event ev = { .events = events };

	epoll_ctl(fd[epoll], (int)op, fd[place], &ev);
}

ACT void epoll_get(int epoll, unsigned int ms)
{
	struct epoll_event ev[4];

	epoll_wait(fd[epoll], ev, 4, (int)(ms % 8));
}

ACT void ioctl_on(int place, unsigned int request)
{
	int value = 1;

	ioctl(fd[place], request, &value);
}

ACT void show_fdinfo(int place)
{
	char name[64], text[4096];
	int info;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd[place]);
	info = open(name, O_RDONLY);
	while (info >= 0 && read(info, text, sizeof(text)) > 0)
		;
	close(info);
}

/* Processes and threads. */

ACT void fork_child(unsigned int what, int queue, int place)
{
	pid_t pid = fork();
	struct ukevent ev[4];

	if (pid < 0)
		return;
	if (pid > 0) {
		if (!(what & 8))
			waitpid(pid, NULL, 0);
		return;
	}
	switch (what & 7) {
	case 0:
		break;
	case 1:
		close(fd[queue]);
		close(fd[place]);
		break;
	case 2:
		kevent_get_events(fd[queue], 0, 4, NULL, ev, 0);
		break;
	case 3:
		take(queue % QUEUES, 9, 4);
		break;
	case 4:
		write_to(place, 8);
		break;
	case 5:
		ev[0] = (struct ukevent){ .id = (uint64_t)fd[place], .type = KEVENT_POLL, .event = POLLIN };
		kevent_ctl(fd[queue], KEVENT_CTL_SET, 1, ev);
		break;
	case 6:
		unmap(queue % QUEUES, 0);
		show_fdinfo(queue);
		break;
	default:
		kevent_get_events(fd[queue], 1, 4, &(struct __kernel_timespec){ .tv_nsec = 1000000 }, ev,
				  0);
	}
	_exit(0);
}

ACT void disturb(unsigned int who, int signal)
{
	if (thread[who % THREADS])
		pthread_kill(thread[who % THREADS], signal);
}

/* From here on this thread has a table of files of its own, or its process limits of its own. */
ACT void own_files(void)
{
	unshare(CLONE_FILES);
}

static inline void write_file(const char *name, const char *text)
{
	int file = open(name, O_WRONLY);

	if (file >= 0 && write(file, text, strlen(text)) < 0)
		errno = 0;
	close(file);
}

ACT void own_limit(unsigned int watches)
{
	char text[16];

	if (unshare(CLONE_NEWUSER))
		return;
	snprintf(text, sizeof(text), "%u", watches);
	write_file("/proc/sys/user/max_kevent_watches", text);
}

ACT void limit_files(unsigned int files)
{
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ files, 4096 });
}

/* What the kernel allocates or copies for the nr-th time from here on fails, in this thread. */
ACT void fail_nth(unsigned int nr)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", nr);
	write_file("/proc/thread-self/fail-nth", text);
}

ACT void nap(unsigned int us)
{
	usleep(us % 4096);
}

/* Before and after. */

static inline void ignore(int signal)
{
	(void)signal;
}

static int over;

/* One more thread is at its end. */
ACT void thread_over(void)
{
	__atomic_add_fetch(&over, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &over, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Waits until another one than these is. How many are. */
ACT int threads_over(int seen, unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	syscall(SYS_futex, &over, FUTEX_WAIT, seen, &ts, NULL, 0);
	return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static inline void end_thread(int signal)
{
	(void)signal;
	thread_over();
	syscall(SYS_exit, 0);
}

/*
 * Once: lets clients be lazy; and fail-nth reach what programs ask the kernel for, which by default
 * is mostly spared and told of on the console. Not every kernel has these files.
 */
ACT void prepare(void)
{
	/* On both sides, without cookies. */
	write_file("/proc/sys/net/ipv4/tcp_fastopen", "1543");
	write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/failslab/verbose", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
}

/* The first descriptor that a program may get: all below are taken. */
static int lowest;

static inline void take_descriptors(void)
{
	int file;

	for (file = 0; file < 256; file++)
		if (fcntl(file, F_GETFD) >= 0)
			lowest = file + 1;
	for (file = dup(0); file >= 0 && file < lowest; file = dup(0))
		;
	close(file);
}

/* Once in a process. */
ACT void begin_process(void)
{
	struct sigaction interrupt = { .sa_handler = ignore }, fault = { .sa_handler = end_thread };
	int memory = memfd_create("plain", 0);

	fault.sa_flags = SA_NODEFER;
	sigaction(SIGUSR1, &interrupt, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Who has it blocked for a signalfd gets it all the same. */
	signal(SIGUSR2, SIG_IGN);
	ftruncate(memory, 2 * PAGE);
	plain = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mmap(plain, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, 0);
	readonly = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, memory, 0);
	rooms = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fresh = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	low = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		   -1, 0);
	close(memory);
	take_descriptors();
}

ACT void name_thread(unsigned int number)
{
	thread[number % THREADS] = pthread_self();
}

/* One by one, as exit would close them all where nobody sees it. The process can run another. */
ACT void end_program(void)
{
	int place;

	fail_nth(0);
	for (place = PLACES - 1; place >= 0; place--)
		close_place(place);
	for (place = 0; place < QUEUES; place++)
		if (ring[place].ring)
			munmap(ring[place].ring,
			       kevent_ring_bytes(kevent_ring_slots(&ring[place])));
	mmap(rooms, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	     -1, 0);
	syscall(SYS_close_range, lowest, ~0U, 0);
	memset(ring, 0, sizeof(ring));
	memset(thread, 0, sizeof(thread));
	nr_held = 0;
	over = 0;
}
