// SPDX-License-Identifier: GPL-2.0
/* The tracepoints: each step of an event's life is told, and nothing is told when nobody asks. */
#include "harness.h"

#define TRACING	"/sys/kernel/tracing"
#define EVENTS	TRACING "/events/kevent"
/* Tasks by name, for which the scheduler is traced as well: that changes code of every CPU. */
#define NAMES	TRACING "/options/record-cmd"

FIXTURE(trace)
{
	struct kevent_consumer c;
	char *text;
};

#define TEXT	0x100000

/* Opening it for writing from the start is what empties it. */
static bool forget(void)
{
	int fd = open(TRACING "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	return fd >= 0 && close(fd) == 0;
}

FIXTURE_SETUP(trace)
{
	self->text = NULL;
	if (access(TRACING "/trace", R_OK | W_OK))
		SKIP(return, "no tracefs: errno %d", errno);
	ASSERT_EQ(0, kevent_ring_open(&self->c, 4, 0, 1));
	self->text = malloc(TEXT);
	ASSERT_NE(NULL, self->text);
	ASSERT_TRUE(spit(NAMES, "0"));
	ASSERT_TRUE(spit(TRACING "/tracing_on", "1"));
	ASSERT_TRUE(forget());
}

FIXTURE_TEARDOWN(trace)
{
	if (!self->text)
		return;
	spit(EVENTS "/enable", "0");
	spit(NAMES, "1");
	forget();
	kevent_ring_close(&self->c);
	free(self->text);
}

static void live(const struct kevent_consumer *c)
{
	struct ukevent ev, request = user_request(1, 1, 0);

	/* No word of the caller's that could be mistaken for an address. */
	request.user = 5;
	kevent_ctl(c->fd, KEVENT_CTL_ADD, 1, &request);
	ready(c->fd, 1, 1);
	kevent_wait(c->fd, 4, 0, NULL, 0);
	get_now(c->fd, 1, &ev);
	ready(c->fd, 1, 1);
	kevent_commit(c->fd, 2, 0);
	remove_user(c->fd, 1);
}

static int told(const char *text, const char *what)
{
	int n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* Adding, firing, waiting, getting, committing and removing leave a line each. */
TEST_F(trace, every_step)
{
	static const struct {
		const char *event;
		int times;
	} steps[] = {
		{ " kevent_add: ", 1 },
		{ " kevent_fire: ", 2 },
		{ " kevent_wait: ", 1 },
		{ " kevent_get: ", 1 },
		{ " kevent_commit: ", 1 },
		{ " kevent_remove: ", 1 },
	};
	int i;

	ASSERT_TRUE(spit(EVENTS "/enable", "1"));
	live(&self->c);
	ASSERT_TRUE(spit(EVENTS "/enable", "0"));
	slurp(TRACING "/trace", self->text, TEXT);
	for (i = 0; i < ARRAY_LEN(steps); i++)
		EXPECT_LE(steps[i].times, told(self->text, steps[i].event))
			TH_LOG("step %d", i);
}

/* Disabled, they say nothing. */
TEST_F(trace, off)
{
	ASSERT_TRUE(spit(EVENTS "/enable", "0"));
	live(&self->c);
	slurp(TRACING "/trace", self->text, TEXT);
	EXPECT_EQ(0, told(self->text, " kevent_"));
}

/* No line shows an address of the kernel. */
TEST_F(trace, no_addresses)
{
	ASSERT_TRUE(spit(EVENTS "/enable", "1"));
	live(&self->c);
	ASSERT_TRUE(spit(EVENTS "/enable", "0"));
	slurp(TRACING "/trace", self->text, TEXT);
	ASSERT_LT(0, told(self->text, " kevent_"));
	EXPECT_EQ(0, told(self->text, "ffff8"));
	EXPECT_EQ(0, told(self->text, "ffffc"));
	EXPECT_EQ(0, told(self->text, "ffffffff"));
}

TEST_HARNESS_MAIN
