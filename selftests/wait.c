// SPDX-License-Identifier: GPL-2.0
/* kevent_wait(): what counts as news, who is woken, and when a sleep ends. */
#include <sys/prctl.h>

#include "sources.h"

#define SLOTS	8

FIXTURE(wait)
{
	struct kevent_consumer c;
	struct sleeper s[4];
};

FIXTURE_SETUP(wait)
{
	ASSERT_EQ(0, kevent_ring_open(&self->c, SLOTS, 0, 1));
	ASSERT_EQ(4, add_users(self->c.fd, 0, 4));
}

FIXTURE_TEARDOWN(wait)
{
	kevent_ring_close(&self->c);
}

static int wait_for(const struct kevent_consumer *c, unsigned int old, const void *timeout,
		    unsigned int flags)
{
	return kevent_wait(c->fd, SLOTS, old, timeout, flags);
}

/* A descriptor that is none, or is of something else. */
TEST_F(wait, bad_descriptor)
{
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_TRUE(FAILS(EBADF, kevent_wait(-1, 1, 1, NULL, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_wait(pipes[0], 1, 1, NULL, 0)));
}

/* Each flag without a meaning, whether there is news or not. */
TEST_F(wait, unknown_flags)
{
	unsigned int bit;

	for (bit = 2; bit < 32; bit++) {
		EXPECT_TRUE(FAILS(EINVAL, wait_for(&self->c, 0, NULL, 1U << bit)));
		EXPECT_TRUE(FAILS(EINVAL, wait_for(&self->c, 1, NULL, 1U << bit)));
	}
}

/* News since the caller looked returns at once, with the number of entries past its position. */
TEST_F(wait, counts_from_old_position)
{
	unsigned int old;

	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	for (old = 0; old < 3; old++)
		EXPECT_EQ(3 - (int)old, wait_for(&self->c, old, NULL, 0));
	/* However they got there, and whoever has them now. */
	EXPECT_EQ(0, take_id(&self->c));
	EXPECT_EQ(3, wait_for(&self->c, 0, NULL, 0));
}

/* Positions are compared for inequality: one that never was is not the present one. */
TEST_F(wait, any_other_position_is_news)
{
	static const unsigned int others[] = { 4, 5, SLOTS, 1U << 31, ~0U };
	int i, got;

	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	for (i = 0; i < ARRAY_LEN(others); i++) {
		got = wait_for(&self->c, others[i], NULL, 0);
		EXPECT_LE(1, got) TH_LOG("position %u", others[i]);
		EXPECT_GE(SLOTS, got);
	}
}

/* A reader that is laps behind is told of a whole ring, not more. */
TEST_F(wait, laps_behind)
{
	struct ukevent ev;
	int i;

	for (i = 0; i < 5 * SLOTS; i++) {
		ASSERT_EQ(1, ready(self->c.fd, 0, 1));
		ASSERT_EQ(1, get_now(self->c.fd, 1, &ev));
	}
	EXPECT_EQ(SLOTS, wait_for(&self->c, 0, NULL, 0));
	EXPECT_EQ(1, wait_for(&self->c, 5 * SLOTS - 1, NULL, 0));
}

/* Without news, the call sleeps until something fires. */
TEST_F(wait, sleeps_until_event)
{
	ASSERT_EQ(2, ready_users(self->c.fd, 0, 2));
	wait_sleeper(&self->s[0], &self->c, NULL);
	ASSERT_TRUE(sleeper_start(&self->s[0]));
	/* Merged into an untaken entry: no news. */
	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	EXPECT_TRUE(sleeper_still_sleeps(&self->s[0]));
	ASSERT_EQ(1, ready(self->c.fd, 2, 1));
	ASSERT_TRUE(sleeper_join(&self->s[0]));
	EXPECT_EQ(1, self->s[0].ret);
}

/* A timeout returns 0, after that time and not before. */
TEST_F(wait, timeout)
{
	struct __kernel_timespec ts = ns_to_timespec(60 * NS_PER_MS);

	wait_sleeper(&self->s[0], &self->c, &ts);
	sleeper_call(&self->s[0]);
	EXPECT_EQ(0, self->s[0].ret);
	EXPECT_LE(60 * NS_PER_MS, self->s[0].ns);
	EXPECT_GE(GENEROUS_NS, self->s[0].ns);
	ts = ns_to_timespec(0);
	EXPECT_EQ(0, wait_for(&self->c, 0, &ts, 0));
}

/* Two sleepers have a timer each. */
TEST_F(wait, own_timers)
{
	struct __kernel_timespec near = ns_to_timespec(100 * NS_PER_MS);
	struct __kernel_timespec far = ns_to_timespec(3600 * NS_PER_S);

	wait_sleeper(&self->s[0], &self->c, &far);
	wait_sleeper(&self->s[1], &self->c, &near);
	ASSERT_TRUE(sleeper_start(&self->s[0]));
	ASSERT_TRUE(sleeper_start(&self->s[1]));
	ASSERT_TRUE(sleeper_join(&self->s[1]));
	EXPECT_EQ(0, self->s[1].ret);
	EXPECT_LE(100 * NS_PER_MS, self->s[1].ns);
	EXPECT_TRUE(sleeper_still_sleeps(&self->s[0]));
	ASSERT_EQ(1, ready(self->c.fd, 1, 1));
	ASSERT_TRUE(sleeper_join(&self->s[0]));
	EXPECT_EQ(1, self->s[0].ret);
}

/* Absolute timeouts are on CLOCK_MONOTONIC. The past is over at once. */
TEST_F(wait, absolute_timeout)
{
	uint64_t until = now_ns() + 60 * NS_PER_MS;
	struct __kernel_timespec ts = ns_to_timespec(until);
	uint64_t begin;

	EXPECT_EQ(0, wait_for(&self->c, 0, &ts, KEVENT_FLAGS_ABSTIME));
	EXPECT_LE(until, now_ns());
	begin = now_ns();
	EXPECT_EQ(0, wait_for(&self->c, 0, &ts, KEVENT_FLAGS_ABSTIME));
	ts = ns_to_timespec(1);
	EXPECT_EQ(0, wait_for(&self->c, 0, &ts, KEVENT_FLAGS_ABSTIME));
	EXPECT_GE(GENEROUS_NS, now_ns() - begin);
}

/* Times that are none, and addresses that are none. */
TEST_F(wait, bad_timeout)
{
	static const struct __kernel_timespec bad[] = {
		{ .tv_sec = 0, .tv_nsec = -1 },
		{ .tv_sec = 0, .tv_nsec = 1000000000 },
		{ .tv_sec = -1, .tv_nsec = 0 },
	};
	char *pages = two_pages(PROT_NONE);
	int i;

	ASSERT_NE(NULL, pages);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_TRUE(FAILS(EINVAL, wait_for(&self->c, 0, &bad[i], 0)));
		EXPECT_TRUE(FAILS(EINVAL, wait_for(&self->c, 0, &bad[i], KEVENT_FLAGS_ABSTIME)));
	}
	EXPECT_TRUE(FAILS(EFAULT, wait_for(&self->c, 0, across(pages, 0), 0)));
	EXPECT_TRUE(FAILS(EFAULT, wait_for(&self->c, 0, (char *)across(pages, 0) - 8, 0)));
}

