/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of the interface share: requests, time, and threads that are seen to sleep. */
#ifndef KEVENT_SELFTEST_HARNESS_H
#define KEVENT_SELFTEST_HARNESS_H

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <linux/time_types.h>

#include "kselftest_harness.h"
#include "kevent.h"

#define NS_PER_MS	1000000ULL
#define NS_PER_S	1000000000ULL

/* What a slow machine may need for anything that takes no time. */
#define GENEROUS_NS	(10 * NS_PER_S * patience())

/* How many times slower than others the machine is, as who runs the tests knows. */
static inline unsigned int patience(void)
{
	const char *factor = getenv("KEVENT_PATIENCE");

	return factor && atoi(factor) > 1 ? (unsigned int)atoi(factor) : 1;
}

/* How often two meet, which is @num times where nothing is slow. */
static inline uint32_t races(uint32_t num)
{
	return num / patience();
}

/* True: @call returned -1 and set errno to @error. */
#define FAILS(error, call)	(errno = 0, (call) == -1 && errno == (error))

/* Without kevent, nothing of a program can be tested. */
static void __attribute__((constructor)) need_kevent(void)
{
	if (FAILS(ENOSYS, kevent_init(NULL, 0, KEVENT_INIT_QUERY)))
		ksft_exit_skip("the kernel has no kevent\n");
}

/* After all tests have put themselves on the list. */
static void __attribute__((constructor)) be_patient(void)
{
	struct __fixture_metadata *fixture;
	struct __test_metadata *test;

	for (fixture = __fixture_list; fixture; fixture = fixture->next)
		for (test = fixture->tests; test; test = test->next)
			test->timeout *= (int)patience();
}

/* Return flags that only a slot of the ring has. */
#define SLOT_FLAGS	((int)(KEVENT_RET_TAKEN | KEVENT_RET_FINISHED | KEVENT_RET_LAP_MASK | \
			       KEVENT_RET_OWNER_MASK))

/* An int, so that it compares with what the calls return. */
#define ARRAY_LEN(a)	((int)(sizeof(a) / sizeof((a)[0])))

static inline struct ukevent user_request(uint64_t id, uint32_t mask, uint32_t flags)
{
	return (struct ukevent){
		.id = id,
		.type = KEVENT_USER,
		.event = mask,
		.req_flags = flags,
		.user = ~id,
	};
}

static inline int user_ctl(int fd, unsigned int cmd, uint64_t id, uint32_t mask, uint32_t flags)
{
	struct ukevent request = user_request(id, mask, flags);

	return kevent_ctl(fd, cmd, 1, &request);
}

static inline int add_user(int fd, uint64_t id, uint32_t mask, uint32_t flags)
{
	return user_ctl(fd, KEVENT_CTL_ADD, id, mask, flags);
}

static inline int modify_user(int fd, uint64_t id, uint32_t mask, uint32_t flags)
{
	return user_ctl(fd, KEVENT_CTL_MODIFY, id, mask, flags);
}

static inline int remove_user(int fd, uint64_t id)
{
	return user_ctl(fd, KEVENT_CTL_REMOVE, id, 0, 0);
}

/* The written-back return flags of a successful REMOVE, else -1. */
static inline int remove_flags(int fd, uint64_t id)
{
	struct ukevent request = user_request(id, 0, 0);

	return kevent_ctl(fd, KEVENT_CTL_REMOVE, 1, &request) == 1 ? (int)request.ret_flags : -1;
}

static inline int ready_data(int fd, uint64_t id, uint32_t mask, uint64_t data)
{
	struct ukevent request = user_request(id, mask, 0);

	request.data = data;
	return kevent_ctl(fd, KEVENT_CTL_READY, 1, &request);
}

static inline int ready(int fd, uint64_t id, uint32_t mask)
{
	return ready_data(fd, id, mask, 0);
}

