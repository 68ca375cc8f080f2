// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets: what each kind reports when something comes, when there is room, when somebody connects,
 * and when it ends in every way that there is; through a ring, and copied.
 */
#include <poll.h>
#include <linux/net_tstamp.h>

#include "sockets.h"

/* A moment in which what should not come would come. */
#define MOMENT_NS	(30 * NS_PER_MS)

/* One queue, with or without a ring. */
struct queue {
	struct kevent_consumer c;
	int fd;
	bool ring;
};

static bool open_queue(struct queue *q, bool ring)
{
	q->ring = ring;
	if (ring && kevent_ring_open(&q->c, 8, 0, 1))
		return false;
	q->fd = ring ? q->c.fd : kevent_init(NULL, 0, 0);
	return q->fd >= 0;
}

static void close_queue(struct queue *q)
{
	if (q->ring)
		kevent_ring_close(&q->c);
	else
		close(q->fd);
}

/* The next event, as it stands in the ring or is copied; false: none came in @ns. */
static bool next_in(struct queue *q, struct ukevent *ev, uint64_t ns)
{
	struct __kernel_timespec soon = ns_to_timespec(ns);
	struct ukevent *slot;

	if (!q->ring)
		return kevent_get_events(q->fd, 1, 1, &soon, ev, 0) == 1;
	slot = kevent_ring_take(&q->c);
	if (!slot && kevent_wait(q->fd, 8, (uint32_t)q->c.next, &soon, 0) > 0)
		slot = kevent_ring_take(&q->c);
	if (!slot)
		return false;
	*ev = *slot;
	ev->data = kevent_ring_data(slot);
	kevent_ring_finish(&q->c, slot);
	return true;
}

static bool next(struct queue *q, struct ukevent *ev)
{
	return next_in(q, ev, GENEROUS_NS);
}

static bool quiet(struct queue *q)
{
	struct ukevent ev;

	return !next_in(q, &ev, MOMENT_NS);
}

/*
 * All bits that come until one of @last has; 0: it did not come. @all is what the events say
 * together: the last error, and the flags of each.
 */
static uint32_t until(struct queue *q, uint32_t last, struct ukevent *all)
{
	struct ukevent ev;

	*all = (struct ukevent){ 0 };
	do {
		if (!next(q, &ev))
			return 0;
		all->fired |= ev.fired;
		all->ret_flags |= ev.ret_flags;
		if (ev.error)
			all->error = ev.error;
	} while (!(all->fired & last));
	return all->fired;
}

/* A test of two sockets that are connected, for some kinds of them. */
#define SOCKETS(fixture)							\
	FIXTURE(fixture)							\
	{									\
		struct queue q;							\
		struct ukevent ev;						\
		int fd[2];		/* the one that is watched, its peer */	\
	};									\
	FIXTURE_VARIANT(fixture)						\
	{									\
		struct kind kind;						\
		bool ring;							\
		bool counts;		/* the datum of RECV is known */	\
	};									\
	FIXTURE_SETUP(fixture)							\
	{									\
		ASSERT_TRUE(open_queue(&self->q, variant->ring));		\
		ASSERT_TRUE(open_pair(&variant->kind, self->fd));		\
	}									\
	FIXTURE_TEARDOWN(fixture)						\
	{									\
		close(self->fd[0]);						\
		close(self->fd[1]);						\
		close_queue(&self->q);						\
	}

#define KIND(fixture, name, domain, what, known)				\
	FIXTURE_VARIANT_ADD(fixture, name##_ring) {				\
		.kind = { domain, what }, .ring = true, .counts = known		\
	};									\
	FIXTURE_VARIANT_ADD(fixture, name##_no_ring) {				\
		.kind = { domain, what }, .ring = false, .counts = known	\
	}

SOCKETS(kinds)
KIND(kinds, tcp4, AF_INET, SOCK_STREAM, true);
KIND(kinds, tcp6, AF_INET6, SOCK_STREAM, true);
KIND(kinds, udp4, AF_INET, SOCK_DGRAM, false);
KIND(kinds, udp6, AF_INET6, SOCK_DGRAM, false);
KIND(kinds, unix_stream, AF_UNIX, SOCK_STREAM, true);
KIND(kinds, unix_dgram, AF_UNIX, SOCK_DGRAM, false);
KIND(kinds, unix_seqpacket, AF_UNIX, SOCK_SEQPACKET, false);
KIND(kinds, vsock, AF_VSOCK, SOCK_STREAM, false);

