// SPDX-License-Identifier: GPL-2.0
/*
 * Timers. What is counted is compared with the clock, read before and after, and so is right on a
 * machine of any speed.
 */
#include <dirent.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sources.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x80
#endif

#define MS	NS_PER_MS
#define RACES	20000
#define FLOOR	100000ULL	/* ns between two runs of a callback */

FIXTURE(timer)
{
	int fd;
	struct ukevent ev[16];
};

FIXTURE_VARIANT(timer)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(timer, ring) { .slots = 4 };
FIXTURE_VARIANT_ADD(timer, no_ring) { .slots = 0 };

FIXTURE_SETUP(timer)
{
	self->fd = kevent_init(NULL, variant->slots, 0);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(timer)
{
	close(self->fd);
}

static const struct {
	uint32_t flag;
	clockid_t clock;
} clocks[] = {
	{ KEVENT_TIMER_MONOTONIC, CLOCK_MONOTONIC },
	{ KEVENT_TIMER_REALTIME, CLOCK_REALTIME },
	{ KEVENT_TIMER_BOOTTIME, CLOCK_BOOTTIME },
	{ KEVENT_TIMER_TAI, CLOCK_TAI },
};

/* By each clock, after a time and at a time: not too early, and once. */
TEST_F(timer, every_clock)
{
	int i, absolute;

	for (i = 0; i < ARRAY_LEN(clocks); i++)
		for (absolute = 0; absolute < 2; absolute++) {
			uint64_t begin = now_on(clocks[i].clock), wanted = begin + 20 * MS;
			uint32_t flags = clocks[i].flag | (absolute ? KEVENT_TIMER_ABSTIME : 0);

			ASSERT_EQ(1, add_timer(self->fd, 5, absolute ? wanted : 20 * MS, 0, flags));
			ASSERT_TRUE(get_one(self->fd, self->ev));
			EXPECT_LE(wanted, now_on(clocks[i].clock));
			EXPECT_EQ((uint32_t)KEVENT_TIMER, self->ev[0].type);
			EXPECT_EQ(5U, self->ev[0].id);
			EXPECT_EQ(~5ULL, self->ev[0].user);
			EXPECT_EQ((uint32_t)KEVENT_TIMER_FIRED, self->ev[0].fired);
			EXPECT_EQ((int)(KEVENT_RET_DONE | KEVENT_RET_COUNTED),
				  flags_of(&self->ev[0]));
			EXPECT_EQ(1U, self->ev[0].data);
			EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
			/* It stays, idle. */
			EXPECT_EQ(1, registrations(self->fd));
			EXPECT_EQ(1, remove_timer(self->fd, 5));
		}
}

/* A time that is over has come when the call returns; an interval counts what was missed. */
TEST_F(timer, past)
{
	uint64_t begin, end, now;

	ASSERT_EQ(1, add_timer(self->fd, 1, 0, 0, 0));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(1U, self->ev[0].data);

	ASSERT_EQ(1, add_timer(self->fd, 2, 1, 0, KEVENT_TIMER_ABSTIME));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(1U, self->ev[0].data);

	/* Since the begin of time, every 10 us. */
	begin = now_ns();
	ASSERT_EQ(1, add_timer(self->fd, 3, 0, 10000, KEVENT_TIMER_ABSTIME));
	ASSERT_LE(1, get_now(self->fd, 16, self->ev));
	end = now_ns();
	EXPECT_LE(begin / 10000, self->ev[0].data);
	EXPECT_GE(end / 10000 + 1, self->ev[0].data);
	ASSERT_EQ(1, remove_timer(self->fd, 3));

	now = now_on(CLOCK_REALTIME);
	ASSERT_EQ(1, add_timer(self->fd, 4, now - NS_PER_S, 0,
			       KEVENT_TIMER_ABSTIME | KEVENT_TIMER_REALTIME));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(4U, self->ev[0].id);
}

TEST_F(timer, refused)
{
	static const struct {
		uint32_t event, flags;
		uint64_t first, interval;
	} bad[] = {
		{ 0, 0, 1, 0 },
		{ 2, 0, 1, 0 },
		{ 3, 0, 1, 0 },
		{ 1, 0x20000, 1, 0 },
		{ 1, 0x400000, 1, 0 },
		{ 1, 0xf00000, 1, 0 },
		{ 1, 0x1000000, 1, 0 },
		{ 1, KEVENT_REQ_EXCLUSIVE, 1, 0 },
		{ 1, KEVENT_REQ_ONESHOT | KEVENT_REQ_DISPATCH, 1, 0 },
		{ 1, 0, 1ULL << 63, 0 },
		{ 1, 0, 0, 1ULL << 63 },
		{ 1, KEVENT_TIMER_ABSTIME, ~0ULL, 0 },
	};
	int i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		struct ukevent request = timer_request(1, bad[i].first, bad[i].interval,
						       bad[i].flags);

		request.event = bad[i].event;
		EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &request)))
			TH_LOG("case %d", i);
	}
	EXPECT_EQ(0, registrations(self->fd));
	/* The largest are good, and far away. */
	EXPECT_EQ(1, add_timer(self->fd, 1, ~0ULL >> 1, ~0ULL >> 1, 0));
	EXPECT_EQ(1, add_timer(self->fd, 2, ~0ULL >> 1, 1, KEVENT_TIMER_ABSTIME));
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	EXPECT_TRUE(FAILS(EEXIST, add_timer(self->fd, 1, 1, 0, 0)));
}