/* Adds users first .. first + num - 1 with mask 1, num at most KEVENT_BATCH_MAX. */
static inline int add_users(int fd, uint64_t first, unsigned int num)
{
	struct ukevent *batch = aligned_alloc(sizeof(*batch), num * sizeof(*batch));
	unsigned int i;
	int done;

	if (!batch)
		return -1;
	for (i = 0; i < num; i++)
		batch[i] = user_request(first + i, 1, 0);
	done = kevent_ctl(fd, KEVENT_CTL_ADD, num, batch);
	free(batch);
	return done;
}

/* Fires users first .. first + num - 1, one call each. Returns how many. */
static inline int ready_users(int fd, uint64_t first, unsigned int num)
{
	unsigned int i;

	for (i = 0; i < num; i++)
		if (ready(fd, first + i, 1) != 1)
			break;
	return (int)i;
}

/* Lets one sleeper go. */
static inline int kick(int fd)
{
	return kevent_ctl(fd, KEVENT_CTL_READY, 0, NULL);
}

/* The return flags and the error of a record or an event, as ints like the constants. */
static inline int flags_of(const struct ukevent *ev)
{
	return (int)ev->ret_flags;
}

static inline int error_of(const struct ukevent *ev)
{
	return (int)ev->error;
}

/* What is there, without waiting. */
static inline int get_now(int fd, unsigned int max, struct ukevent *buf)
{
	return kevent_get_events(fd, 0, max, NULL, buf, 0);
}

/* The id of the next event of the ring, which is finished; -1: none. */
static inline long long take_id(struct kevent_consumer *c)
{
	struct ukevent *ev = kevent_ring_take(c);
	long long id;

	if (!ev)
		return -1;
	id = (long long)ev->id;
	kevent_ring_finish(c, ev);
	return id;
}

static inline uint64_t now_on(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return now_on(CLOCK_MONOTONIC);
}

static inline struct __kernel_timespec ns_to_timespec(uint64_t ns)
{
	return (struct __kernel_timespec){
		.tv_sec = (long long)(ns / NS_PER_S),
		.tv_nsec = (long long)(ns % NS_PER_S),
	};
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
}

/* Two fresh pages; the second has protection @second. NULL: no memory. */
static inline char *two_pages(int second)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *mem = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);

	if (mem == MAP_FAILED || mprotect(mem + page, page, second))
		return NULL;
	return mem;
}

/* Room for @num records, of which the first @before lie before the second of two pages. */
static inline struct ukevent *across(char *pages, unsigned int before)
{
	return (struct ukevent *)(pages + sysconf(_SC_PAGESIZE)) - before;
}

/* A file of /proc, or an empty string. */
static inline char *slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = 0, n;

	while (fd >= 0 && (size_t)len < size - 1 &&
	       (n = read(fd, buf + len, size - 1 - (size_t)len)) > 0)
		len += n;
	if (fd >= 0)
		close(fd);
	buf[len] = '\0';
	return buf;
}