/* A non-blocking queue does not sleep. */
TEST_F(wait, nonblock)
{
	ASSERT_EQ(0, fcntl(self->c.fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(0, wait_for(&self->c, 0, NULL, 0));
	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	EXPECT_EQ(1, wait_for(&self->c, 0, NULL, 0));
	EXPECT_EQ(0, wait_for(&self->c, 1, NULL, 0));
}

/* READY without records lets one sleeper return 0. */
TEST_F(wait, kick_wakes_one)
{
	int i, first;

	for (i = 0; i < 2; i++) {
		wait_sleeper(&self->s[i], &self->c, NULL);
		ASSERT_TRUE(sleeper_start(&self->s[i]));
	}
	ASSERT_EQ(0, kick(self->c.fd));
	for (first = 0; !sleeper_is_done(&self->s[first]); first = !first)
		nap();
	EXPECT_EQ(0, self->s[first].ret);
	EXPECT_TRUE(sleeper_still_sleeps(&self->s[!first]));
	ASSERT_EQ(0, kick(self->c.fd));
	ASSERT_TRUE(sleeper_join(&self->s[0]));
	ASSERT_TRUE(sleeper_join(&self->s[1]));
	EXPECT_EQ(0, self->s[!first].ret);
}

/* As many READYs as sleepers let all of them go, even at once. */
TEST_F(wait, kicks_are_counted)
{
	int i;

	for (i = 0; i < 4; i++) {
		wait_sleeper(&self->s[i], &self->c, NULL);
		ASSERT_TRUE(sleeper_start(&self->s[i]));
	}
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, kick(self->c.fd));
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(sleeper_join(&self->s[i]));
		EXPECT_EQ(0, self->s[i].ret);
	}
}

/* With nobody asleep, it is remembered, once. */
TEST_F(wait, kick_is_remembered_once)
{
	struct __kernel_timespec ts = ns_to_timespec(50 * NS_PER_MS);

	ASSERT_EQ(0, kick(self->c.fd));
	ASSERT_EQ(0, kick(self->c.fd));
	EXPECT_EQ(0, wait_for(&self->c, 0, NULL, 0));
	wait_sleeper(&self->s[0], &self->c, &ts);
	sleeper_call(&self->s[0]);
	EXPECT_EQ(0, self->s[0].ret);
	EXPECT_LE(50 * NS_PER_MS, self->s[0].ns);
}

/* A signal ends a sleep with EINTR. */
TEST_F(wait, signal)
{
	ASSERT_EQ(0, handle_signal(SIGUSR1));
	wait_sleeper(&self->s[0], &self->c, NULL);
	ASSERT_TRUE(sleeper_start(&self->s[0]));
	ASSERT_EQ(0, pthread_kill(self->s[0].thread, SIGUSR1));
	ASSERT_TRUE(sleeper_join(&self->s[0]));
	EXPECT_EQ(-1, self->s[0].ret);
	EXPECT_EQ(EINTR, self->s[0].error);
	EXPECT_EQ(1, signals_handled);
}

/* Keeps all other threads off this processor until it is undone. */
static bool be_alone_on_cpu(void)
{
	struct sched_param param = { .sched_priority = 1 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0 &&
	       sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0;
}

static bool share_cpu(void)
{
	struct sched_param param = { 0 };

	return sched_setscheduler(0, SCHED_OTHER, &param) == 0;
}

/* An event and a signal before the sleeper runs: the event counts. */
TEST_F(wait, signal_with_news)
{
	ASSERT_EQ(0, handle_signal(SIGUSR1));
	/* A sleeper inherits the processor, not the priority. */
	if (!be_alone_on_cpu())
		SKIP(return, "no permission for real-time scheduling");
	wait_sleeper(&self->s[0], &self->c, NULL);
	ASSERT_TRUE(sleeper_start(&self->s[0]));
	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	ASSERT_EQ(0, pthread_kill(self->s[0].thread, SIGUSR1));
	ASSERT_TRUE(share_cpu());
	ASSERT_TRUE(sleeper_join(&self->s[0]));
	EXPECT_EQ(1, self->s[0].ret);
	EXPECT_EQ(1, signals_handled);
}

/* The same with the signal first. */
TEST_F(wait, news_with_signal)
{
	ASSERT_EQ(0, handle_signal(SIGUSR1));
	if (!be_alone_on_cpu())
		SKIP(return, "no permission for real-time scheduling");
	wait_sleeper(&self->s[0], &self->c, NULL);
	ASSERT_TRUE(sleeper_start(&self->s[0]));
	ASSERT_EQ(0, pthread_kill(self->s[0].thread, SIGUSR1));
	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	ASSERT_TRUE(share_cpu());
	ASSERT_TRUE(sleeper_join(&self->s[0]));
	EXPECT_EQ(1, self->s[0].ret);
}

/* A child that waits for news in the ring that it shares, and takes nothing. */
static pid_t fork_waiter(const struct kevent_consumer *c)
{
	unsigned int head = (uint32_t)kevent_ring_head(c);
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		kevent_wait(c->fd, SLOTS, head, NULL, 0);
		_exit(0);
	}
	return pid;
}