/* Those that can be full; UDP drops what finds no room. */
SOCKETS(fills)
KIND(fills, tcp4, AF_INET, SOCK_STREAM, true);
KIND(fills, tcp6, AF_INET6, SOCK_STREAM, true);
KIND(fills, unix_stream, AF_UNIX, SOCK_STREAM, true);
KIND(fills, unix_dgram, AF_UNIX, SOCK_DGRAM, false);
KIND(fills, unix_seqpacket, AF_UNIX, SOCK_SEQPACKET, false);
KIND(fills, vsock, AF_VSOCK, SOCK_STREAM, false);

/* Those that have connections, which end. */
SOCKETS(ends)
KIND(ends, tcp4, AF_INET, SOCK_STREAM, true);
KIND(ends, tcp6, AF_INET6, SOCK_STREAM, true);
KIND(ends, unix_stream, AF_UNIX, SOCK_STREAM, true);
KIND(ends, unix_seqpacket, AF_UNIX, SOCK_SEQPACKET, false);
KIND(ends, vsock, AF_VSOCK, SOCK_STREAM, false);

/* And may end in an error. */
SOCKETS(resets)
KIND(resets, tcp4, AF_INET, SOCK_STREAM, true);
KIND(resets, tcp6, AF_INET6, SOCK_STREAM, true);
KIND(resets, unix_stream, AF_UNIX, SOCK_STREAM, true);
KIND(resets, unix_seqpacket, AF_UNIX, SOCK_SEQPACKET, false);

/* A full record of what came, and nothing else is said. */
TEST_F(kinds, receives)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	EXPECT_TRUE(quiet(&self->q));
	ASSERT_TRUE(give(self->fd[1], 5));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(variant->counts ? 5 : 0, data_of(&self->ev));
	EXPECT_EQ(0, error_of(&self->ev));
	EXPECT_EQ(0, flags_of(&self->ev) & (KEVENT_RET_RECHECK | KEVENT_RET_BROKEN));
	EXPECT_EQ((uint64_t)self->fd[0], self->ev.id);
	EXPECT_EQ(KEVENT_SOCKET, (int)self->ev.type);
	EXPECT_EQ(~(uint64_t)self->fd[0], self->ev.user);
	EXPECT_TRUE(quiet(&self->q));
	ASSERT_TRUE(give(self->fd[1], 1));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(variant->counts ? 6 : 0, data_of(&self->ev));
}

TEST_F(kinds, already_readable)
{
	ASSERT_TRUE(give(self->fd[1], 5));
	nap();
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(variant->counts ? 5 : 0, data_of(&self->ev));
	EXPECT_TRUE(quiet(&self->q));
}

/* A level is told as long as something can be read; who only peeks leaves it there. */
TEST_F(kinds, level)
{
	char buf[16];
	int i;

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, 0));
	ASSERT_TRUE(give(self->fd[1], 5));
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(next(&self->q, &self->ev));
		EXPECT_EQ(RECV, self->ev.fired);
		if (variant->kind.family != AF_VSOCK)
			EXPECT_EQ(5, recv(self->fd[0], buf, sizeof(buf), MSG_PEEK));
	}
	EXPECT_EQ(5, recv(self->fd[0], buf, sizeof(buf), 0));
	/* What was true when it was published may come once more. */
	next_in(&self->q, &self->ev, MOMENT_NS);
	EXPECT_TRUE(quiet(&self->q));
}

/* An edge is told once, even if it is only peeked at. */
TEST_F(kinds, edge)
{
	char buf[16];

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_TRUE(give(self->fd[1], 5));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(5, recv(self->fd[0], buf, sizeof(buf), MSG_PEEK));
	EXPECT_TRUE(quiet(&self->q));
	EXPECT_EQ(5, recv(self->fd[0], buf, sizeof(buf), 0));
	EXPECT_TRUE(quiet(&self->q));
}

TEST_F(kinds, room_at_once)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], SEND, KEVENT_REQ_ET));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(SEND, self->ev.fired);
	EXPECT_EQ(variant->kind.family != AF_VSOCK, data_of(&self->ev) > 0);
}

/* A full socket, which is registered when it is full: only its poll method leaves the mark. */
TEST_F(fills, room_after_full)
{
	ASSERT_TRUE(fill_socket(self->fd[0]));
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], SEND, KEVENT_REQ_ET));
	EXPECT_TRUE(quiet(&self->q));
	drain_socket(self->fd[1]);
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(SEND, self->ev.fired);
}

/* A socket that is full later: a send that fails leaves the mark. */
TEST_F(fills, room_after_failed_send)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], SEND, KEVENT_REQ_ET));
	ASSERT_TRUE(next(&self->q, &self->ev));
	ASSERT_TRUE(fill_socket(self->fd[0]));
	while (next_in(&self->q, &self->ev, MOMENT_NS))
		;
	drain_socket(self->fd[1]);
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(SEND, self->ev.fired);
}

