// SPDX-License-Identifier: GPL-2.0
#include <sys/mman.h>
#include <sys/syscall.h>

#include "ring.h"

#define ENTRIES	4096
#define MOST	65536		/* completions that io_uring lets have */

static int enter(struct ring *r, unsigned int submit, unsigned int wait, unsigned int flags)
{
	calls++;
	return (int)syscall(__NR_io_uring_enter, r->fd, submit, wait, flags | r->enter, NULL, 0);
}

void ring_open(struct ring *r, unsigned int flags, unsigned int completions)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_CQSIZE | flags,
		.cq_entries = completions < 4096 ? 4096 : completions,
	};
	struct io_uring_rsrc_update reg = { .offset = -1U };
	uint32_t *order, i;
	char *rings;
	int fd;

	if (p.cq_entries > MOST)
		p.cq_entries = MOST;
	fd = (int)syscall(__NR_io_uring_setup, ENTRIES, &p);
	need(fd >= 0, "io_uring_setup");
	need(p.features & IORING_FEAT_SINGLE_MMAP, "io_uring: one mapping");
	rings = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(*order) +
		     p.cq_off.cqes + p.cq_entries * sizeof(*r->cqe), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
	need(rings != MAP_FAILED, "io_uring: rings");
	r->sqe = mmap(NULL, p.sq_entries * sizeof(*r->sqe), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
	need(r->sqe != MAP_FAILED, "io_uring: entries");
	order = (uint32_t *)(rings + p.sq_off.array);
	for (i = 0; i < p.sq_entries; i++)
		order[i] = i;
	r->sq_tail = (uint32_t *)(rings + p.sq_off.tail);
	r->sq_mask = p.sq_entries - 1;
	r->cq_head = (uint32_t *)(rings + p.cq_off.head);
	r->cq_tail = (uint32_t *)(rings + p.cq_off.tail);
	r->cq_mask = p.cq_entries - 1;
	r->cqe = (struct io_uring_cqe *)(rings + p.cq_off.cqes);
	r->unsubmitted = 0;
	r->defer = flags & IORING_SETUP_DEFER_TASKRUN;
	reg.data = (uint64_t)fd;
	need(syscall(__NR_io_uring_register, fd, IORING_REGISTER_RING_FDS, &reg, 1) == 1,
	     "io_uring_register");
	r->fd = reg.offset;
	r->enter = IORING_ENTER_REGISTERED_RING;
}

struct io_uring_sqe *ring_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe;

	if (r->unsubmitted == ENTRIES)
		ring_submit(r);
	sqe = &r->sqe[(*r->sq_tail + r->unsubmitted++) & r->sq_mask];
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

void ring_submit(struct ring *r)
{
	__atomic_store_n(r->sq_tail, *r->sq_tail + r->unsubmitted, __ATOMIC_RELEASE);
	need(enter(r, r->unsubmitted, 0, 0) == (int)r->unsubmitted, "io_uring_enter: submit");
	r->unsubmitted = 0;
}

void ring_wait(struct ring *r)
{
	/* struct io_uring_getevents_arg of newer headers. */
	const struct {
		uint64_t sigmask;
		uint32_t sigmask_sz, min_wait_usec;
		uint64_t ts;
	} larger = { .min_wait_usec = LARGER_US };

	calls++;
	need(!syscall(__NR_io_uring_enter, r->fd, 0, LARGER,
		      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | r->enter, &larger,
		      sizeof(larger)) || errno == EINTR || errno == ETIME, "io_uring_enter: wait");
}

void ring_enter(struct ring *r, unsigned int completions)
{
	need(!enter(r, 0, completions, IORING_ENTER_GETEVENTS) || errno == EINTR,
	     "io_uring_enter: wait");
}
