// SPDX-License-Identifier: GPL-2.0
/*
 * Each mode of each source: what happens when it fires again before its event is taken, after, and
 * after the slot is free; and when it does not fire, but is true. The table in the documentation is
 * made from the variants and tests here by `cargo xtask tables`.
 */
#include "sockets.h"
#include "sources.h"

/* What becomes of the second firing. The document shows these words. */
enum again {
	REFUSED,	/* no such registration: EINVAL */
	MERGES,		/* into the event that waits */
	NEW_EVENT,
	NOTHING,
};

FIXTURE(modes)
{
	struct kevent_consumer c;
	int file[2];		/* a pipe or two sockets: the end that is watched, the other */
	struct ukevent *first;
};

FIXTURE_VARIANT(modes)
{
	unsigned int type;
	uint32_t flags;
	enum again before_taken, after_taken, after_freed, still_true;
};

/* What comes after the flags: before taken, after taken, after freed, still true. */
FIXTURE_VARIANT_ADD(modes, level_user)
{
	KEVENT_USER, 0, MERGES, NEW_EVENT, NEW_EVENT, NOTHING
};

FIXTURE_VARIANT_ADD(modes, level_timer)
{
	KEVENT_TIMER, 0, MERGES, NEW_EVENT, NEW_EVENT, NOTHING
};

FIXTURE_VARIANT_ADD(modes, level_poll)
{
	KEVENT_POLL, 0, MERGES, NEW_EVENT, NEW_EVENT, NEW_EVENT
};

FIXTURE_VARIANT_ADD(modes, level_socket)
{
	KEVENT_SOCKET, 0, MERGES, NEW_EVENT, NEW_EVENT, NEW_EVENT
};

FIXTURE_VARIANT_ADD(modes, edge_user)
{
	KEVENT_USER, KEVENT_REQ_ET, MERGES, NEW_EVENT, NEW_EVENT, NOTHING
};

FIXTURE_VARIANT_ADD(modes, edge_timer)
{
	KEVENT_TIMER, KEVENT_REQ_ET, MERGES, NEW_EVENT, NEW_EVENT, NOTHING
};

FIXTURE_VARIANT_ADD(modes, edge_poll)
{
	KEVENT_POLL, KEVENT_REQ_ET, MERGES, NEW_EVENT, NEW_EVENT, NOTHING
};

FIXTURE_VARIANT_ADD(modes, edge_socket)
{
	KEVENT_SOCKET, KEVENT_REQ_ET, MERGES, NEW_EVENT, NEW_EVENT, NOTHING
};

FIXTURE_VARIANT_ADD(modes, once_user)
{
	KEVENT_USER, KEVENT_REQ_ONESHOT, NOTHING, NOTHING, NOTHING, NOTHING
};

FIXTURE_VARIANT_ADD(modes, once_timer)
{
	KEVENT_TIMER, KEVENT_REQ_ONESHOT, NOTHING, NOTHING, NOTHING, NOTHING
};

FIXTURE_VARIANT_ADD(modes, once_poll)
{
	KEVENT_POLL, KEVENT_REQ_ONESHOT, NOTHING, NOTHING, NOTHING, NOTHING
};

FIXTURE_VARIANT_ADD(modes, once_socket)
{
	KEVENT_SOCKET, KEVENT_REQ_ONESHOT, NOTHING, NOTHING, NOTHING, NOTHING
};

FIXTURE_VARIANT_ADD(modes, dispatch_user)
{
	KEVENT_USER, KEVENT_REQ_DISPATCH, NOTHING, NOTHING, NOTHING, NOTHING
};

FIXTURE_VARIANT_ADD(modes, dispatch_timer)
{
	KEVENT_TIMER, KEVENT_REQ_DISPATCH, NOTHING, NOTHING, NOTHING, NOTHING
};

FIXTURE_VARIANT_ADD(modes, dispatch_poll)
{
	KEVENT_POLL, KEVENT_REQ_DISPATCH, NOTHING, NOTHING, NOTHING, NOTHING
};

FIXTURE_VARIANT_ADD(modes, dispatch_socket)
{
	KEVENT_SOCKET, KEVENT_REQ_DISPATCH, NOTHING, NOTHING, NOTHING, NOTHING
};

