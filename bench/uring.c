// SPDX-License-Identifier: GPL-2.0
/* io_uring: multishot polls, on a default ring and on one that defers its work. */
#include <poll.h>

#include "ring.h"

#define GONE	(~0ULL)

static struct ring ring;

static void open_default(unsigned int sources)
{
	ring_open(&ring, 0, 4 * sources);
}

static void open_defer(unsigned int sources)
{
	ring_open(&ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 4 * sources);
}

static void add(const int *fd, unsigned int first, unsigned int num)
{
	unsigned int i;

	for (i = 0; i < num; i++) {
		struct io_uring_sqe *sqe = ring_sqe(&ring);

		sqe->opcode = IORING_OP_POLL_ADD;
		sqe->fd = fd[i];
		sqe->len = IORING_POLL_ADD_MULTI;
		sqe->poll32_events = POLLIN;
		sqe->user_data = first + i;
	}
	ring_submit(&ring);
}

/* Completions that there are, without a call where they come by themselves. */
static struct io_uring_cqe *next(void)
{
	struct io_uring_cqe *cqe = ring_peek(&ring);

	if (!cqe && ring.defer) {
		ring_enter(&ring, 1);
		cqe = ring_peek(&ring);
	}
	return cqe;
}

static void del(const int *fd, unsigned int first, unsigned int num)
{
	unsigned int i, left = 2 * num;
	struct io_uring_cqe *cqe;

	(void)fd;
	for (i = 0; i < num; i++) {
		struct io_uring_sqe *sqe = ring_sqe(&ring);

		sqe->opcode = IORING_OP_POLL_REMOVE;
		sqe->addr = first + i;
		sqe->user_data = GONE;
	}
	ring_submit(&ring);
	while (left) {
		cqe = next();
		need(cqe, "io_uring: no answer to a removal");
		need(cqe->user_data != GONE || !cqe->res, "io_uring: not removed");
		ring_seen(&ring);
		left--;
	}
}

static void take(unsigned int first, unsigned int want)
{
	struct io_uring_cqe *cqe;

	for (; want; want--, first++) {
		cqe = next();
		need(cqe && cqe->user_data == first, "io_uring: another source");
		need(cqe->res > 0 && cqe->flags & IORING_CQE_F_MORE, "io_uring: a poll ended");
		ring_seen(&ring);
	}
}

/* One thread only: a ring has one consumer. */
static unsigned int wait_uring(unsigned int *known, unsigned int max, enum sleep sleep)
{
	struct io_uring_cqe *cqe;
	unsigned int n = 0;

	for (;;) {
		while (n < max && (cqe = ring_peek(&ring))) {
			need(cqe->res > 0 && cqe->flags & IORING_CQE_F_MORE, "io_uring: a poll ended");
			known[n++] = (unsigned int)cqe->user_data;
			ring_seen(&ring);
		}
		if (n || sleep == NEVER)
			return n;
		if (sleep == FOR_MORE)
			ring_wait(&ring);
		else
			ring_enter(&ring, 1);
	}
}

const struct peer uring = {
	"io_uring", open_default, add, del, take, wait_uring, false
};
const struct peer uring_defer = {
	"io_uring-defer", open_defer, add, del, take, wait_uring, false
};