/* Takes for @ns; returns how many expirations were told. */
static uint64_t take_for(int fd, uint64_t ns, struct ukevent *ev)
{
	struct __kernel_timespec slice = ns_to_timespec(MS);
	uint64_t until = now_ns() + ns, sum = 0;

	while (now_ns() < until)
		if (kevent_get_events(fd, 1, 1, &slice, ev, 0) == 1)
			sum += ev->data;
	return sum;
}

/* Any interval counts right. */
TEST_F(timer, intervals)
{
	static const uint64_t intervals[] = { 1, 7, 1000, FLOOR, 1234567, 20 * MS };
	int i;

	for (i = 0; i < ARRAY_LEN(intervals); i++) {
		uint64_t before = now_ns(), after, stop, stopped, sum;

		ASSERT_EQ(1, add_timer(self->fd, 1, 0, intervals[i], 0));
		after = now_ns();
		sum = take_for(self->fd, 100 * MS, self->ev);
		/* What is left over, with what is still under way. */
		stop = now_ns();
		while (get_now(self->fd, 1, self->ev) == 1 && sum < (stop - before) / intervals[i])
			sum += self->ev[0].data;
		stopped = now_ns();
		ASSERT_EQ(1, remove_timer(self->fd, 1));
		/* Not every one of a fast timer need be delivered when it is removed: one floor. */
		EXPECT_LE((stop - after) / intervals[i] -
			  (intervals[i] < FLOOR ? 2 * MS / intervals[i] : 0), sum);
		EXPECT_GE((stopped - before) / intervals[i] + 1, sum);
	}
}

/* However short the interval, and however fast the consumer: one event in each FLOOR. */
TEST(shortest_period)
{
	struct kevent_consumer c;
	uint64_t begin, end, events = 0;
	struct ukevent *ev;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	begin = now_ns();
	ASSERT_EQ(1, add_timer(c.fd, 1, 0, 1, 0));
	do {
		ev = kevent_ring_take(&c);
		if (ev) {
			kevent_ring_finish(&c, ev);
			events++;
		}
		end = now_ns();
	} while (end - begin < 200 * MS);
	EXPECT_LE(2U, events);
	EXPECT_GE((end - begin) / FLOOR + 2, events);
	kevent_ring_close(&c);
}

/* How a call collects what was counted but not told. */
static int collect(int fd, int how, struct ukevent *ev)
{
	struct __kernel_timespec now = { 0 };

	switch (how) {
	case 0:
		return kevent_wait(fd, 1, ~0U, &now, 0) < 0;
	case 1:
		return kevent_commit(fd, 0, 0) < 0;
	default:
		return get_now(fd, 1, ev) < 0;
	}
}

/* A second in which nobody takes: all expirations are told, by the entry and what a call adds. */
TEST(counted_while_nobody_takes)
{
	int how;

	for (how = 0; how < 3; how++) {
		uint64_t before, after, stop, stopped, sum = 0;
		struct kevent_consumer c;
		struct ukevent *ev, copied = { 0 };

		ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
		before = now_ns();
		ASSERT_EQ(1, add_timer(c.fd, 1, 0, MS, 0));
		after = now_ns();
		usleep(1000000);
		/* How far the entry lags is bounded: it tells of more than a third. */
		ASSERT_EQ(1U, kevent_ring_head(&c));
		EXPECT_LE((now_ns() - after) / MS / 3, c.ring->event[0].data);
		stop = now_ns();
		ASSERT_EQ(0, collect(c.fd, how, &copied));
		stopped = now_ns();
		if (how == 2)
			sum = copied.data;
		while ((ev = kevent_ring_take(&c)) != NULL) {
			sum += ev->data & ~KEVENT_DATA_CLOSED;
			kevent_ring_finish(&c, ev);
		}
		EXPECT_LE((stop - after) / MS, sum) TH_LOG("way %d", how);
		EXPECT_GE((stopped - before) / MS + 60 * 1000, sum);
		kevent_ring_close(&c);
	}
}

