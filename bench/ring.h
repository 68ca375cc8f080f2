/* SPDX-License-Identifier: GPL-2.0 */
/* An io_uring whose descriptor is registered. */
#ifndef KEVENT_BENCH_RING_H
#define KEVENT_BENCH_RING_H

#include <linux/io_uring.h>

#include "bench.h"

struct ring {
	unsigned int fd;		/* its registered number */
	unsigned int enter;		/* flags of io_uring_enter() */
	bool defer;
	uint32_t *sq_tail, sq_mask, unsubmitted;
	uint32_t *cq_head, *cq_tail, cq_mask;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
};

void ring_open(struct ring *r, unsigned int flags, unsigned int completions);
/* A zeroed entry; those before it are submitted when there is no room. */
struct io_uring_sqe *ring_sqe(struct ring *r);
void ring_submit(struct ring *r);
/* Lets the kernel complete what it put off, and waits for @completions. */
void ring_enter(struct ring *r, unsigned int completions);
/* Waits for LARGER completions, and after LARGER_US for one. */
void ring_wait(struct ring *r);

static inline struct io_uring_cqe *ring_peek(struct ring *r)
{
	uint32_t head = *r->cq_head;

	if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
		return NULL;
	return &r->cqe[head & r->cq_mask];
}

static inline void ring_seen(struct ring *r)
{
	__atomic_store_n(r->cq_head, *r->cq_head + 1, __ATOMIC_RELEASE);
}

#endif
