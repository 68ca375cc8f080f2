// SPDX-License-Identifier: GPL-2.0
/* kevent: with a ring, and by kevent_get_events(). */
#include <poll.h>

#include "bench.h"

static struct kevent_consumer c;
static struct ukevent batch[KEVENT_BATCH_MAX];

static void open_ring(unsigned int sources)
{
	unsigned int slots = 128;

	while (slots < 2 * sources && slots < 32768)
		slots *= 2;
	need(!kevent_ring_open(&c, slots, 0, 1), "kevent_ring_open");
}

static void open_plain(unsigned int sources)
{
	(void)sources;
	c.fd = kevent_init(NULL, 0, 0);
	need(c.fd >= 0, "kevent_init");
}

static void ctl(unsigned int cmd, uint32_t type, uint32_t mask, const int *fd, unsigned int first,
		unsigned int num)
{
	unsigned int i, n;

	for (; num; num -= n, fd += n, first += n) {
		n = num < KEVENT_BATCH_MAX ? num : KEVENT_BATCH_MAX;
		for (i = 0; i < n; i++)
			batch[i] = (struct ukevent){
				.id = (uint64_t)fd[i],
				.type = type,
				.event = mask,
				.req_flags = KEVENT_REQ_ET,
				.user = first + i,
			};
		calls++;
		need(kevent_ctl(c.fd, cmd, n, batch) == (int)n, "kevent_ctl");
	}
}

static void add(const int *fd, unsigned int first, unsigned int num)
{
	ctl(KEVENT_CTL_ADD, KEVENT_POLL, POLLIN, fd, first, num);
}

static void add_socket(const int *fd, unsigned int first, unsigned int num)
{
	ctl(KEVENT_CTL_ADD, KEVENT_SOCKET, KEVENT_SOCKET_RECV, fd, first, num);
}

static void del(const int *fd, unsigned int first, unsigned int num)
{
	ctl(KEVENT_CTL_REMOVE, KEVENT_POLL, 0, fd, first, num);
}

static void del_socket(const int *fd, unsigned int first, unsigned int num)
{
	ctl(KEVENT_CTL_REMOVE, KEVENT_SOCKET, 0, fd, first, num);
}

static void take_ring(unsigned int first, unsigned int want)
{
	struct ukevent *ev;

	for (; want; want--, first++) {
		ev = kevent_ring_take(&c);
		need(ev && ev->user == first, "kevent: another source");
		kevent_ring_finish(&c, ev);
	}
}

static void take_get(unsigned int first, unsigned int want)
{
	unsigned int i;

	calls++;
	need(kevent_get_events(c.fd, 0, want, NULL, batch, 0) == (int)want, "kevent_get_events");
	for (i = 0; i < want; i++)
		need(batch[i].user == first + i, "kevent: another source");
}

static unsigned int wait_ring(unsigned int *known, unsigned int max, enum sleep sleep)
{
	static const struct kevent_wait_arg longer = {
		.clock = CLOCK_MONOTONIC, .min_wait = 1000 * LARGER_US,
	};
	static __thread struct kevent_consumer mine;
	static uint32_t owners;
	unsigned int n = 0;
	struct ukevent *ev;
	int got;

	if (!mine.ring)
		need(!kevent_ring_join(&mine, &c, 1 + __atomic_add_fetch(&owners, 1,
									 __ATOMIC_RELAXED)),
		     "kevent_ring_join");
	for (;;) {
		while (n < max && (ev = kevent_ring_take(&mine))) {
			known[n++] = (unsigned int)ev->user;
			kevent_ring_finish(&mine, ev);
		}
		if (n || sleep == NEVER)
			return n;
		calls++;
		if (sleep == FOR_MORE)
			got = kevent_wait(mine.fd, LARGER, (uint32_t)mine.next, &longer,
					  KEVENT_FLAGS_EXT_ARG);
		else
			got = kevent_ring_wait(&mine, NULL);
		need(got >= 0 || errno == EINTR, "kevent_wait");
	}
}

static unsigned int wait_get(unsigned int *known, unsigned int max, enum sleep sleep)
{
	static __thread struct ukevent got[BATCH];
	int i, n;

	calls++;
	n = kevent_get_events(c.fd, sleep != NEVER, max < BATCH ? max : BATCH, NULL, got, 0);
	need(n > 0 || (!n && sleep == NEVER), "kevent_get_events");
	for (i = 0; i < n; i++)
		known[i] = (unsigned int)got[i].user;
	return (unsigned int)n;
}

const struct peer kevent_ring = {
	"kevent", open_ring, add, del, take_ring, wait_ring, false
};
const struct peer kevent_socket = {
	"kevent", open_ring, add_socket, del_socket, take_ring, wait_ring, false
};
const struct peer kevent_get = {
	"kevent-get", open_plain, add, del, take_get, wait_get, false
};
const struct peer kevent_get_socket = {
	"kevent-get", open_plain, add_socket, del_socket, take_get, wait_get, false
};