FIXTURE_VARIANT_ADD(modes, checked_user)
{
	KEVENT_USER, KEVENT_REQ_LAST_CHECK, MERGES, NEW_EVENT, NEW_EVENT, NOTHING
};

FIXTURE_VARIANT_ADD(modes, checked_timer)
{
	KEVENT_TIMER, KEVENT_REQ_LAST_CHECK, MERGES, NEW_EVENT, NEW_EVENT, NOTHING
};

FIXTURE_VARIANT_ADD(modes, checked_poll)
{
	KEVENT_POLL, KEVENT_REQ_LAST_CHECK, MERGES, NEW_EVENT, NEW_EVENT, NEW_EVENT
};

FIXTURE_VARIANT_ADD(modes, checked_socket)
{
	KEVENT_SOCKET, KEVENT_REQ_LAST_CHECK, MERGES, NEW_EVENT, NEW_EVENT, NEW_EVENT
};

FIXTURE_VARIANT_ADD(modes, exclusive_user)
{
	KEVENT_USER, KEVENT_REQ_EXCLUSIVE, REFUSED, REFUSED, REFUSED, REFUSED
};

FIXTURE_VARIANT_ADD(modes, exclusive_timer)
{
	KEVENT_TIMER, KEVENT_REQ_EXCLUSIVE, REFUSED, REFUSED, REFUSED, REFUSED
};

FIXTURE_VARIANT_ADD(modes, exclusive_poll)
{
	KEVENT_POLL, KEVENT_REQ_EXCLUSIVE, MERGES, NEW_EVENT, NEW_EVENT, NEW_EVENT
};

FIXTURE_VARIANT_ADD(modes, exclusive_socket)
{
	KEVENT_SOCKET, KEVENT_REQ_EXCLUSIVE, MERGES, NEW_EVENT, NEW_EVENT, NEW_EVENT
};

#define INTERVAL	(2 * NS_PER_MS)

static struct ukevent request_of(unsigned int type, uint32_t flags, int file)
{
	switch (type) {
	case KEVENT_TIMER:
		return timer_request(1, 0, INTERVAL, flags);
	case KEVENT_POLL:
		return file_request(file, POLLIN, flags);
	case KEVENT_SOCKET:
		return socket_request(file, RECV | END, flags);
	default:
		return user_request(1, 3, flags);
	}
}

FIXTURE_SETUP(modes)
{
	struct ukevent request;
	int added;

	ASSERT_EQ(0, variant->type == KEVENT_SOCKET ?
		  socketpair(AF_UNIX, SOCK_STREAM, 0, self->file) : pipe(self->file));
	ASSERT_EQ(0, kevent_ring_open(&self->c, 8, 0, 1));
	request = request_of(variant->type, variant->flags, self->file[0]);
	if (variant->before_taken == REFUSED) {
		EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(self->c.fd, KEVENT_CTL_ADD, 1, &request)));
		EXPECT_EQ(0, registrations(self->c.fd));
		return;
	}
	/* The first firing; a timer fires by itself, at once. */
	added = kevent_ctl(self->c.fd, KEVENT_CTL_ADD, 1, &request);
	ASSERT_EQ(1, added);
	if (variant->type == KEVENT_POLL || variant->type == KEVENT_SOCKET)
		ASSERT_EQ(1, write(self->file[1], "x", 1));
	if (variant->type == KEVENT_USER)
		ASSERT_EQ(1, ready_data(self->c.fd, 1, 1, 1));
	ASSERT_EQ(1U, kevent_ring_head(&self->c));
}

FIXTURE_TEARDOWN(modes)
{
	close(self->file[0]);
	close(self->file[1]);
	kevent_ring_close(&self->c);
}

/* Makes the source fire. A user event is refused if its registration is over. */
static void fire_again(struct kevent_consumer *c, unsigned int type, int *file)
{
	struct pollfd p = { .fd = c->fd };

	switch (type) {
	case KEVENT_USER:
		ready_data(c->fd, 1, 2, 1);
		break;
	case KEVENT_POLL:
		/* A wake-up without a key, which shows in the event. */
		close(file[1]);
		file[1] = -1;
		break;
	case KEVENT_SOCKET:
		shutdown(file[1], SHUT_WR);
		break;
	case KEVENT_TIMER:
		usleep(10 * INTERVAL / 1000);
		/* Collects what is left over. */
		poll(&p, 1, 0);
		break;
	}
}