/* MODIFY asks anew, and leaves the mark too. */
TEST_F(fills, modified_when_full)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_TRUE(fill_socket(self->fd[0]));
	ASSERT_EQ(1, modify_socket(self->q.fd, self->fd[0], SEND, KEVENT_REQ_ET));
	EXPECT_TRUE(quiet(&self->q));
	drain_socket(self->fd[1]);
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(SEND, self->ev.fired);
}

/* Each says its own. */
TEST_F(kinds, directions_are_apart)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | SEND, KEVENT_REQ_ET));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(SEND, self->ev.fired);
	EXPECT_TRUE(quiet(&self->q));
	ASSERT_TRUE(give(self->fd[1], 3));
	ASSERT_TRUE(next(&self->q, &self->ev));
	/* With each packet of vsock comes how much room there is. */
	EXPECT_EQ(RECV, self->ev.fired & ~(variant->kind.family == AF_VSOCK ? SEND : 0));
	EXPECT_EQ(variant->counts ? 3 : 0, data_of(&self->ev));
}

/* The ring has what was there first; a copy has what is there now. */
TEST_F(kinds, datum)
{
	struct ukevent *slot;

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_TRUE(give(self->fd[1], 3));
	if (variant->ring) {
		ASSERT_EQ(1, kevent_wait(self->q.fd, 8, 0, NULL, 0));
		slot = &self->q.c.ring->event[0];
		EXPECT_EQ(variant->counts ? 3 : 0, data_of(slot));
	} else {
		nap();
	}
	ASSERT_TRUE(give(self->fd[1], 4));
	nap();
	ASSERT_EQ(1, kevent_get_events(self->q.fd, 1, 1, NULL, &self->ev, 0));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(variant->counts ? 7 : 0, data_of(&self->ev));
}

/* Who asks for room alone is not told how much there is to read. */
TEST_F(kinds, datum_of_room)
{
	int room;

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], SEND, KEVENT_REQ_ET));
	ASSERT_TRUE(next(&self->q, &self->ev));
	room = data_of(&self->ev);
	ASSERT_EQ(1, remove_socket(self->q.fd, self->fd[0]));
	ASSERT_TRUE(give(self->fd[1], 3));
	nap();
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], SEND, KEVENT_REQ_ET));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(SEND, self->ev.fired);
	EXPECT_EQ(room, data_of(&self->ev));
}

TEST_F(kinds, once)
{
	ASSERT_TRUE(give(self->fd[1], 3));
	nap();
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ONESHOT));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(variant->counts ? 3 : 0, data_of(&self->ev));
	ASSERT_TRUE(give(self->fd[1], 3));
	EXPECT_TRUE(quiet(&self->q));
	EXPECT_TRUE(FAILS(ENOENT, remove_socket(self->q.fd, self->fd[0])));
}

TEST_F(kinds, dispatch)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_DISPATCH));
	ASSERT_TRUE(give(self->fd[1], 3));
	ASSERT_TRUE(next(&self->q, &self->ev));
	ASSERT_TRUE(give(self->fd[1], 3));
	EXPECT_TRUE(quiet(&self->q));
	ASSERT_EQ(1, modify_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_DISPATCH));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV, self->ev.fired);
}

/* Stale when it is taken: dropped. */
TEST_F(kinds, checked)
{
	char buf[16];

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV,
				KEVENT_REQ_ET | KEVENT_REQ_LAST_CHECK));
	ASSERT_TRUE(give(self->fd[1], 3));
	nap();
	ASSERT_EQ(3, recv(self->fd[0], buf, sizeof(buf), 0));
	EXPECT_EQ(0, get_now(self->q.fd, 1, &self->ev));
	ASSERT_TRUE(give(self->fd[1], 4));
	nap();
	ASSERT_EQ(1, kevent_get_events(self->q.fd, 1, 1, NULL, &self->ev, 0));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(variant->counts ? 4 : 0, data_of(&self->ev));
}

TEST_F(kinds, injected)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_EQ(1, socket_ctl(self->q.fd, KEVENT_CTL_READY, self->fd[0], RECV | SEND, 0));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(KEVENT_RET_INJECTED, flags_of(&self->ev) & KEVENT_RET_INJECTED);
}

/* One file, as a socket and as a file: two registrations. */
TEST_F(kinds, beside_poll)
{
	struct ukevent request = socket_request(self->fd[0], POLLIN, KEVENT_REQ_ET);

	request.type = KEVENT_POLL;
	ASSERT_EQ(1, kevent_ctl(self->q.fd, KEVENT_CTL_ADD, 1, &request));
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_TRUE(give(self->fd[1], 3));
	ASSERT_TRUE(next(&self->q, &self->ev));
	ASSERT_TRUE(next(&self->q, &request));
	EXPECT_NE(self->ev.type, request.type);
	EXPECT_TRUE(quiet(&self->q));
}