/*
 * Kills a sleeper right after, or right before, an event wakes it, and looks whether another one is
 * told of it. 0: it was; else the number of the failed step.
 */
static int killed_hands_on(struct kevent_consumer *c, struct sleeper *s, bool child_first,
			   bool signal_first)
{
	pid_t child = 0;
	int status;

	wait_sleeper(s, c, NULL);
	if (child_first) {
		child = fork_waiter(c);
		if (child < 0 || !task_fell_asleep(child, __NR_kevent_wait))
			return 1;
	}
	if (!sleeper_start(s))
		return 2;
	if (!child_first) {
		child = fork_waiter(c);
		if (child < 0 || !task_fell_asleep(child, __NR_kevent_wait))
			return 3;
	}

	if (signal_first)
		kill(child, SIGKILL);
	if (ready(c->fd, 0, 1) != 1)
		return 4;
	if (!signal_first)
		kill(child, SIGKILL);
	if (!share_cpu() || waitpid(child, &status, 0) != child)
		return 5;
	if (!WIFSIGNALED(status))
		return 6;
	if (!sleeper_join(s) || s->ret != 1)
		return 7;
	if (take_id(c) != 0)
		return 8;
	return be_alone_on_cpu() ? 0 : 9;
}

/* A thread that is killed after it was woken hands the wake-up on. */
TEST_F(wait, killed_sleeper_hands_on)
{
	if (!be_alone_on_cpu())
		SKIP(return, "no permission for real-time scheduling");
	ASSERT_EQ(0, killed_hands_on(&self->c, &self->s[0], true, false));
	ASSERT_EQ(0, killed_hands_on(&self->c, &self->s[0], false, false));
	ASSERT_EQ(0, killed_hands_on(&self->c, &self->s[0], true, true));
	ASSERT_EQ(0, killed_hands_on(&self->c, &self->s[0], false, true));
	share_cpu();
}

/* A thread whose time is over when the event comes hands the wake-up on, or is told itself. */
TEST_F(wait, late_sleeper_hands_on)
{
	struct __kernel_timespec ts = ns_to_timespec(200 * NS_PER_MS);
	uint64_t until;

	if (!be_alone_on_cpu())
		SKIP(return, "no permission for real-time scheduling");
	wait_sleeper(&self->s[0], &self->c, &ts);
	wait_sleeper(&self->s[1], &self->c, NULL);
	ASSERT_TRUE(sleeper_start(&self->s[0]));
	ASSERT_TRUE(sleeper_start(&self->s[1]));
	/* Its timer goes off, but it does not run. */
	for (until = now_ns() + 300 * NS_PER_MS; now_ns() < until;)
		;
	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	ASSERT_TRUE(share_cpu());
	ASSERT_TRUE(sleeper_join(&self->s[0]));
	if (self->s[0].ret == 1) {
		/* The event was its own; the other sleeps for the next. */
		ASSERT_EQ(0, kick(self->c.fd));
		ASSERT_TRUE(sleeper_join(&self->s[1]));
	} else {
		EXPECT_EQ(0, self->s[0].ret);
		ASSERT_TRUE(sleeper_join(&self->s[1]));
		EXPECT_EQ(1, self->s[1].ret);
	}
}

/* An ordinary event wakes one sleeper. */
TEST_F(wait, one_event_one_sleeper)
{
	int i, done = 0;

	for (i = 0; i < 4; i++) {
		wait_sleeper(&self->s[i], &self->c, NULL);
		ASSERT_TRUE(sleeper_start(&self->s[i]));
	}
	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	for (i = 0; i < 4 && !done; i = (i + 1) % 4)
		done = sleeper_is_done(&self->s[i]);
	EXPECT_EQ(1, sleepers_done(self->s, 4));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, kick(self->c.fd));
	for (i = 0; i < 4; i++)
		ASSERT_TRUE(sleeper_join(&self->s[i]));
}

/* A registration that asks for it wakes all of them. */
TEST_F(wait, wakeup_all)
{
	int i;

	ASSERT_EQ(1, add_user(self->c.fd, 9, 1, KEVENT_REQ_WAKEUP_ALL));
	for (i = 0; i < 4; i++) {
		wait_sleeper(&self->s[i], &self->c, NULL);
		ASSERT_TRUE(sleeper_start(&self->s[i]));
	}
	ASSERT_EQ(1, ready(self->c.fd, 9, 1));
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(sleeper_join(&self->s[i]));
		EXPECT_EQ(1, self->s[i].ret);
	}
}

/* Each event of a batch wakes a sleeper. */
TEST_F(wait, batch_wakes_as_many)
{
	struct ukevent batch[3];
	int i;

	for (i = 0; i < 4; i++) {
		wait_sleeper(&self->s[i], &self->c, NULL);
		ASSERT_TRUE(sleeper_start(&self->s[i]));
	}
	for (i = 0; i < 3; i++)
		batch[i] = user_request((uint64_t)i, 1, 0);
	ASSERT_EQ(3, kevent_ctl(self->c.fd, KEVENT_CTL_READY, 3, batch));
	for (i = 0; sleepers_done(self->s, 4) < 3; i++) {
		ASSERT_GT(10000, i);
		nap();
	}
	EXPECT_EQ(3, sleepers_done(self->s, 4));
	ASSERT_EQ(0, kick(self->c.fd));
	for (i = 0; i < 4; i++)
		ASSERT_TRUE(sleeper_join(&self->s[i]));
}