/* Whether an event tells of the second firing. */
static bool tells_second(unsigned int type, const struct ukevent *ev)
{
	switch (type) {
	case KEVENT_USER:
		return ev->fired & 2;
	case KEVENT_POLL:
		return flags_of(ev) & KEVENT_RET_RECHECK;
	case KEVENT_SOCKET:
		return ev->fired & END;
	default:
		return (ev->data & ~KEVENT_DATA_CLOSED) >= 5;
	}
}

/* Checks what became of the second firing, while @first is untaken, taken or finished. */
static bool came_out(struct kevent_consumer *c, unsigned int type, const struct ukevent *first,
		     enum again expected)
{
	uint64_t head = kevent_ring_head(c);
	const struct ukevent *second = &c->ring->event[1];

	switch (expected) {
	case MERGES:
		return head == 1 && tells_second(type, first);
	case NEW_EVENT:
		/* An interval goes on while the test does. */
		return head >= 2 &&
		       (type == KEVENT_TIMER || (head == 2 && tells_second(type, second)));
	case NOTHING:
		return head == 1 && !tells_second(type, first);
	default:
		return false;
	}
}

TEST_F(modes, before_taken)
{
	if (variant->before_taken == REFUSED)
		return;
	fire_again(&self->c, variant->type, self->file);
	EXPECT_TRUE(came_out(&self->c, variant->type, &self->c.ring->event[0],
			     variant->before_taken));
}

TEST_F(modes, after_taken)
{
	if (variant->after_taken == REFUSED)
		return;
	self->first = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, self->first);
	fire_again(&self->c, variant->type, self->file);
	EXPECT_TRUE(came_out(&self->c, variant->type, self->first, variant->after_taken));
	kevent_ring_finish(&self->c, self->first);
}

TEST_F(modes, after_freed)
{
	struct ukevent copy;

	if (variant->after_freed == REFUSED)
		return;
	self->first = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, self->first);
	copy = *self->first;
	kevent_ring_finish(&self->c, self->first);
	fire_again(&self->c, variant->type, self->file);
	EXPECT_TRUE(came_out(&self->c, variant->type, &copy, variant->after_freed));
}

/* Nothing fires, but the state lasts: a call that looks again reports it, or does not. */
TEST_F(modes, still_true)
{
	struct __kernel_timespec now = { 0 };

	if (variant->still_true == REFUSED)
		return;
	if (variant->type == KEVENT_TIMER)
		ASSERT_EQ(1, timer_ctl(self->c.fd, KEVENT_CTL_SET, 1, 0, 0, variant->flags));
	self->first = kevent_ring_take(&self->c);
	/* SET has taken the first event of a timer back. */
	while (variant->type == KEVENT_TIMER && !self->first)
		self->first = kevent_ring_take(&self->c);
	ASSERT_NE(NULL, self->first);
	EXPECT_EQ(0, kevent_wait(self->c.fd, 0, (uint32_t)kevent_ring_head(&self->c), &now, 0));
	kevent_ring_finish(&self->c, self->first);
	EXPECT_EQ(variant->still_true == NEW_EVENT,
		  kevent_wait(self->c.fd, 0, (uint32_t)kevent_ring_head(&self->c), &now, 0));
	if (variant->still_true == NEW_EVENT) {
		char x;

		/* Again and again, by each call that looks; no more when it is over. */
		self->first = kevent_ring_take(&self->c);
		ASSERT_NE(NULL, self->first);
		EXPECT_EQ(variant->type == KEVENT_SOCKET ? RECV : (uint32_t)POLLIN,
			  self->first->fired);
		kevent_ring_finish(&self->c, self->first);
		EXPECT_EQ(1, poll(&(struct pollfd){ .fd = self->c.fd, .events = POLLIN }, 1, 0));
		ASSERT_EQ(1, read(self->file[0], &x, 1));
		self->first = kevent_ring_take(&self->c);
		ASSERT_NE(NULL, self->first);
		kevent_ring_finish(&self->c, self->first);
		EXPECT_EQ(0, kevent_wait(self->c.fd, 0, (uint32_t)kevent_ring_head(&self->c), &now,
					 0));
	}
}

TEST_HARNESS_MAIN