/* The peer says that it sends nothing more. */
TEST_F(ends, half_closed_by_peer)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | END, KEVENT_REQ_ET));
	ASSERT_EQ(0, shutdown(self->fd[1], SHUT_WR));
	EXPECT_EQ(RECV | END, until(&self->q, END, &self->ev));
	/* TCP and UNIX sockets are looked at in the wake-up of a FIN, which says nothing. */
	EXPECT_EQ(variant->kind.family == AF_VSOCK && variant->ring,
		  !!(flags_of(&self->ev) & KEVENT_RET_RECHECK));
	/* The other way is open. */
	EXPECT_TRUE(give(self->fd[0], 3));
}

/* Who has not asked for the end can read it. */
TEST_F(ends, end_is_readable)
{
	char byte;

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_EQ(0, shutdown(self->fd[1], SHUT_WR));
	EXPECT_EQ(RECV, until(&self->q, RECV, &self->ev));
	EXPECT_EQ(0, recv(self->fd[0], &byte, 1, 0));
}

TEST_F(kinds, half_closed_by_itself)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | END, KEVENT_REQ_ET));
	ASSERT_EQ(0, shutdown(self->fd[0], SHUT_RD));
	EXPECT_EQ(RECV | END, until(&self->q, END, &self->ev));
}

TEST_F(kinds, shut_down)
{
	uint32_t fired;

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | END, KEVENT_REQ_ET));
	ASSERT_EQ(0, shutdown(self->fd[0], SHUT_RDWR));
	/* Its wake-up is not sure, and what was not asked for is only known by asking. */
	if (variant->kind.family == AF_VSOCK)
		ASSERT_EQ(1, modify_socket(self->q.fd, self->fd[0], RECV | END, KEVENT_REQ_ET));
	fired = until(&self->q, HUP, &self->ev);
	EXPECT_EQ(RECV | END | HUP, fired);
}

/* A close by the peer is the end of both ways. */
static bool ends_both_ways(const struct kind *k)
{
	return k->family == AF_UNIX;
}

/* The peer is gone. TCP and vsock may still send. */
TEST_F(ends, closed_by_peer)
{
	uint32_t wanted = ends_both_ways(&variant->kind) ? END | HUP : END, fired;

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | END, KEVENT_REQ_ET));
	close(self->fd[1]);
	self->fd[1] = -1;
	fired = until(&self->q, wanted & ~END ? HUP : END, &self->ev);
	EXPECT_EQ(RECV | wanted, fired);
}

/* It was over before anybody asked. */
TEST_F(ends, already_closed)
{
	uint32_t wanted = ends_both_ways(&variant->kind) ? END | HUP : END;

	close(self->fd[1]);
	self->fd[1] = -1;
	nap();
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | END, KEVENT_REQ_ET));
	EXPECT_EQ(RECV | wanted, until(&self->q, END, &self->ev));
}

/* The end comes with its error, also for who waits only to send. */
TEST_F(resets, reset)
{
	uint32_t fired;

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | END, KEVENT_REQ_ET));
	ASSERT_EQ(1, give(self->fd[0], 1));
	ASSERT_TRUE(reset_socket(self->fd[1]));
	self->fd[1] = -1;
	fired = until(&self->q, FAULT, &self->ev);
	EXPECT_EQ(RECV | END | FAULT | HUP, fired);
	EXPECT_EQ(ECONNRESET, error_of(&self->ev));
}

/* An error that comes while an event for data is untaken: one event, with the errno. */
TEST_F(resets, reset_joins_data)
{
	struct pollfd p = { .fd = self->fd[0] };

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | END, KEVENT_REQ_ET));
	ASSERT_TRUE(give(self->fd[1], 3));
	EXPECT_EQ(1, poll(&(struct pollfd){ .fd = self->q.fd, .events = POLLIN }, 1, -1));
	ASSERT_TRUE(give(self->fd[0], 1));
	ASSERT_TRUE(reset_socket(self->fd[1]));
	self->fd[1] = -1;
	ASSERT_EQ(1, poll(&p, 1, -1));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV | END | FAULT | HUP, self->ev.fired);
	EXPECT_EQ(ECONNRESET, error_of(&self->ev));
	EXPECT_TRUE(quiet(&self->q));
}