/* Who takes from the ring, and makes no call, is told of the next within a second. */
TEST(without_a_call)
{
	struct kevent_consumer c;
	uint64_t begin, first, sum = 0;
	struct ukevent *ev;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	begin = now_ns();
	ASSERT_EQ(1, add_timer(c.fd, 1, 0, MS, 0));
	usleep(600000);
	ev = kevent_ring_take(&c);
	ASSERT_NE(NULL, ev);
	first = ev->data & ~KEVENT_DATA_CLOSED;
	kevent_ring_finish(&c, ev);
	while (!(ev = kevent_ring_take(&c)))
		ASSERT_GT(NS_PER_S + GENEROUS_NS, now_ns() - begin);
	sum = first + (ev->data & ~KEVENT_DATA_CLOSED);
	EXPECT_LE(600U, sum);
	EXPECT_GE((now_ns() - begin) / MS + 1, sum);
	kevent_ring_close(&c);
}

/* A callback whose event nobody takes runs less and less often. */
TEST(lag)
{
	static const char enable[] = "/sys/kernel/tracing/events/kevent/kevent_fire/enable";
	int fd = kevent_init(NULL, 4, 0), fires = 0;
	static char text[1 << 16];
	char *line;

	if (access(enable, W_OK))
		mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	ASSERT_TRUE(spit("/sys/kernel/tracing/trace", "\n"));
	ASSERT_TRUE(spit(enable, "1"));
	ASSERT_EQ(1, add_timer(fd, 1, 0, FLOOR, 0));
	usleep(1000000);
	ASSERT_TRUE(spit(enable, "0"));
	slurp("/sys/kernel/tracing/trace", text, sizeof(text));
	for (line = text; (line = strstr(line, "kevent_fire:")) != NULL; line++)
		fires++;
	/* 1 + 2 + 4 + ... intervals. */
	EXPECT_LE(8, fires);
	EXPECT_GE(40, fires);
	close(fd);
}

/* The clock is set: an absolute time of it comes sooner, others do not. */
TEST_F(timer, clock_is_set)
{
	struct timespec real, mono_before, mono_after;
	uint64_t hour = 3600 * NS_PER_S, ns;
	int i, seen = 0;

	ASSERT_EQ(1, add_timer(self->fd, 1, now_on(CLOCK_REALTIME) + hour, 0,
			       KEVENT_TIMER_ABSTIME | KEVENT_TIMER_REALTIME));
	ASSERT_EQ(1, add_timer(self->fd, 2, now_on(CLOCK_TAI) + hour, 0,
			       KEVENT_TIMER_ABSTIME | KEVENT_TIMER_TAI));
	ASSERT_EQ(1, add_timer(self->fd, 3, hour, 0, KEVENT_TIMER_REALTIME));
	ASSERT_EQ(1, add_timer(self->fd, 4, hour, 0, KEVENT_TIMER_TAI));
	ASSERT_EQ(1, add_timer(self->fd, 5, now_ns() + hour, 0, KEVENT_TIMER_ABSTIME));
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));

	clock_gettime(CLOCK_MONOTONIC, &mono_before);
	clock_gettime(CLOCK_REALTIME, &real);
	real.tv_sec += 3601;
	ASSERT_EQ(0, clock_settime(CLOCK_REALTIME, &real));
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(get_one(self->fd, self->ev));
		seen |= 1 << self->ev[0].id;
	}
	EXPECT_EQ(1 << 1 | 1 << 2, seen);
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));

	clock_gettime(CLOCK_MONOTONIC, &mono_after);
	ns = now_on(CLOCK_REALTIME) - 3601 * NS_PER_S;
	real = (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
	ASSERT_EQ(0, clock_settime(CLOCK_REALTIME, &real));
}