/* A consumer that takes one event, and then does not come back for another. */
struct taker {
	struct kevent_consumer c;
	pthread_t thread;
	pid_t tid;
	bool holds;
};

static void *take_one(void *arg)
{
	struct taker *t = arg;

	__atomic_store_n(&t->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (!kevent_ring_take(&t->c))
		kevent_ring_wait(&t->c, NULL);
	__atomic_store_n(&t->holds, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool taker_start(struct taker *t, const struct kevent_consumer *of, uint32_t owner)
{
	memset(t, 0, sizeof(*t));
	if (kevent_ring_join(&t->c, of, owner) || pthread_create(&t->thread, NULL, take_one, t))
		return false;
	while (!__atomic_load_n(&t->tid, __ATOMIC_ACQUIRE))
		nap();
	return task_fell_asleep(t->tid, __NR_kevent_wait);
}

static bool taker_join(struct taker *t)
{
	uint64_t until = now_ns() + GENEROUS_NS;

	while (!__atomic_load_n(&t->holds, __ATOMIC_ACQUIRE)) {
		if (now_ns() > until)
			return false;
		nap();
	}
	return pthread_join(t->thread, NULL) == 0;
}

/* N events that fire before anybody runs, one by one or at once, come into N pairs of hands. */
TEST_F(wait, each_event_finds_a_sleeper)
{
	struct ukevent batch[4];
	struct taker t[4];
	int i, at_once;

	for (i = 0; i < 4; i++)
		batch[i] = user_request((uint64_t)i, 1, 0);
	for (at_once = 0; at_once < 2; at_once++) {
		if (!be_alone_on_cpu())
			SKIP(return, "no permission for real-time scheduling");
		for (i = 0; i < 4; i++) {
			ASSERT_TRUE(taker_start(&t[i], &self->c, (uint32_t)i + 2));
		}
		ASSERT_EQ(4, at_once ? kevent_ctl(self->c.fd, KEVENT_CTL_READY, 4, batch) :
				       ready_users(self->c.fd, 0, 4));
		ASSERT_TRUE(share_cpu());
		for (i = 0; i < 4; i++) {
			ASSERT_TRUE(taker_join(&t[i])) TH_LOG("%d: %d sleeps on", at_once, i);
			EXPECT_EQ(1U, kevent_ring_recover(&self->c, (uint32_t)i + 2));
		}
	}
}

/* Who is killed before it runs hands on what fired since it was woken, to as many as are needed. */
TEST_F(wait, killed_sleeper_hands_all_on)
{
	int i, status;
	pid_t child;

	if (!be_alone_on_cpu())
		SKIP(return, "no permission for real-time scheduling");
	child = fork_waiter(&self->c);
	ASSERT_TRUE(child > 0 && task_fell_asleep(child, __NR_kevent_wait));
	for (i = 0; i < 3; i++) {
		wait_sleeper(&self->s[i], &self->c, NULL);
		ASSERT_TRUE(sleeper_start(&self->s[i]));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, ready(self->c.fd, (uint64_t)i, 1));
	}
	kill(child, SIGKILL);
	ASSERT_TRUE(share_cpu());
	ASSERT_EQ(child, waitpid(child, &status, 0));
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(sleeper_join(&self->s[i]));
}

/*
 * A consumer that is woken, and ends before it takes the event, leaves it to others: what fires
 * into it wakes one of them. By each source that can fire twice.
 */
TEST_F(wait, ended_consumer_leaves_its_event)
{
	int file = eventfd(0, EFD_NONBLOCK), i, status;
	pid_t child;

	for (i = 0; i < 3; i++) {
		if (i == 0)
			ASSERT_EQ(1, add_file(self->c.fd, file, POLLIN, KEVENT_REQ_ET));
		child = fork_waiter(&self->c);
		ASSERT_TRUE(child > 0 && task_fell_asleep(child, __NR_kevent_wait));
		wait_sleeper(&self->s[0], &self->c, NULL);
		ASSERT_TRUE(sleeper_start(&self->s[0]));
		switch (i) {
		case 0:
			ASSERT_EQ(0, eventfd_write(file, 1));
			break;
		case 1:
			ASSERT_EQ(1, ready(self->c.fd, 0, 1));
			break;
		default:
			ASSERT_EQ(1, add_timer(self->c.fd, 7, NS_PER_MS, 100 * NS_PER_MS, 0));
		}
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFEXITED(status));
		if (i == 0)
			ASSERT_EQ(0, eventfd_write(file, 1));
		if (i == 1)
			ASSERT_EQ(1, ready(self->c.fd, 0, 1));
		EXPECT_TRUE(sleeper_join(&self->s[0])) TH_LOG("source %d", i);
		EXPECT_EQ(1, self->s[0].ret);
		take_id(&self->c);
	}
	close(file);
}

/* Who is woken for a level that another takes has it all the same, if it is true. */
TEST(taken_level_is_still_true)
{
	int fd = kevent_init(NULL, 0, 0), file = eventfd(0, 0);
	struct ukevent ev, mine;
	struct sleeper s;

	ASSERT_EQ(1, add_file(fd, file, POLLIN, 0));
	if (!be_alone_on_cpu())
		SKIP(return, "no permission for real-time scheduling");
	get_sleeper(&s, fd, 1, 1, NULL, &ev);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(0, eventfd_write(file, 1));
	ASSERT_EQ(1, get_now(fd, 1, &mine));
	ASSERT_TRUE(share_cpu());
	ASSERT_TRUE(sleeper_join(&s)) TH_LOG("it sleeps on");
	EXPECT_EQ(1, s.ret);
	EXPECT_EQ((uint64_t)file, ev.id);
	close(file);
	close(fd);
}

/* The same of one that it took out of what has no room in the ring, for who waits for news. */
TEST(taken_level_without_room)
{
	int file = eventfd(0, 0), i;
	struct kevent_consumer c;
	struct ukevent mine;
	struct sleeper s;

	ASSERT_EQ(0, kevent_ring_open(&c, 2, 0, 1));
	ASSERT_EQ(2, add_users(c.fd, 0, 2));
	ASSERT_EQ(2, ready_users(c.fd, 0, 2));
	for (i = 0; i < 2; i++)
		ASSERT_NE(NULL, kevent_ring_take(&c));
	ASSERT_EQ(1, add_file(c.fd, file, POLLIN, 0));
	if (!be_alone_on_cpu())
		SKIP(return, "no permission for real-time scheduling");
	wait_sleeper(&s, &c, NULL);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(0, eventfd_write(file, 1));
	ASSERT_EQ(1, get_now(c.fd, 1, &mine));
	EXPECT_EQ((uint64_t)file, mine.id);
	ASSERT_TRUE(share_cpu());
	ASSERT_TRUE(sleeper_join(&s)) TH_LOG("it sleeps on");
	EXPECT_EQ(0, s.ret);
	kevent_ring_close(&c);
	close(file);
}

/* A checked level wakes all that sleep, one by the other, as long as it is true. */
TEST(checked_level_for_all)
{
	int fd = kevent_init(NULL, 0, 0), file = eventfd(0, 0), i;
	struct ukevent ev[4], mine;
	struct sleeper s[4];

	ASSERT_EQ(1, add_file(fd, file, POLLIN, KEVENT_REQ_LAST_CHECK));
	for (i = 0; i < 4; i++) {
		get_sleeper(&s[i], fd, 1, 1, NULL, &ev[i]);
		ASSERT_TRUE(sleeper_start(&s[i]));
	}
	ASSERT_EQ(0, eventfd_write(file, 1));
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(sleeper_join(&s[i])) TH_LOG("%d sleeps on", i);
		EXPECT_EQ(1, s[i].ret);
		EXPECT_EQ((uint64_t)file, ev[i].id);
	}
	/* An edge is for one. */
	ASSERT_EQ(1, modify_file(fd, file, POLLIN, KEVENT_REQ_LAST_CHECK | KEVENT_REQ_ET));
	ASSERT_EQ(1, get_now(fd, 1, &mine));
	for (i = 0; i < 2; i++) {
		get_sleeper(&s[i], fd, 1, 1, NULL, &ev[i]);
		ASSERT_TRUE(sleeper_start(&s[i]));
	}
	ASSERT_EQ(0, eventfd_write(file, 1));
	ASSERT_TRUE(sleeper_join(&s[0]));
	EXPECT_TRUE(sleeper_still_sleeps(&s[1]));
	ASSERT_EQ(0, kick(fd));
	ASSERT_TRUE(sleeper_join(&s[1]));
	EXPECT_EQ(0, s[1].ret);
	close(file);
	close(fd);
}