TEST_F(kinds, wrong_requests)
{
	struct ukevent request = socket_request(self->fd[0], RECV, 0);
	int pipes[2];

	EXPECT_TRUE(FAILS(EINVAL, add_socket(self->q.fd, self->fd[0], 0, 0)));
	EXPECT_TRUE(FAILS(EINVAL, add_socket(self->q.fd, self->fd[0], 0x80, 0)));
	EXPECT_TRUE(FAILS(EINVAL, add_socket(self->q.fd, self->fd[0], RECV, 0x80)));
	EXPECT_TRUE(FAILS(EINVAL, add_socket(self->q.fd, self->fd[0], RECV,
					     KEVENT_REQ_ONESHOT | KEVENT_REQ_LAST_CHECK)));
	request.param[0] = 1;
	EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(self->q.fd, KEVENT_CTL_ADD, 1, &request)));
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_TRUE(FAILS(ENOTSOCK, add_socket(self->q.fd, pipes[0], RECV, 0)));
	EXPECT_TRUE(FAILS(EBADF, add_socket(self->q.fd, 1000, RECV, 0)));
	EXPECT_EQ(0, registrations(self->q.fd));
}

/* Listeners. */

FIXTURE(listeners)
{
	struct queue q;
	struct ukevent ev;
	int fd;
	int peer[8];
};

FIXTURE_VARIANT(listeners)
{
	struct kind kind;
	bool ring;
};

#define LISTENER(name, domain, what)						\
	FIXTURE_VARIANT_ADD(listeners, name##_ring) {				\
		.kind = { domain, what }, .ring = true				\
	};									\
	FIXTURE_VARIANT_ADD(listeners, name##_no_ring) {			\
		.kind = { domain, what }, .ring = false				\
	}

LISTENER(tcp4, AF_INET, SOCK_STREAM);
LISTENER(tcp6, AF_INET6, SOCK_STREAM);
LISTENER(unix_stream, AF_UNIX, SOCK_STREAM);
LISTENER(unix_seqpacket, AF_UNIX, SOCK_SEQPACKET);
LISTENER(vsock, AF_VSOCK, SOCK_STREAM);

FIXTURE_SETUP(listeners)
{
	ASSERT_TRUE(open_queue(&self->q, variant->ring));
	self->fd = listening(&variant->kind, 8);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(listeners)
{
	close(self->fd);
	close_queue(&self->q);
}

/* Only ACCEPT, whatever is asked for; the datum is how many wait. */
TEST_F(listeners, accepts)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd, RECV | ACCEPT | SEND | END, KEVENT_REQ_ET));
	EXPECT_TRUE(quiet(&self->q));
	self->peer[0] = connected(&variant->kind, self->fd);
	ASSERT_LE(0, self->peer[0]);
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(ACCEPT, self->ev.fired);
	EXPECT_EQ(1, data_of(&self->ev));
	self->peer[1] = connected(&variant->kind, self->fd);
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(ACCEPT, self->ev.fired);
	EXPECT_EQ(2, data_of(&self->ev));
}

TEST_F(listeners, level)
{
	int i, fd;

	for (i = 0; i < 2; i++)
		self->peer[i] = connected(&variant->kind, self->fd);
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd, ACCEPT, 0));
	for (i = 2; i > 0; i--) {
		ASSERT_TRUE(next(&self->q, &self->ev));
		EXPECT_EQ(ACCEPT, self->ev.fired);
		fd = accept(self->fd, NULL, NULL);
		ASSERT_LE(0, fd);
		close(fd);
	}
	next_in(&self->q, &self->ev, MOMENT_NS);
	EXPECT_TRUE(quiet(&self->q));
}

/* A listener of UNIX that receives no more: accept() fails, and who sleeps is told. */
TEST(unix_listener_stops)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
	struct ukevent ev;
	struct queue q;
	int i, fd;

	for (i = 0; i < 4; i++) {
		const struct kind kind = { AF_UNIX, types[i / 2] };

		ASSERT_TRUE(open_queue(&q, i % 2));
		fd = listening(&kind, 8);
		ASSERT_LE(0, fd);
		ASSERT_EQ(1, add_socket(q.fd, fd, ACCEPT | END, KEVENT_REQ_ET));
		EXPECT_TRUE(quiet(&q));
		ASSERT_EQ(0, shutdown(fd, SHUT_RD));
		ASSERT_TRUE(next(&q, &ev));
		EXPECT_EQ(ACCEPT | END, ev.fired);
		close(fd);
		close_queue(&q);
	}
}

/* Who waits to receive is not told of connections. */
TEST_F(listeners, receive_is_not_accept)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd, RECV, KEVENT_REQ_ET));
	self->peer[0] = connected(&variant->kind, self->fd);
	EXPECT_TRUE(quiet(&self->q));
}