static inline bool spit(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* The number of registrations according to fdinfo, -1: it does not say. */
static inline int registrations(int fd)
{
	char path[64], text[4096], *found;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	found = strstr(slurp(path, text, sizeof(text)), "registrations:");
	return found ? atoi(found + strlen("registrations:")) : -1;
}

/* True: the task sleeps, interruptibly, in system call @nr. */
static inline bool task_sleeps(pid_t tid, long nr)
{
	char path[64], text[512], *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	state = strrchr(slurp(path, text, sizeof(text)), ')');
	if (!state || strncmp(state, ") S", 3))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	slurp(path, text, sizeof(text));
	/* Without this file, any sleep counts. */
	return text[0] == '\0' || (text[0] >= '0' && text[0] <= '9' && atol(text) == nr);
}

/* Waits until the task sleeps in system call @nr. */
static inline bool task_fell_asleep(pid_t tid, long nr)
{
	uint64_t until = now_ns() + 2 * GENEROUS_NS;

	while (!task_sleeps(tid, nr)) {
		if (now_ns() > until)
			return false;
		nap();
	}
	return true;
}

/* A thread that makes one call, which is expected to sleep. */
struct sleeper {
	/* The call. */
	long nr;		/* __NR_kevent_wait, or __NR_kevent_get_events */
	int fd;
	unsigned int num;	/* num, max_nr */
	unsigned int old;	/* old_uidx, min_nr */
	const void *timeout;
	unsigned int flags;
	struct ukevent *buf;

	/* What came of it. */
	int ret;
	int error;
	uint64_t ns;		/* how long it took */

	pthread_t thread;
	pid_t tid;
	bool done;
};

static inline void sleeper_call(struct sleeper *s)
{
	uint64_t begin = now_ns();

	errno = 0;
	if (s->nr == __NR_kevent_wait)
		s->ret = kevent_wait(s->fd, s->num, s->old, s->timeout, s->flags);
	else
		s->ret = kevent_get_events(s->fd, s->old, s->num, s->timeout, s->buf, s->flags);
	s->error = errno;
	s->ns = now_ns() - begin;
}

static inline void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	sleeper_call(s);
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static inline bool sleeper_is_done(struct sleeper *s)
{
	return __atomic_load_n(&s->done, __ATOMIC_ACQUIRE);
}

/* Starts the thread. True: it sleeps in its call. */
static inline bool sleeper_start(struct sleeper *s)
{
	uint64_t until = now_ns() + 2 * GENEROUS_NS;
	pid_t tid;

	s->done = false;
	s->tid = 0;
	if (pthread_create(&s->thread, NULL, sleeper_main, s))
		return false;
	while (!(tid = __atomic_load_n(&s->tid, __ATOMIC_ACQUIRE)) || !task_sleeps(tid, s->nr)) {
		if (sleeper_is_done(s) || now_ns() > until)
			return false;
		nap();
	}
	return true;
}

/* Waits for the end of the call. False: it did not end. */
static inline bool sleeper_join(struct sleeper *s)
{
	uint64_t until = now_ns() + 2 * GENEROUS_NS;

	while (!sleeper_is_done(s)) {
		if (now_ns() > until)
			return false;
		nap();
	}
	return pthread_join(s->thread, NULL) == 0;
}

/* Waits until the thread either sleeps or has returned. True: it sleeps. */
static inline bool sleeper_still_sleeps(struct sleeper *s)
{
	uint64_t until = now_ns() + 2 * GENEROUS_NS;

	while (now_ns() < until) {
		if (sleeper_is_done(s))
			return false;
		if (task_sleeps(s->tid, s->nr))
			return true;
		sched_yield();
	}
	return false;
}

/* Of @num sleepers that one call woke, how many return; all others sleep on. -1: neither. */
static inline int sleepers_done(struct sleeper *s, int num)
{
	int i, done = 0;

	for (i = 0; i < num; i++)
		if (!sleeper_still_sleeps(&s[i])) {
			if (!sleeper_is_done(&s[i]))
				return -1;
			done++;
		}
	return done;
}

static inline void wait_sleeper(struct sleeper *s, const struct kevent_consumer *c,
				const void *timeout)
{
	*s = (struct sleeper){
		.nr = __NR_kevent_wait,
		.fd = c->fd,
		.num = kevent_ring_slots(c),
		.old = (uint32_t)kevent_ring_head(c),
		.timeout = timeout,
	};
}

static inline void get_sleeper(struct sleeper *s, int fd, unsigned int min, unsigned int max,
			       const void *timeout, struct ukevent *buf)
{
	*s = (struct sleeper){
		.nr = __NR_kevent_get_events,
		.fd = fd,
		.num = max,
		.old = min,
		.timeout = timeout,
		.buf = buf,
	};
}

/* A handler that counts, without SA_RESTART. */
static int signals_handled;

static inline void count_signal(int sig)
{
	(void)sig;
	__atomic_add_fetch(&signals_handled, 1, __ATOMIC_RELAXED);
}

static inline int handle_signal(int sig)
{
	struct sigaction act = { .sa_handler = count_signal };

	__atomic_store_n(&signals_handled, 0, __ATOMIC_RELAXED);
	return sigaction(sig, &act, NULL);
}

#endif