#define CROWD	4

struct crowd {
	int fd;
	uint32_t rounds;
	uint32_t arrived;
	uint32_t missed;
};

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;
	struct __kernel_timespec soon = ns_to_timespec(GENEROUS_NS);
	struct ukevent ev;
	uint32_t i;

	for (i = 0; i < c->rounds; i++) {
		meet(&c->arrived, CROWD + 1, 2 * i + 1);
		if (kevent_get_events(c->fd, 1, 1, &soon, &ev, 0) != 1)
			__atomic_add_fetch(&c->missed, 1, __ATOMIC_RELAXED);
		meet(&c->arrived, CROWD + 1, 2 * i + 2);
	}
	return NULL;
}

/* The same when they sleep, are about to, and take from each other what they woke for. */
TEST_F_TIMEOUT(wait, checked_level_for_a_crowd, 120)
{
	int file = eventfd(0, EFD_NONBLOCK);
	struct crowd c = { .fd = kevent_init(NULL, 0, 0), .rounds = races(2000) };
	pthread_t thread[CROWD];
	eventfd_t count;
	uint32_t i;

	ASSERT_EQ(1, add_file(c.fd, file, POLLIN, KEVENT_REQ_LAST_CHECK));
	for (i = 0; i < CROWD; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, crowd_main, &c));
	for (i = 0; i < c.rounds && !__atomic_load_n(&c.missed, __ATOMIC_RELAXED); i++) {
		meet(&c.arrived, CROWD + 1, 2 * i + 1);
		if (i % 4 == 0)
			nap();
		else
			dawdle(i % 64 * 16);
		ASSERT_EQ(0, eventfd_write(file, 1));
		meet(&c.arrived, CROWD + 1, 2 * i + 2);
		ASSERT_EQ(0, eventfd_read(file, &count));
	}
	ASSERT_EQ(0U, c.missed) TH_LOG("in round %u", i);
	for (i = 0; i < CROWD; i++)
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	close(file);
	close(c.fd);
}

/* An event that is taken before the woken thread runs wakes nobody else. */
TEST_F(wait, taken_event_wakes_nobody)
{
	int i;

	if (!be_alone_on_cpu())
		SKIP(return, "no permission for real-time scheduling");
	for (i = 0; i < 2; i++) {
		wait_sleeper(&self->s[i], &self->c, NULL);
		ASSERT_TRUE(sleeper_start(&self->s[i]));
	}
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(1, ready(self->c.fd, (uint64_t)i, 1));
		ASSERT_EQ(i, take_id(&self->c));
	}
	ASSERT_TRUE(share_cpu());
	EXPECT_TRUE(sleeper_join(&self->s[0]));
	EXPECT_TRUE(sleeper_still_sleeps(&self->s[1]));
	ASSERT_EQ(0, kick(self->c.fd));
	ASSERT_TRUE(sleeper_join(&self->s[1]));
}