/* Absolute times are those of the time namespace of the caller. */
TEST_F(timer, time_namespace)
{
	pid_t child = fork();
	int status;

	ASSERT_LE(0, child);
	if (child == 0) {
		uint64_t now;
		pid_t inner;

		if (unshare(CLONE_NEWTIME) ||
		    !spit("/proc/self/timens_offsets", "monotonic 100000 0\nboottime 200000 0\n"))
			_exit(2);
		/* Only children are in it. */
		inner = fork();
		if (inner)
			_exit(waitpid(inner, &status, 0) == inner && status == 0 ? 0 : 3);
		now = now_ns();
		if (now < 100000 * NS_PER_S || now_on(CLOCK_BOOTTIME) < 200000 * NS_PER_S)
			_exit(4);
		if (add_timer(self->fd, 1, now + 20 * MS, 0, KEVENT_TIMER_ABSTIME) != 1 ||
		    !get_one(self->fd, self->ev) || now_ns() < now + 20 * MS ||
		    now_ns() > now + GENEROUS_NS)
			_exit(5);
		now = now_on(CLOCK_BOOTTIME);
		if (add_timer(self->fd, 2, now + 20 * MS, 0,
			      KEVENT_TIMER_ABSTIME | KEVENT_TIMER_BOOTTIME) != 1 ||
		    !get_one(self->fd, self->ev) || now_on(CLOCK_BOOTTIME) < now + 20 * MS)
			_exit(6);
		/* An hour before now there, which is a day after now outside. */
		if (add_timer(self->fd, 3, now_ns() - 3600 * NS_PER_S, 0,
			      KEVENT_TIMER_ABSTIME) != 1 ||
		    get_now(self->fd, 1, self->ev) != 1)
			_exit(7);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("exit %d", WEXITSTATUS(status));
}

/* Started, set anew and removed in no order, on all clocks: what is left comes once, in order. */
#define SHUFFLED	509	/* a prime */

TEST_F(timer, any_order)
{
	static struct { uint64_t wanted; int clock; } timers[SHUFFLED];
	uint64_t last[ARRAY_LEN(clocks)] = { 0 };
	int i, left = SHUFFLED;

	for (i = 0; i < 2 * SHUFFLED; i++) {
		int id = i * 197 % SHUFFLED, again = i >= SHUFFLED;

		if (again && id % 3 == 0)
			continue;
		if (again && id % 3 == 1) {
			ASSERT_EQ(1, remove_timer(self->fd, (uint64_t)id));
			timers[id].wanted = 0;
			left--;
			continue;
		}
		timers[id].clock = (id + again) % (int)ARRAY_LEN(clocks);
		timers[id].wanted = now_on(clocks[timers[id].clock].clock) + 500 * MS +
				    (uint64_t)(i * 211 % SHUFFLED) * 100000;
		ASSERT_EQ(1, timer_ctl(self->fd, again ? KEVENT_CTL_MODIFY : KEVENT_CTL_ADD,
				       (uint64_t)id, timers[id].wanted, 0,
				       clocks[timers[id].clock].flag | KEVENT_TIMER_ABSTIME));
	}
	for (; left; left--) {
		int id, clock;

		ASSERT_TRUE(get_one(self->fd, self->ev));
		id = (int)self->ev[0].id;
		clock = timers[id].clock;
		ASSERT_EQ(1U, self->ev[0].data);
		ASSERT_LE(1U, timers[id].wanted);
		EXPECT_LE(timers[id].wanted, now_on(clocks[clock].clock));
		EXPECT_LE(last[clock], timers[id].wanted);
		last[clock] = timers[id].wanted;
		timers[id].wanted = 0;
	}
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
}

/*
 * More for one moment than expire in one interrupt: all come, in the order in which they were
 * started. One that is started meanwhile, and is over, does not wait for them.
 */
#define CROWDED	1000

TEST_F(timer, one_moment)
{
	static struct ukevent batch[CROWDED];
	uint64_t moment = now_ns() + 100 * MS * patience();
	int i, next = 0, past = 0;

	for (i = 0; i < CROWDED; i++)
		batch[i] = timer_request((uint64_t)i, moment, 0, KEVENT_TIMER_ABSTIME);
	ASSERT_EQ(CROWDED, kevent_ctl(self->fd, KEVENT_CTL_ADD, CROWDED, batch));
	while (now_ns() < moment)
		;
	ASSERT_EQ(1, add_timer(self->fd, CROWDED, 1, 0, KEVENT_TIMER_ABSTIME));
	while (next < CROWDED || !past) {
		ASSERT_TRUE(get_one(self->fd, self->ev));
		ASSERT_EQ(1U, self->ev[0].data);
		if (self->ev[0].id == CROWDED)
			past++;
		else
			ASSERT_EQ((uint64_t)next++, self->ev[0].id);
	}
	EXPECT_EQ(1, past);
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
}

/* REMOVE while it expires: nothing comes afterwards that it has not said. */
TEST_F_TIMEOUT(timer, remove_races_expiry, 120)
{
	int round, num = (int)races(RACES), late = 0, early = 0;

	for (round = 0; round < num; round++) {
		uint64_t id = (uint64_t)round;
		struct ukevent request = timer_request(id, (uint64_t)(round % 60) * 1000, 0, 0);

		ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &request));
		request = timer_request(id, 0, 0, 0);
		ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_REMOVE, 1, &request));
		EXPECT_EQ((int)KEVENT_RET_DONE, flags_of(&request));
		if (get_now(self->fd, 1, self->ev) != 0)
			late++;
		early += registrations(self->fd) != 0;
		if (late || early)
			break;
	}
	EXPECT_EQ(0, late);
	EXPECT_EQ(0, early);
}

