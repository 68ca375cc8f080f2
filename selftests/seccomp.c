// SPDX-License-Identifier: GPL-2.0
/* A consumer that would die of any system call takes 100,000 events while another process fires. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>

#include "kselftest_harness.h"
#include "load.h"

#define EVENTS	100000U
#define SOURCES	1000U
#define SLOTS	2048	/* more than SOURCES + 1: nothing ever has to wait in the kernel */
#define BATCH	50
#define OWNER	1

struct report {
	uint64_t taken;		/* events taken and finished, the producer's window follows it */
	uint64_t wrong;		/* 1 + number of the first event that was not the expected one */
	struct ukevent odd;
};

static int forbid_system_calls(void)
{
	struct sock_filter deny = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	struct sock_fprog prog = { .len = 1, .filter = &deny };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* Event number n is the n / SOURCES + 1st of registration n % SOURCES. */
static void consume_for_ever(struct kevent_consumer *c, struct report *r)
{
	struct ukevent *ev;
	uint64_t n = 0;

	for (;;) {
		ev = kevent_ring_take(c);
		if (!ev)
			continue;
		if (!r->wrong && (!load_genuine(ev, SOURCES) || ev->id != n % SOURCES ||
				  kevent_ring_data(ev) != n / SOURCES + 1)) {
			r->odd = *ev;
			load_set(&r->wrong, n + 1);
		}
		kevent_ring_finish(c, ev);
		load_set(&r->taken, ++n);
	}
}

FIXTURE(sealed)
{
	struct kevent_consumer c;
	struct report *r;
	pid_t pid;
};

FIXTURE_SETUP(sealed)
{
	self->pid = 0;
	self->r = load_share(sizeof(*self->r));
	ASSERT_NE(NULL, self->r);
	ASSERT_EQ(0, kevent_ring_open(&self->c, SLOTS, 0, OWNER));
	ASSERT_EQ((int)SOURCES, load_add(self->c.fd, 0, SOURCES));
}

FIXTURE_TEARDOWN(sealed)
{
	kevent_ring_close(&self->c);
	munmap(self->r, sizeof(*self->r));
}

/* Without this, the next test would prove nothing. */
TEST_F(sealed, filter_kills_on_any_system_call)
{
	int status;

	self->pid = load_fork();
	ASSERT_LE(0, self->pid);
	if (self->pid == 0) {
		if (forbid_system_calls() == 0)
			syscall(SYS_getppid);
		for (;;)
			;
	}
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGSYS, WTERMSIG(status));
}

TEST_F_TIMEOUT(sealed, consumer_makes_no_system_call, 300)
{
	uint64_t fired, taken, last = 0;
	time_t patience = load_now();

	self->pid = load_fork();
	ASSERT_LE(0, self->pid);
	if (self->pid == 0) {
		if (forbid_system_calls())
			_exit(1);
		consume_for_ever(&self->c, self->r);
	}

	/* A source fires again only after its last event was taken, so none merges. */
	for (fired = 0, taken = 0; taken < EVENTS; taken = load_get(&self->r->taken)) {
		if (taken != last) {
			last = taken;
			patience = load_now();
		}
		ASSERT_GE(LOAD_PATIENCE, load_now() - patience)
			TH_LOG("%llu of %llu fired events taken",
			       (unsigned long long)taken, (unsigned long long)fired);
		ASSERT_EQ(0, waitpid(self->pid, NULL, WNOHANG))
			TH_LOG("the consumer died after %llu events", (unsigned long long)taken);
		if (fired < EVENTS && fired + BATCH <= taken + SOURCES) {
			ASSERT_EQ(BATCH, load_fire(self->c.fd, fired % SOURCES, BATCH,
						   fired / SOURCES + 1));
			fired += BATCH;
		} else {
			sched_yield();
		}
	}

	EXPECT_EQ(0U, load_get(&self->r->wrong))
		TH_LOG("event %llu: id %llu data %llx", (unsigned long long)self->r->wrong - 1,
		       (unsigned long long)self->r->odd.id,
		       (unsigned long long)self->r->odd.data);
	EXPECT_EQ(EVENTS, fired);
	EXPECT_EQ(0U, load_untaken(&self->c));
	EXPECT_EQ(0U, self->c.ring->ring_pending);
	EXPECT_TRUE(load_kill(self->pid)) TH_LOG("the consumer did not live to the end");
	EXPECT_EQ(EVENTS, load_get(&self->r->taken));
}

TEST_HARNESS_MAIN