/*
 * Room, and what waits for it.
 */

FIXTURE(room)
{
	struct kevent_consumer c;
};

FIXTURE_SETUP(room)
{
	ASSERT_EQ(0, kevent_ring_open(&self->c, 2, 0, 1));
	ASSERT_EQ(6, add_users(self->c.fd, 0, 6));
	ASSERT_EQ(5, ready_users(self->c.fd, 0, 5));
}

FIXTURE_TEARDOWN(room)
{
	kevent_ring_close(&self->c);
}

/* At most num pending events are moved into the ring, oldest first. */
TEST_F(room, moves_at_most_num)
{
	EXPECT_EQ(1, kevent_ring_pending(&self->c));
	EXPECT_EQ(0, take_id(&self->c));
	EXPECT_EQ(1, take_id(&self->c));
	EXPECT_EQ(1, kevent_wait(self->c.fd, 1, 2, NULL, 0));
	EXPECT_EQ(1, kevent_ring_pending(&self->c));
	EXPECT_EQ(2, take_id(&self->c));
	EXPECT_EQ(-1, take_id(&self->c));
	EXPECT_EQ(2, kevent_wait(self->c.fd, 8, 3, NULL, 0));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
	EXPECT_EQ(3, take_id(&self->c));
	EXPECT_EQ(4, take_id(&self->c));
	EXPECT_EQ(-1, take_id(&self->c));
}

/* While something waits for room, nobody sleeps: the answer is 0, and the header says why. */
TEST_F(room, never_sleeps_while_pending)
{
	EXPECT_EQ(0, kevent_wait(self->c.fd, 2, 2, NULL, 0));
	EXPECT_EQ(1U, self->c.ring->ring_pending);
	/* Held slots make no room either. */
	ASSERT_NE(NULL, kevent_ring_take(&self->c));
	ASSERT_NE(NULL, kevent_ring_take(&self->c));
	EXPECT_EQ(0, kevent_wait(self->c.fd, 2, 2, NULL, 0));
	EXPECT_EQ(1U, self->c.ring->ring_pending);
}

/* An event that finds no room wakes a sleeper. */
TEST_F(room, pending_wakes)
{
	struct sleeper s;
	struct ukevent ev[8], *held[2];

	/* Three wait: hand them out, so that only the held slots are left. */
	held[0] = kevent_ring_take(&self->c);
	held[1] = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, held[0]);
	ASSERT_NE(NULL, held[1]);
	ASSERT_EQ(3, get_now(self->c.fd, 8, ev));
	EXPECT_EQ(0, kevent_ring_pending(&self->c));
	wait_sleeper(&s, &self->c, NULL);
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(1, ready(self->c.fd, 5, 1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(0, s.ret);
	EXPECT_EQ(1, kevent_ring_pending(&self->c));
	kevent_ring_finish(&self->c, held[0]);
	EXPECT_EQ(1, kevent_ring_wait(&self->c, NULL));
	EXPECT_EQ(5, take_id(&self->c));
}

/*
 * The structure in place of the timeout.
 */

FIXTURE(ext)
{
	struct kevent_consumer c;
	struct __kernel_timespec ts;
	struct kevent_wait_arg arg;
};

FIXTURE_SETUP(ext)
{
	ASSERT_EQ(0, kevent_ring_open(&self->c, SLOTS, 0, 1));
	ASSERT_EQ(4, add_users(self->c.fd, 0, 4));
	self->ts = ns_to_timespec(60 * NS_PER_MS);
	self->arg = (struct kevent_wait_arg){
		.timeout = (uintptr_t)&self->ts,
		.clock = CLOCK_MONOTONIC,
	};
}

FIXTURE_TEARDOWN(ext)
{
	kevent_ring_close(&self->c);
}

static int wait_ext(const struct kevent_consumer *c, const struct kevent_wait_arg *arg,
		    unsigned int flags)
{
	return kevent_wait(c->fd, SLOTS, (uint32_t)kevent_ring_head(c), arg,
			   flags | KEVENT_FLAGS_EXT_ARG);
}

/* Relative and absolute, on each clock. */
TEST_F(ext, clocks)
{
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME };
	uint64_t begin, until;
	int i;

	for (i = 0; i < ARRAY_LEN(clocks); i++) {
		self->arg.clock = (uint32_t)clocks[i];
		self->ts = ns_to_timespec(60 * NS_PER_MS);
		begin = now_ns();
		EXPECT_EQ(0, wait_ext(&self->c, &self->arg, 0));
		EXPECT_LE(60 * NS_PER_MS, now_ns() - begin);
		EXPECT_GE(GENEROUS_NS, now_ns() - begin);

		until = now_on(clocks[i]) + 60 * NS_PER_MS;
		self->ts = ns_to_timespec(until);
		EXPECT_EQ(0, wait_ext(&self->c, &self->arg, KEVENT_FLAGS_ABSTIME));
		EXPECT_LE(until, now_on(clocks[i]));
		EXPECT_GE(until + GENEROUS_NS, now_on(clocks[i]));

		begin = now_ns();
		self->ts = ns_to_timespec(now_on(clocks[i]) - NS_PER_S);
		EXPECT_EQ(0, wait_ext(&self->c, &self->arg, KEVENT_FLAGS_ABSTIME));
		EXPECT_GE(GENEROUS_NS, now_ns() - begin);
	}
}

static void *set_back(void *arg)
{
	struct timespec real;

	(void)arg;
	nap();
	clock_gettime(CLOCK_REALTIME, &real);
	real.tv_sec -= 3600;
	return clock_settime(CLOCK_REALTIME, &real) ? (void *)1 : NULL;
}