/* A storm of connections is one event, until it is taken. */
TEST_F(listeners, storm)
{
	int i;

	ASSERT_EQ(1, add_socket(self->q.fd, self->fd, ACCEPT, KEVENT_REQ_ET));
	for (i = 0; i < 5; i++)
		self->peer[i] = connected(&variant->kind, self->fd);
	nap();
	ASSERT_EQ(1, kevent_get_events(self->q.fd, 1, 1, NULL, &self->ev, 0));
	EXPECT_EQ(5, data_of(&self->ev));
	EXPECT_EQ(0, get_now(self->q.fd, 1, &self->ev));
}

/* Of two queues that take turns, one is told of each connection. */
TEST_F(listeners, exclusive)
{
	struct queue other;
	int i, told = 0;

	ASSERT_TRUE(open_queue(&other, variant->ring));
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd, ACCEPT,
				KEVENT_REQ_ET | KEVENT_REQ_EXCLUSIVE));
	ASSERT_EQ(1, add_socket(other.fd, self->fd, ACCEPT,
				KEVENT_REQ_ET | KEVENT_REQ_EXCLUSIVE));
	for (i = 0; i < 4; i++) {
		self->peer[i] = connected(&variant->kind, self->fd);
		nap();
		told += next_in(&self->q, &self->ev, MOMENT_NS);
		told += next_in(&other, &self->ev, MOMENT_NS);
		EXPECT_EQ(i + 1, told);
	}
	close_queue(&other);
}

/* Connecting. */

static const struct kind tcp = { AF_INET, SOCK_STREAM };
static const struct kind udp = { AF_INET, SOCK_DGRAM };

FIXTURE(connecting)
{
	struct queue q;
	struct ukevent ev;
	int listener;
	int first;
	int fd;
};

FIXTURE_VARIANT(connecting)
{
	bool ring;
};

FIXTURE_VARIANT_ADD(connecting, ring) { .ring = true };
FIXTURE_VARIANT_ADD(connecting, no_ring) { .ring = false };

/*
 * A listener that answers nobody, because the one that it has room for is not
 * accepted. No third one asks: the first to ask again would get the room.
 */
FIXTURE_SETUP(connecting)
{
	ASSERT_TRUE(open_queue(&self->q, variant->ring));
	self->listener = listening(&tcp, 0);
	ASSERT_LE(0, self->listener);
	self->first = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_EQ(0, connect_to(self->first, self->listener));
	nap();
	self->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(connecting)
{
	close(self->fd);
	close(self->first);
	close(self->listener);
	close_queue(&self->q);
}

TEST_F(connecting, succeeds)
{
	ASSERT_TRUE(FAILS(EINPROGRESS, connect_to(self->fd, self->listener)));
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd, RECV | SEND | END, KEVENT_REQ_ET));
	EXPECT_TRUE(quiet(&self->q));
	fcntl(self->listener, F_SETFL, 0);
	ASSERT_LE(0, accept(self->listener, NULL, NULL));
	EXPECT_EQ(SEND, until(&self->q, ~0U, &self->ev));
}

TEST_F(connecting, is_refused)
{
	uint32_t fired;

	ASSERT_TRUE(FAILS(EINPROGRESS, connect_to(self->fd, self->listener)));
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd, RECV | SEND | END, KEVENT_REQ_ET));
	EXPECT_TRUE(quiet(&self->q));
	close(self->listener);
	self->listener = -1;
	fired = until(&self->q, FAULT, &self->ev);
	EXPECT_EQ(FAULT | HUP, fired & (FAULT | HUP));
	EXPECT_EQ(ECONNREFUSED, error_of(&self->ev));
}

TEST_F(connecting, times_out)
{
	uint32_t fired;
	int one = 1;

	ASSERT_EQ(0, setsockopt(self->fd, IPPROTO_TCP, TCP_SYNCNT, &one, sizeof(one)));
	ASSERT_TRUE(FAILS(EINPROGRESS, connect_to(self->fd, self->listener)));
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd, SEND, KEVENT_REQ_ET));
	EXPECT_TRUE(quiet(&self->q));
	fired = until(&self->q, FAULT, &self->ev);
	EXPECT_EQ(FAULT | HUP, fired & (FAULT | HUP));
	EXPECT_EQ(ETIMEDOUT, error_of(&self->ev));
}

/* A socket that was never connected hangs up, as for poll. */
TEST_F(connecting, never)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd, RECV | SEND, KEVENT_REQ_ET));
	EXPECT_EQ(SEND | HUP, until(&self->q, HUP, &self->ev));
}

/* A datagram that nobody takes. */
TEST_F(connecting, datagram_is_refused)
{
	int peer = bound(&udp, 0), fd = bound(&udp, SOCK_NONBLOCK);
	uint32_t fired;

	ASSERT_EQ(0, connect_to(fd, peer));
	close(peer);
	ASSERT_EQ(1, add_socket(self->q.fd, fd, RECV, KEVENT_REQ_ET));
	ASSERT_TRUE(give(fd, 1));
	fired = until(&self->q, FAULT, &self->ev);
	EXPECT_EQ(FAULT, fired);
	EXPECT_EQ(ECONNREFUSED, error_of(&self->ev));
	close(fd);
}

