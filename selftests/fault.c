// SPDX-License-Identifier: GPL-2.0
/*
 * Each call again and again, and each time the next allocation or user copy in it fails, until none
 * is left to fail: fault injection by /proc/self/fail-nth. A call that fails has done nothing, one
 * that succeeds in spite of it has done all, and the queue goes on.
 *
 * What a batch of kevent_ctl() and the buffer of kevent_get_events() are copied by cannot be told
 * to fail; that they do is tested with memory that is not there, in ctl and get.
 */
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "harness.h"
#include "sockets.h"
#include "sources.h"

#define FAIL_NTH	"/proc/self/fail-nth"
#define FAULTS		"/sys/kernel/debug/"

/* Faults in one call, beyond which something goes round. */
#define MANY_FAULTS	20000

/* Registrations that do not fit into one chunk of a table, nor into a few records. */
#define BATCH		200

/* What a call has to work with. */
struct world {
	int queue;
	struct kevent_consumer ring;
	int file, peer;			/* a file, and another one that belongs to it */
	bool ringed;
	unsigned int events;		/* untaken events */
};

struct call {
	void (*prepare)(struct world *w);
	/* Returns what the call does. */
	int (*run)(struct world *w);
	/* What it returns when nothing fails. */
	int full;
	/* Registrations that one more in its result is worth. */
	int adds;
	/* Faults that there are at least. */
	int faults;
};

/* All kinds of faults that there are, also in what may sleep, and without a word. */
static bool arm(void)
{
	return spit(FAULTS "failslab/ignore-gfp-wait", "N") &&
	       spit(FAULTS "failslab/verbose", "0") &&
	       spit(FAULTS "fail_page_alloc/ignore-gfp-wait", "N") &&
	       spit(FAULTS "fail_page_alloc/ignore-gfp-highmem", "N") &&
	       spit(FAULTS "fail_page_alloc/min-order", "0") &&
	       spit(FAULTS "fail_page_alloc/verbose", "0") &&
	       spit(FAULTS "fail_usercopy/verbose", "0");
}

static void begin_faults(int control, int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	if (pwrite(control, text, (size_t)len, 0) != len)
		_exit(99);
}