/* A span of time is no date: setting the clock back does not make it longer. */
TEST_F(ext, clock_is_set)
{
	struct timespec real;
	pthread_t thread;
	uint64_t begin;
	void *failed;

	self->arg.clock = CLOCK_REALTIME;
	self->ts = ns_to_timespec(200 * NS_PER_MS);
	ASSERT_EQ(0, pthread_create(&thread, NULL, set_back, NULL));
	begin = now_ns();
	EXPECT_EQ(0, wait_ext(&self->c, &self->arg, 0));
	EXPECT_GE(GENEROUS_NS, now_ns() - begin);
	ASSERT_EQ(0, pthread_join(thread, &failed));
	ASSERT_EQ(NULL, failed);
	clock_gettime(CLOCK_REALTIME, &real);
	real.tv_sec += 3600;
	ASSERT_EQ(0, clock_settime(CLOCK_REALTIME, &real));
}

/* Clocks that no sleep can be measured with. */
TEST_F(ext, bad_clock)
{
	static const uint32_t bad[] = {
		CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, 16, 99,
		1U << 31, ~0U,
	};
	int i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		self->arg.clock = bad[i];
		EXPECT_TRUE(FAILS(EINVAL, wait_ext(&self->c, &self->arg, 0)))
			TH_LOG("clock %u", bad[i]);
	}
}

/* Reserved fields must be 0. */
TEST_F(ext, reserved)
{
	int i;

	for (i = 0; i < 2; i++) {
		self->arg.reserved[i] = 1;
		EXPECT_TRUE(FAILS(EINVAL, wait_ext(&self->c, &self->arg, 0)));
		self->arg.reserved[i] = 1ULL << 63;
		EXPECT_TRUE(FAILS(EINVAL, wait_ext(&self->c, &self->arg, 0)));
		self->arg.reserved[i] = 0;
	}
	EXPECT_EQ(0, wait_ext(&self->c, &self->arg, 0));
}

/* Each address in it, and its own, may be bad. */
TEST_F(ext, bad_addresses)
{
	char *pages = two_pages(PROT_NONE);
	struct kevent_wait_arg *arg;

	ASSERT_NE(NULL, pages);
	EXPECT_TRUE(FAILS(EFAULT, wait_ext(&self->c, (void *)across(pages, 0), 0)));
	arg = (void *)((char *)across(pages, 0) - 40);
	memset(arg, 0, 40);
	EXPECT_TRUE(FAILS(EFAULT, wait_ext(&self->c, arg, 0)));
	self->arg.timeout = (uintptr_t)across(pages, 0);
	EXPECT_TRUE(FAILS(EFAULT, wait_ext(&self->c, &self->arg, 0)));
	self->arg.timeout = (uintptr_t)&self->ts;
	self->arg.sigmask = (uintptr_t)across(pages, 0);
	self->arg.sigmask_size = 8;
	EXPECT_TRUE(FAILS(EFAULT, wait_ext(&self->c, &self->arg, 0)));
}

/* The time in it is checked like any other. */
TEST_F(ext, bad_timeout)
{
	self->ts = (struct __kernel_timespec){ .tv_nsec = 1000000000 };
	EXPECT_TRUE(FAILS(EINVAL, wait_ext(&self->c, &self->arg, 0)));
	self->ts = (struct __kernel_timespec){ .tv_sec = -1 };
	EXPECT_TRUE(FAILS(EINVAL, wait_ext(&self->c, &self->arg, KEVENT_FLAGS_ABSTIME)));
}

/* No time in it: for ever. */
TEST_F(ext, no_timeout)
{
	struct sleeper s;

	self->arg.timeout = 0;
	wait_sleeper(&s, &self->c, &self->arg);
	s.flags = KEVENT_FLAGS_EXT_ARG;
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(1, s.ret);
}

/* A signal mask has the kernel's size. */
TEST_F(ext, sigmask_size)
{
	static const uint32_t bad[] = { 0, 4, 7, 9, 16, 128, ~0U };
	uint64_t mask = 0;
	int i;

	self->arg.sigmask = (uintptr_t)&mask;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		self->arg.sigmask_size = bad[i];
		EXPECT_TRUE(FAILS(EINVAL, wait_ext(&self->c, &self->arg, 0)));
	}
	self->arg.sigmask_size = 8;
	EXPECT_EQ(0, wait_ext(&self->c, &self->arg, 0));
}

/* During the wait the mask of the argument holds, afterwards the old one again. */
TEST_F(ext, sigmask_opens)
{
	sigset_t block, before, after;
	uint64_t mask = 0;

	ASSERT_EQ(0, handle_signal(SIGUSR1));
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigaddset(&block, SIGUSR2);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &block, NULL));
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, NULL, &before));
	ASSERT_EQ(0, raise(SIGUSR1));
	EXPECT_EQ(0, signals_handled);
	self->ts = ns_to_timespec(GENEROUS_NS);
	self->arg.sigmask = (uintptr_t)&mask;
	self->arg.sigmask_size = 8;
	EXPECT_TRUE(FAILS(EINTR, wait_ext(&self->c, &self->arg, 0)));
	EXPECT_EQ(1, signals_handled);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, NULL, &after));
	EXPECT_EQ(0, memcmp(&before, &after, 8));
}

/* The mask of the argument may also close what is open. */
TEST_F(ext, sigmask_closes)
{
	uint64_t mask = 1ULL << (SIGUSR1 - 1);
	sigset_t after;
	struct sleeper s;

	ASSERT_EQ(0, handle_signal(SIGUSR1));
	self->arg.timeout = 0;
	self->arg.sigmask = (uintptr_t)&mask;
	self->arg.sigmask_size = 8;
	wait_sleeper(&s, &self->c, &self->arg);
	s.flags = KEVENT_FLAGS_EXT_ARG;
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(0, pthread_kill(s.thread, SIGUSR1));
	EXPECT_TRUE(sleeper_still_sleeps(&s));
	EXPECT_EQ(0, signals_handled);
	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(1, s.ret);
	EXPECT_EQ(1, signals_handled);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, NULL, &after));
	EXPECT_EQ(0, sigismember(&after, SIGUSR1));
}