/* What TCP says besides. */

FIXTURE(tcp)
{
	struct queue q;
	struct ukevent ev;
	int fd[2];
};

FIXTURE_VARIANT(tcp)
{
	bool ring;
};

FIXTURE_VARIANT_ADD(tcp, ring) { .ring = true };
FIXTURE_VARIANT_ADD(tcp, no_ring) { .ring = false };

FIXTURE_SETUP(tcp)
{
	ASSERT_TRUE(open_queue(&self->q, variant->ring));
	ASSERT_TRUE(open_pair(&tcp, self->fd));
}

FIXTURE_TEARDOWN(tcp)
{
	close(self->fd[0]);
	close(self->fd[1]);
	close_queue(&self->q);
}

/* The urgent byte is not what is read with the others. */
TEST_F(tcp, urgent)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | URGENT, KEVENT_REQ_ET));
	ASSERT_TRUE(give(self->fd[1], 1));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV, self->ev.fired);
	ASSERT_TRUE(drain_socket(self->fd[0]));
	ASSERT_EQ(1, send(self->fd[1], "!", 1, MSG_OOB));
	EXPECT_EQ(URGENT, until(&self->q, URGENT, &self->ev));
	while (next_in(&self->q, &self->ev, MOMENT_NS))
		EXPECT_EQ(URGENT, self->ev.fired);
	ASSERT_TRUE(give(self->fd[1], 1));
	EXPECT_EQ(RECV, until(&self->q, RECV, &self->ev) & RECV);
}

TEST_F(tcp, urgent_alone)
{
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], URGENT, KEVENT_REQ_ET));
	ASSERT_TRUE(give(self->fd[1], 1));
	EXPECT_TRUE(quiet(&self->q));
	ASSERT_EQ(1, send(self->fd[1], "!", 1, MSG_OOB));
	EXPECT_EQ(URGENT, until(&self->q, URGENT, &self->ev));
}

TEST_F(tcp, low_water_mark)
{
	int bytes = 10;

	ASSERT_EQ(0, setsockopt(self->fd[0], SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)));
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_TRUE(give(self->fd[1], 5));
	EXPECT_TRUE(quiet(&self->q));
	ASSERT_TRUE(give(self->fd[1], 5));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(10, data_of(&self->ev));
	/* A lower mark is news. */
	drain_socket(self->fd[0]);
	ASSERT_TRUE(give(self->fd[1], 5));
	EXPECT_TRUE(quiet(&self->q));
	bytes = 1;
	ASSERT_EQ(0, setsockopt(self->fd[0], SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(5, data_of(&self->ev));
}

/* The number of bytes does not count the end. */
TEST_F(tcp, datum_at_the_end)
{
	ASSERT_TRUE(give(self->fd[1], 5));
	ASSERT_EQ(0, shutdown(self->fd[1], SHUT_WR));
	nap();
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | END, KEVENT_REQ_ET));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV | END, self->ev.fired);
	EXPECT_EQ(5, data_of(&self->ev));
}

/* One read ends before the urgent byte. */
TEST_F(tcp, datum_before_urgent)
{
	ASSERT_EQ(1, send(self->fd[1], "a", 1, 0));
	ASSERT_EQ(1, send(self->fd[1], "b", 1, MSG_OOB));
	ASSERT_EQ(1, send(self->fd[1], "c", 1, 0));
	nap();
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | URGENT, KEVENT_REQ_ET));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(RECV | URGENT, self->ev.fired);
	EXPECT_EQ(1, data_of(&self->ev));
}

/* Something in the error queue, and no error: a time stamp. */
TEST_F(tcp, error_queue)
{
	int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

	ASSERT_EQ(0, setsockopt(self->fd[0], SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)));
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_TRUE(give(self->fd[0], 1));
	EXPECT_EQ(FAULT, until(&self->q, ~0U, &self->ev));
	EXPECT_EQ(0, error_of(&self->ev));
}

/* Who wants to find the error queue by EPOLLPRI has no urgent data for that. */
TEST_F(tcp, error_queue_is_not_urgent)
{
	static const struct kind udp = { AF_INET, SOCK_DGRAM };
	int flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE, on = 1, fd[2];

	ASSERT_TRUE(open_pair(&udp, fd));
	ASSERT_EQ(0, setsockopt(fd[0], SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)));
	ASSERT_EQ(0, setsockopt(fd[0], SOL_SOCKET, SO_SELECT_ERR_QUEUE, &on, sizeof(on)));
	ASSERT_TRUE(give(fd[0], 1));
	nap();
	ASSERT_EQ(1, add_socket(self->q.fd, fd[0], RECV | URGENT, KEVENT_REQ_ET));
	EXPECT_EQ(FAULT, until(&self->q, ~0U, &self->ev));
	close(fd[0]);
	close(fd[1]);
}