/* Whether the fault that was begun has come. */
static bool end_faults(int control)
{
	char text[16] = "";
	/* That is copied to the user, too: it fails if nothing before it has. */
	bool came = pread(control, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	while (pwrite(control, "0", 1, 0) != 1)
		;
	return came;
}

static struct world new_world(bool ringed)
{
	struct world w = { .file = -1, .peer = -1, .ringed = ringed };

	if (!ringed)
		w.queue = kevent_init(NULL, 0, 0);
	else if (!kevent_ring_open(&w.ring, 16, 0, 1))
		w.queue = w.ring.fd;
	else
		w.queue = -1;
	return w;
}

static void end_world(struct world *w)
{
	if (w->file >= 0)
		close(w->file);
	if (w->peer >= 0)
		close(w->peer);
	if (w->ringed)
		kevent_ring_close(&w->ring);
	else
		close(w->queue);
}

/* The untaken events, each of which is there once. */
static unsigned int drain(struct world *w)
{
	struct ukevent ev[BATCH];
	unsigned int all = 0;
	int n;

	while ((n = get_now(w->queue, BATCH, ev)) > 0)
		all += (unsigned int)n;
	return all;
}

static bool goes_on(struct world *w)
{
	struct ukevent ev;

	return add_user(w->queue, 1U << 30, 1, 0) == 1 && ready(w->queue, 1U << 30, 1) == 1 &&
	       get_now(w->queue, 1, &ev) == 1 && ev.id == 1U << 30 &&
	       remove_user(w->queue, 1U << 30) == 1;
}

/* True: the call did nothing, or as much as it says, and the queue is as good as before. */
static bool is_clean(const struct call *call, struct world *w, int before, int ret, int error)
{
	int adds = ret > 0 ? ret * call->adds : 0;

	if (ret < 0 && error != ENOMEM && error != EFAULT)
		return false;
	if (ret >= 0 && ret > call->full)
		return false;
	return registrations(w->queue) == before + adds && drain(w) == w->events && goes_on(w);
}

static void every_fault(struct __test_metadata *_metadata, const struct call *call, bool ringed)
{
	int control = open(FAIL_NTH, O_RDWR | O_CLOEXEC), nth, failed = 0, before, ret, error;
	bool came = true;
	struct world w;

	if (control < 0)
		SKIP(return, "no fault injection: errno %d", errno);
	ASSERT_TRUE(arm());
	for (nth = 1; came; nth++) {
		ASSERT_GT(MANY_FAULTS, nth);
		w = new_world(ringed);
		ASSERT_LE(0, w.queue);
		if (call->prepare)
			call->prepare(&w);
		before = registrations(w.queue);

		begin_faults(control, nth);
		ret = call->run(&w);
		error = errno;
		came = end_faults(control);

		failed += came && ret != call->full;
		if (!came)
			EXPECT_EQ(call->full, ret);
		EXPECT_TRUE(is_clean(call, &w, before, ret, error)) {
			TH_LOG("fault %d: returned %d, errno %d", nth, ret, error);
		}
		end_world(&w);
	}
	/* The last round had none. */
	TH_LOG("%d faults, by which the call failed %d times", nth - 2, failed);
	EXPECT_LE(call->faults, nth - 2);
	close(control);
}

#define EVERY_FAULT(name, ...)						\
	TEST(in_##name)							\
	{								\
		static const struct call call = { __VA_ARGS__ };	\
									\
		every_fault(_metadata, &call, false);			\
		every_fault(_metadata, &call, true);			\
	}

/*
 * Queues.
 */

static int done(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int init_plain(struct world *w)
{
	(void)w;
	return done(kevent_init(NULL, 0, 0));
}

static int init_ring(struct world *w)
{
	(void)w;
	return done(kevent_init(NULL, 1024, 0));
}

static int init_mapped(struct world *w)
{
	size_t bytes = kevent_ring_bytes(64);
	void *place = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd, error;

	(void)w;
	if (place == MAP_FAILED)
		return -1;
	fd = kevent_init(place, 64, 0);
	error = errno;
	munmap(place, bytes);
	errno = error;
	return done(fd);
}

static int open_device(struct world *w)
{
	(void)w;
	return done(open("/dev/kevent", O_RDWR));
}

static int map_again(struct world *w)
{
	size_t bytes = kevent_ring_bytes(16);
	void *ring;

	if (!w->ringed)
		return done(kevent_init(NULL, 16, 0));
	ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, w->queue, 0);
	return ring == MAP_FAILED ? -1 : munmap(ring, bytes);
}

EVERY_FAULT(init_plain, .run = init_plain, .faults = 2)
EVERY_FAULT(init_ring, .run = init_ring, .faults = 3)
EVERY_FAULT(init_mapped, .run = init_mapped, .faults = 3)
EVERY_FAULT(open_device, .run = open_device, .faults = 2)
EVERY_FAULT(map_again, .run = map_again, .faults = 1)

/*
 * ADD.
 */

static int one_user(struct world *w)
{
	return add_user(w->queue, 1, 1, 0);
}

static int many_users(struct world *w)
{
	return add_users(w->queue, 0, BATCH);
}

static int one_timer(struct world *w)
{
	return add_timer(w->queue, 1, NS_PER_S * 1000, 0, 0);
}

static int one_file(struct world *w)
{
	return add_file(w->queue, w->file, POLLIN, KEVENT_REQ_ET);
}

static int exclusive_file(struct world *w)
{
	return add_file(w->queue, w->file, POLLIN, KEVENT_REQ_EXCLUSIVE);
}

static int one_socket(struct world *w)
{
	return add_socket(w->queue, w->file, RECV, KEVENT_REQ_ET);
}

static void an_eventfd(struct world *w)
{
	w->file = eventfd(0, EFD_NONBLOCK);
}

static void a_timerfd(struct world *w)
{
	w->file = timerfd_create(CLOCK_MONOTONIC, 0);
}

static void a_signalfd(struct world *w)
{
	sigset_t none;

	sigemptyset(&none);
	w->file = signalfd(-1, &none, 0);
}

static void an_inotify(struct world *w)
{
	w->file = inotify_init();
}

static void a_pipe(struct world *w)
{
	int fd[2];

	if (!pipe(fd)) {
		w->file = fd[0];
		w->peer = fd[1];
	}
}

/* It has two wait queues. */
static void a_terminal(struct world *w)
{
	openpty(&w->file, &w->peer, NULL, NULL, NULL);
}

static void a_pair(struct world *w)
{
	int fd[2];

	if (!socketpair(AF_UNIX, SOCK_STREAM, 0, fd)) {
		w->file = fd[0];
		w->peer = fd[1];
	}
}

static void a_tcp_socket(struct world *w)
{
	struct sockaddr_in any = { .sin_family = AF_INET };

	w->file = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(w->file, (struct sockaddr *)&any, sizeof(any)) || listen(w->file, 4))
		w->file = -1;
}

static void a_queue(struct world *w)
{
	w->file = kevent_init(NULL, 16, 0);
}

EVERY_FAULT(add_user, .run = one_user, .full = 1, .adds = 1)
EVERY_FAULT(add_users, .run = many_users, .full = BATCH, .adds = 1, .faults = 3)
EVERY_FAULT(add_timer, .run = one_timer, .full = 1, .adds = 1, .faults = 1)
EVERY_FAULT(add_eventfd, an_eventfd, one_file, 1, 1, 1)
EVERY_FAULT(add_timerfd, a_timerfd, one_file, 1, 1, 1)
EVERY_FAULT(add_signalfd, a_signalfd, one_file, 1, 1, 1)
EVERY_FAULT(add_inotify, an_inotify, one_file, 1, 1, 1)
EVERY_FAULT(add_pipe, a_pipe, one_file, 1, 1, 1)
EVERY_FAULT(add_terminal, a_terminal, one_file, 1, 1, 3)
EVERY_FAULT(add_unix_socket, a_pair, one_socket, 1, 1, 1)
EVERY_FAULT(add_tcp_socket, a_tcp_socket, one_socket, 1, 1, 1)
EVERY_FAULT(add_queue, a_queue, one_file, 1, 1, 2)
EVERY_FAULT(add_exclusive, an_eventfd, exclusive_file, 1, 1, 3)

/*
 * What is there is changed.
 */

static void has_user(struct world *w)
{
	one_user(w);
}

static void has_timer(struct world *w)
{
	one_timer(w);
}

static void has_eventfd(struct world *w)
{
	an_eventfd(w);
	one_file(w);
}

static void has_terminal(struct world *w)
{
	a_terminal(w);
	one_file(w);
}

static void has_exclusive(struct world *w)
{
	an_eventfd(w);
	exclusive_file(w);
}

static void has_queue(struct world *w)
{
	a_queue(w);
	one_file(w);
}

static void has_event(struct world *w)
{
	one_user(w);
	ready(w->queue, 1, 1);
	w->events = 1;
}

static int set_user_again(struct world *w)
{
	return user_ctl(w->queue, KEVENT_CTL_SET, 1, 3, 0);
}

static int set_user_anew(struct world *w)
{
	return user_ctl(w->queue, KEVENT_CTL_SET, 2, 1, 0);
}

static int modify_timer(struct world *w)
{
	return timer_ctl(w->queue, KEVENT_CTL_MODIFY, 1, NS_PER_S * 2000, 0, 0);
}

static int modify_the_file(struct world *w)
{
	return modify_file(w->queue, w->file, POLLIN | POLLPRI, KEVENT_REQ_ET);
}

static int make_exclusive(struct world *w)
{
	return modify_file(w->queue, w->file, POLLIN, KEVENT_REQ_EXCLUSIVE);
}

static int remove_the_user(struct world *w)
{
	return remove_user(w->queue, 1);
}

static int remove_the_timer(struct world *w)
{
	return remove_timer(w->queue, 1);
}

static int remove_the_file(struct world *w)
{
	return remove_file(w->queue, w->file);
}

/* The event of what is removed goes with it. */
static int remove_with_event(struct world *w)
{
	int ret = remove_user(w->queue, 1);

	if (ret == 1)
		w->events = 0;
	return ret;
}

EVERY_FAULT(set_again, has_user, set_user_again, 1, 0, 0)
EVERY_FAULT(set_anew, has_user, set_user_anew, 1, 1, 0)
EVERY_FAULT(modify_timer, has_timer, modify_timer, 1, 0, 0)
EVERY_FAULT(modify_file, has_eventfd, modify_the_file, 1, 0, 2)
EVERY_FAULT(modify_terminal, has_terminal, modify_the_file, 1, 0, 3)
EVERY_FAULT(make_exclusive, has_eventfd, make_exclusive, 1, 0, 3)
EVERY_FAULT(modify_exclusive, has_exclusive, modify_the_file, 1, 0, 1)
EVERY_FAULT(modify_queue, has_queue, modify_the_file, 1, 0, 1)
EVERY_FAULT(remove_user, has_user, remove_the_user, 1, -1, 0)
EVERY_FAULT(remove_timer, has_timer, remove_the_timer, 1, -1, 0)
EVERY_FAULT(remove_file, has_eventfd, remove_the_file, 1, -1, 0)
EVERY_FAULT(remove_exclusive, has_exclusive, remove_the_file, 1, -1, 0)
EVERY_FAULT(remove_queue, has_queue, remove_the_file, 1, -1, 0)
EVERY_FAULT(remove_with_event, has_event, remove_with_event, 1, -1, 0)

/*
 * Events.
 */

static int fire_user(struct world *w)
{
	int ret = ready(w->queue, 1, 1);

	w->events = ret == 1;
	return ret;
}

static int get_it(struct world *w)
{
	struct __kernel_timespec soon = ns_to_timespec(NS_PER_MS);
	struct ukevent ev[4];
	int ret = kevent_get_events(w->queue, 1, 4, &soon, ev, 0);

	if (ret == 1)
		w->events = 0;
	return ret;
}

static int get_nothing(struct world *w)
{
	struct __kernel_timespec soon = ns_to_timespec(NS_PER_MS);
	struct ukevent ev[4];

	return kevent_get_events(w->queue, 1, 4, &soon, ev, 0);
}

static int wait_a_little(struct world *w)
{
	struct __kernel_timespec soon = ns_to_timespec(NS_PER_MS);
	sigset_t none;
	struct kevent_wait_arg arg = {
		.timeout = (uintptr_t)&soon,
		.sigmask = (uintptr_t)&none,
		.sigmask_size = 8,
		.clock = CLOCK_MONOTONIC,
	};

	sigemptyset(&none);
	if (!w->ringed)
		return get_nothing(w);
	return kevent_wait(w->queue, 1, (uint32_t)kevent_ring_head(&w->ring), &arg,
			   KEVENT_FLAGS_EXT_ARG);
}

static int commit_all(struct world *w)
{
	if (!w->ringed)
		return 0;
	if (kevent_commit(w->queue, (uint32_t)kevent_ring_head(&w->ring), 0) != 1)
		return -1;
	w->events = 0;
	return 0;
}

static int poll_queue(struct world *w)
{
	struct pollfd p = { .fd = w->queue, .events = POLLIN };

	return poll(&p, 1, 1) < 0 ? -1 : 0;
}

static int epoll_queue(struct world *w)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = epoll_create1(0), ret, error;

	if (fd < 0)
		return -1;
	ret = epoll_ctl(fd, EPOLL_CTL_ADD, w->queue, &ev);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

static int read_fdinfo(struct world *w)
{
	int n = registrations(w->queue);

	errno = ENOMEM;
	return n == 1 ? 0 : -1;
}

EVERY_FAULT(ready, has_user, fire_user, 1, 0, 0)
EVERY_FAULT(get_events, has_event, get_it, 1, 0, 1)
EVERY_FAULT(get_nothing, has_user, get_nothing, 0, 0, 1)
EVERY_FAULT(wait, has_user, wait_a_little, 0, 0, 1)
EVERY_FAULT(commit, has_event, commit_all, 0, 0, 0)
EVERY_FAULT(poll, has_event, poll_queue, 0, 0, 0)
EVERY_FAULT(epoll, has_event, epoll_queue, 0, 0, 1)
EVERY_FAULT(fdinfo, has_user, read_fdinfo, 0, 0, 1)

TEST_HARNESS_MAIN