/* A minimum wait goes on collecting after the first event, up to that time. */
TEST_F(ext, min_wait_collects)
{
	struct sleeper s;

	self->arg.timeout = 0;
	self->arg.min_wait = NS_PER_S;
	wait_sleeper(&s, &self->c, &self->arg);
	s.flags = KEVENT_FLAGS_EXT_ARG;
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(3, s.ret);
	EXPECT_LE(NS_PER_S, s.ns);
	EXPECT_GE(GENEROUS_NS, s.ns);
}

/* A batch that is full ends the minimum wait. */
TEST_F(ext, min_wait_ends_with_full_batch)
{
	struct sleeper s;

	self->arg.timeout = 0;
	self->arg.min_wait = 3600 * NS_PER_S;
	wait_sleeper(&s, &self->c, &self->arg);
	s.flags = KEVENT_FLAGS_EXT_ARG;
	s.num = 3;
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(3, s.ret);
}

/* Nothing to collect: it is not a minimum for the timeout. */
TEST_F(ext, min_wait_is_no_timeout)
{
	struct sleeper s;

	self->arg.min_wait = 3600 * NS_PER_S;
	wait_sleeper(&s, &self->c, &self->arg);
	s.flags = KEVENT_FLAGS_EXT_ARG;
	sleeper_call(&s);
	EXPECT_EQ(0, s.ret);
	EXPECT_LE(60 * NS_PER_MS, s.ns);
	EXPECT_GE(GENEROUS_NS, s.ns);

	/* No event within it: it waits on, for the first. */
	self->arg.timeout = 0;
	self->arg.min_wait = NS_PER_MS;
	ASSERT_TRUE(sleeper_start(&s));
	for (uint64_t until = now_ns() + 20 * NS_PER_MS; now_ns() < until;)
		nap();
	EXPECT_TRUE(sleeper_still_sleeps(&s));
	ASSERT_EQ(1, ready(self->c.fd, 0, 1));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(1, s.ret);
}

/* kevent_get_events() takes the same structure. */
TEST_F(ext, get_events)
{
	uint64_t mask = 0, begin = now_ns();
	struct ukevent ev[4];
	sigset_t block;
	struct sleeper s;

	EXPECT_EQ(0, kevent_get_events(self->c.fd, 1, 4, &self->arg, ev, KEVENT_FLAGS_EXT_ARG));
	EXPECT_LE(60 * NS_PER_MS, now_ns() - begin);
	self->arg.reserved[1] = 1;
	EXPECT_TRUE(FAILS(EINVAL, kevent_get_events(self->c.fd, 1, 4, &self->arg, ev,
						    KEVENT_FLAGS_EXT_ARG)));
	self->arg.reserved[1] = 0;
	self->arg.clock = 99;
	EXPECT_TRUE(FAILS(EINVAL, kevent_get_events(self->c.fd, 1, 4, &self->arg, ev,
						    KEVENT_FLAGS_EXT_ARG)));
	self->arg.clock = CLOCK_MONOTONIC;

	ASSERT_EQ(0, handle_signal(SIGUSR1));
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &block, NULL));
	ASSERT_EQ(0, raise(SIGUSR1));
	self->arg.timeout = 0;
	self->arg.sigmask = (uintptr_t)&mask;
	self->arg.sigmask_size = 8;
	EXPECT_TRUE(FAILS(EINTR, kevent_get_events(self->c.fd, 1, 4, &self->arg, ev,
						   KEVENT_FLAGS_EXT_ARG)));
	EXPECT_EQ(1, signals_handled);

	self->arg.sigmask = 0;
	self->arg.sigmask_size = 0;
	self->arg.min_wait = NS_PER_S;
	get_sleeper(&s, self->c.fd, 1, 4, &self->arg, ev);
	s.flags = KEVENT_FLAGS_EXT_ARG;
	ASSERT_TRUE(sleeper_start(&s));
	ASSERT_EQ(3, ready_users(self->c.fd, 0, 3));
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(3, s.ret);
	EXPECT_LE(NS_PER_S, s.ns);
}

/* Absolute times are those of the caller's time namespace. */
TEST_F(ext, time_namespace)
{
	struct ukevent ev;
	int status, i;
	pid_t pid;

	if (unshare(CLONE_NEWTIME))
		SKIP(return, "no time namespaces: errno %d", errno);
	ASSERT_TRUE(spit("/proc/self/timens_offsets", "monotonic 100000 0\nboottime 200000 0\n"));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME };

		for (i = 0; i < ARRAY_LEN(clocks); i++) {
			uint64_t until = now_on(clocks[i]) + 60 * NS_PER_MS;
			uint64_t begin = now_on(CLOCK_REALTIME);

			if (until < 100000 * NS_PER_S)
				_exit(1);
			self->ts = ns_to_timespec(until);
			self->arg.clock = (uint32_t)clocks[i];
			if (wait_ext(&self->c, &self->arg, KEVENT_FLAGS_ABSTIME) != 0)
				_exit(2);
			if (now_on(clocks[i]) < until)
				_exit(3);
			if (kevent_get_events(self->c.fd, 1, 1, &self->arg, &ev,
					      KEVENT_FLAGS_EXT_ARG | KEVENT_FLAGS_ABSTIME) != 0)
				_exit(4);
			if (now_on(CLOCK_REALTIME) - begin > GENEROUS_NS)
				_exit(5);
		}
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

TEST_HARNESS_MAIN