/* MODIFY while it expires: what comes carries the new words. */
TEST_F_TIMEOUT(timer, modify_races_expiry, 120)
{
	int round, num = (int)races(RACES);

	ASSERT_EQ(1, add_timer(self->fd, 1, 0, 0, 0));
	for (round = 1; round < num; round++) {
		struct ukevent request = timer_request(1, (uint64_t)(round % 60) * 1000, 0, 0);
		int i, n;

		request.user = (uint64_t)round;
		ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_MODIFY, 1, &request));
		n = get_now(self->fd, 16, self->ev);
		for (i = 0; i < n; i++) {
			ASSERT_EQ((uint64_t)round, self->ev[i].user);
			ASSERT_EQ(request.data, self->ev[i].param[0]);
			ASSERT_EQ(1U, self->ev[i].data);
		}
	}
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

/* 100,000 at once: no descriptor, and each expires once. */
#define MANY	100000

TEST_F_TIMEOUT(timer, a_hundred_thousand, 200)
{
	static struct ukevent batch[4096];
	static unsigned char seen[MANY];
	int files = open_files(), i, n, got = 0;
	uint64_t begin;

	for (i = 0; i < MANY; i += n) {
		for (n = 0; n < ARRAY_LEN(batch) && i + n < MANY; n++) {
			uint64_t id = (uint64_t)(i + n);

			batch[n] = timer_request(id, NS_PER_S + id % 1000 * MS / 2, 0, 0);
		}
		ASSERT_EQ(n, kevent_ctl(self->fd, KEVENT_CTL_ADD, (unsigned int)n, batch));
	}
	EXPECT_EQ(files, open_files());
	EXPECT_EQ(MANY, registrations(self->fd));
	begin = now_ns();
	while (got < MANY) {
		struct __kernel_timespec soon = ns_to_timespec(GENEROUS_NS);

		n = kevent_get_events(self->fd, 1, ARRAY_LEN(batch), &soon, batch, 0);
		ASSERT_LT(0, n);
		for (i = 0; i < n; i++) {
			ASSERT_GT((uint64_t)MANY, batch[i].id);
			ASSERT_EQ(0, seen[batch[i].id]++);
			ASSERT_EQ(1U, batch[i].data);
		}
		got += n;
	}
	EXPECT_GT(10 * GENEROUS_NS, now_ns() - begin);
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
}

/* A memory cgroup with next to no memory left: what is armed expires, and waits for room. */
#define FULL	20000