/* The urgent byte of a UNIX socket. */
TEST_F(tcp, urgent_unix)
{
	int fd[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd));
	ASSERT_EQ(1, add_socket(self->q.fd, fd[0], URGENT, KEVENT_REQ_ET));
	ASSERT_TRUE(give(fd[1], 1));
	EXPECT_TRUE(quiet(&self->q));
	ASSERT_EQ(1, send(fd[1], "!", 1, MSG_OOB));
	EXPECT_EQ(URGENT, until(&self->q, URGENT, &self->ev));
	close(fd[0]);
	close(fd[1]);
}

/*
 * A wake-up that says nothing, from a socket that cannot be looked at without a lock: all that was
 * asked for, and the word that it is not sure. Who has it copied gets what is true.
 */
TEST_F(tcp, not_sure)
{
	static const struct kind vsock = { AF_VSOCK, SOCK_STREAM };
	int fd[2];

	ASSERT_TRUE(open_pair(&vsock, fd));
	ASSERT_EQ(1, add_socket(self->q.fd, fd[0], RECV | SEND | END, KEVENT_REQ_ET));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(SEND, self->ev.fired);
	ASSERT_EQ(0, shutdown(fd[1], SHUT_WR));
	/* The peer may tell of its room late. */
	do {
		ASSERT_TRUE(next(&self->q, &self->ev));
	} while (self->ev.fired == SEND);
	if (variant->ring) {
		EXPECT_EQ(RECV | SEND | END, self->ev.fired);
		EXPECT_EQ(KEVENT_RET_RECHECK, flags_of(&self->ev) & KEVENT_RET_RECHECK);
	} else {
		EXPECT_EQ(RECV | SEND | END, self->ev.fired);
		EXPECT_EQ(0, flags_of(&self->ev) & KEVENT_RET_RECHECK);
	}
	close(fd[0]);
	close(fd[1]);
}

/* SCTP: who listens may receive. */

/* A listener of this machine, and another socket that has its address. */
static bool open_sctp(int type, int fd[2], struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);

	*a = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	fd[0] = socket(AF_INET, type | SOCK_NONBLOCK, IPPROTO_SCTP);
	fd[1] = socket(AF_INET, type, IPPROTO_SCTP);
	return fd[0] >= 0 && fd[1] >= 0 && !bind(fd[0], (struct sockaddr *)a, len) &&
	       !listen(fd[0], 8) && !getsockname(fd[0], (struct sockaddr *)a, &len);
}

FIXTURE(sctp)
{
	struct queue q;
	struct ukevent ev;
	struct sockaddr_in a;
	int fd[2];
};

FIXTURE_VARIANT(sctp)
{
	bool ring;
};

FIXTURE_VARIANT_ADD(sctp, ring) { .ring = true };
FIXTURE_VARIANT_ADD(sctp, no_ring) { .ring = false };

FIXTURE_SETUP(sctp)
{
	ASSERT_TRUE(open_queue(&self->q, variant->ring));
}

FIXTURE_TEARDOWN(sctp)
{
	close(self->fd[0]);
	close(self->fd[1]);
	close_queue(&self->q);
}

TEST_F(sctp, one_to_many)
{
	ASSERT_TRUE(open_sctp(SOCK_SEQPACKET, self->fd, &self->a)) TH_LOG("errno %d", errno);
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], RECV | SEND, KEVENT_REQ_ET));
	EXPECT_EQ(SEND, until(&self->q, SEND, &self->ev));
	ASSERT_EQ(1, sendto(self->fd[1], "x", 1, 0, (struct sockaddr *)&self->a, sizeof(self->a)));
	EXPECT_EQ(RECV, until(&self->q, RECV, &self->ev) & RECV);
}

TEST_F(sctp, one_to_one)
{
	ASSERT_TRUE(open_sctp(SOCK_STREAM, self->fd, &self->a)) TH_LOG("errno %d", errno);
	ASSERT_EQ(1, add_socket(self->q.fd, self->fd[0], ACCEPT, 0));
	EXPECT_TRUE(quiet(&self->q));
	ASSERT_EQ(0, connect(self->fd[1], (struct sockaddr *)&self->a, sizeof(self->a)));
	ASSERT_TRUE(next(&self->q, &self->ev));
	EXPECT_EQ(ACCEPT, self->ev.fired);
}

TEST_HARNESS_MAIN