static int expire_in_full_cgroup(int fd, const char *group)
{
	static struct ukevent batch[4096];
	char text[64], path[96], *max;
	int i, n, got = 0;
	long long current, hits;

	memset(batch, 1, sizeof(batch));
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	if (!spit(path, "0"))
		return 2;
	for (i = 0; i < FULL; i += n) {
		for (n = 0; n < ARRAY_LEN(batch) && i + n < FULL; n++)
			batch[n] = timer_request((uint64_t)(i + n), NS_PER_S, 0, 0);
		if (kevent_ctl(fd, KEVENT_CTL_ADD, (unsigned int)n, batch) != n)
			return 3;
	}
	snprintf(path, sizeof(path), "%s/memory.current", group);
	current = atoll(slurp(path, text, sizeof(text)));
	snprintf(text, sizeof(text), "%lld", current + (256 << 10));
	snprintf(path, sizeof(path), "%s/memory.max", group);
	if (current < FULL * 100 || !spit(path, text))
		return 4;
	while (got < FULL) {
		struct __kernel_timespec soon = ns_to_timespec(GENEROUS_NS);

		/* Not before all have expired. */
		if (!got)
			sleep(2);
		n = kevent_get_events(fd, 1, ARRAY_LEN(batch), &soon, batch, 0);
		if (n <= 0)
			return 5;
		got += n;
	}
	snprintf(path, sizeof(path), "%s/memory.events", group);
	max = strstr(slurp(path, text, sizeof(text)), "max ");
	hits = max ? atoll(max + 4) : -1;
	return hits ? 6 : 0;
}

TEST_F_TIMEOUT(timer, expiry_allocates_nothing, 100)
{
	static const char group[] = "/sys/fs/cgroup/kevent_timer";
	pid_t child;
	int status;

	mkdir("/sys/fs/cgroup", 0755);
	mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	spit("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	ASSERT_TRUE(mkdir(group, 0755) == 0 || errno == EEXIST);
	child = fork();
	ASSERT_LE(0, child);
	if (child == 0)
		_exit(expire_in_full_cgroup(self->fd, group));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("status %x", status);
	rmdir(group);
}

/* ONESHOT ends with its first delivery; DISPATCH waits for MODIFY. */
TEST_F(timer, once_and_dispatch)
{
	ASSERT_EQ(1, add_timer(self->fd, 1, 0, MS, KEVENT_REQ_ONESHOT));
	ASSERT_EQ(1, add_timer(self->fd, 2, 0, MS, KEVENT_REQ_DISPATCH));
	ASSERT_EQ(2, get_now(self->fd, 16, self->ev));
	usleep(20000);
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	EXPECT_TRUE(FAILS(ENOENT, remove_timer(self->fd, 1)));
	ASSERT_EQ(1, timer_ctl(self->fd, KEVENT_CTL_MODIFY, 2, MS, MS, KEVENT_REQ_DISPATCH));
	EXPECT_TRUE(get_one(self->fd, self->ev));
	EXPECT_EQ(2U, self->ev[0].id);
	EXPECT_EQ(1, remove_timer(self->fd, 2));
}

/* An expiry wakes who sleeps, in any way. */
TEST_F(timer, wakes)
{
	struct epoll_event told;
	struct sleeper s;
	int epfd;

	get_sleeper(&s, self->fd, 1, 4, NULL, self->ev);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(1, add_timer(self->fd, 1, 50 * MS, 0, 0));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(1, s.ret);

	epfd = epoll_create1(0);
	told.events = EPOLLIN;
	ASSERT_EQ(0, epoll_ctl(epfd, EPOLL_CTL_ADD, self->fd, &told));
	ASSERT_EQ(1, timer_ctl(self->fd, KEVENT_CTL_MODIFY, 1, 20 * MS, 0, 0));
	EXPECT_EQ(1, epoll_wait(epfd, &told, 1, 10000));
	close(epfd);
}

/* READY counts nothing, and what is counted besides is kept. */
TEST_F(timer, ready)
{
	struct ukevent request = timer_request(1, 0, 0, 0);

	ASSERT_EQ(1, add_timer(self->fd, 1, 3600 * NS_PER_S, 0, 0));
	ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_READY, 1, &request));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ((int)(KEVENT_RET_DONE | KEVENT_RET_INJECTED), flags_of(&self->ev[0]));
	EXPECT_EQ(0U, self->ev[0].data);

	ASSERT_EQ(1, timer_ctl(self->fd, KEVENT_CTL_MODIFY, 1, 30 * MS, 0, 0));
	request = timer_request(1, 0, 0, 0);
	ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_READY, 1, &request));
	usleep(60000);
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(1U, self->ev[0].data);
}

/* Queues that are closed with armed timers. */
TEST(close_with_armed_timers)
{
	int round, i;

	for (round = 0; round < 50; round++) {
		int fd = kevent_init(NULL, round & 1 ? 2 : 0, 0);

		for (i = 0; i < 200; i++)
			ASSERT_EQ(1, add_timer(fd, (uint64_t)i, (uint64_t)i * 5000, (uint64_t)i,
					       0));
		close(fd);
	}
}

TEST_HARNESS_MAIN
