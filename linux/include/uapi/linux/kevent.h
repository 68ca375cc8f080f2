/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * kevent: one queue for events of every kind.
 *
 * Meaning of every field, flag and error: Documentation/userspace-api/kevent.rst
 */
#ifndef _UAPI_LINUX_KEVENT_H
#define _UAPI_LINUX_KEVENT_H

#include <linux/types.h>
#include <asm/byteorder.h>

/* What kevent_init(NULL, 0, KEVENT_INIT_QUERY) answers: bits 0..15 of the result. */
#define KEVENT_ABI			1
/* Bit (16 + type) of that result: the source of this type is built in. */
#define KEVENT_QUERY_SOURCE(type)	(1U << (16 + (type)))

/* kevent_init() flags. */
#define KEVENT_INIT_CLOEXEC		0x1
#define KEVENT_INIT_NONBLOCK		0x2
#define KEVENT_INIT_QUERY		0x4

/* kevent_ctl() commands. */
#define KEVENT_CTL_ADD			0
#define KEVENT_CTL_REMOVE		1
#define KEVENT_CTL_MODIFY		2
#define KEVENT_CTL_READY		3
#define KEVENT_CTL_SET			4	/* ADD, or MODIFY what is there */

/* Records in one kevent_ctl() call; slots of a ring. */
#define KEVENT_BATCH_MAX		4096
#define KEVENT_RING_MAX			65536

/* kevent_get_events() and kevent_wait() flags. */
#define KEVENT_FLAGS_ABSTIME		0x1
#define KEVENT_FLAGS_EXT_ARG		0x2

/* Types of sources. The key of a registration is (type, id). */
#define KEVENT_SOCKET			0
#define KEVENT_INODE			1
#define KEVENT_TIMER			2
#define KEVENT_POLL			3
#define KEVENT_NAIO			4
#define KEVENT_AIO			5
#define KEVENT_PIPE			6
#define KEVENT_SIGNAL			7
#define KEVENT_POSIX_TIMER		8
#define KEVENT_USER			9

/* Request flags. */
#define KEVENT_REQ_ONESHOT		0x1
#define KEVENT_REQ_WAKEUP_ALL		0x2
#define KEVENT_REQ_ET			0x4
#define KEVENT_REQ_LAST_CHECK		0x8
#define KEVENT_REQ_ALWAYS_QUEUE		0x10
#define KEVENT_REQ_DISPATCH		0x20
#define KEVENT_REQ_EXCLUSIVE		0x40

/* KEVENT_TIMER: its only bit, and request flags of its own. */
#define KEVENT_TIMER_FIRED		0x1
#define KEVENT_TIMER_ABSTIME		0x10000
#define KEVENT_TIMER_CLOCK_MASK		0xf00000
#define KEVENT_TIMER_MONOTONIC		0x000000
#define KEVENT_TIMER_REALTIME		0x100000
#define KEVENT_TIMER_BOOTTIME		0x200000
#define KEVENT_TIMER_TAI		0x300000

/* KEVENT_SOCKET: its bits. ERROR and HUP are reported without being asked for. */
#define KEVENT_SOCKET_RECV		0x1
#define KEVENT_SOCKET_ACCEPT		0x2
#define KEVENT_SOCKET_SEND		0x4
#define KEVENT_SOCKET_URGENT		0x8
#define KEVENT_SOCKET_EOF		0x10	/* the peer sends nothing more */
#define KEVENT_SOCKET_ERROR		0x20	/* its errno is in ukevent.error */
#define KEVENT_SOCKET_HUP		0x40	/* nothing goes either way */
#define KEVENT_SOCKET_MASK		0x7f

/* Return flags that carry a result. */
#define KEVENT_RET_BROKEN		0x1	/* the record was refused, the source failed */
#define KEVENT_RET_DONE			0x2	/* the record was answered, the event is complete */
#define KEVENT_RET_COPY_FAILED		0x4	/* never set */
#define KEVENT_RET_OUTSTANDING		0x8	/* REMOVE, MODIFY: an event is taken, unfinished */
#define KEVENT_RET_RECHECK		0x10	/* the source did not say which bits are true */
#define KEVENT_RET_INJECTED		0x20	/* fired by READY, not by its source */
#define KEVENT_RET_COUNTED		0x40	/* data counts; takers set KEVENT_DATA_CLOSED */

/* Return flags that say who owns a slot of the ring. */
#define KEVENT_RET_TAKEN		0x100
#define KEVENT_RET_FINISHED		0x200
#define KEVENT_RET_LAP_SHIFT		10
#define KEVENT_RET_LAP_MASK		(0xffU << KEVENT_RET_LAP_SHIFT)
#define KEVENT_RET_OWNER_SHIFT		18
#define KEVENT_RET_OWNER_MASK		(0x3fffU << KEVENT_RET_OWNER_SHIFT)

/* Owner numbers: 1 .. KEVENT_OWNER_MAX. What owner 0 has taken, a commit frees. */
#define KEVENT_OWNER_MAX		0x3fff

/* Set in ukevent.data by the taker of a KEVENT_RET_COUNTED entry. The count is 63 bits wide. */
#define KEVENT_DATA_CLOSED		(1ULL << 63)

/* One event or request; in the ring one cache line. */
struct ukevent {
	__u64	id;		/* what the source calls it: a token, or a file descriptor */
	__u32	type;		/* KEVENT_USER ... */
	__u32	event;		/* requested mask */
	__u32	req_flags;	/* KEVENT_REQ_* */
	__u32	error;		/* errno of the source or of the request, 0: none */
	__u64	data;		/* the source's datum */
	__u64	user;		/* the caller's, handed back unchanged */
	__u64	param[2];	/* request: see the source; event: generation, 0 */
	union {
		__aligned_u64	word;	/* the pair below, always changed as one */
		struct {
#if defined(__BIG_ENDIAN) && (!defined(__BYTE_ORDER) || __BYTE_ORDER == __BIG_ENDIAN)
			__u32	ret_flags;
			__u32	fired;
#else
			__u32	fired;		/* mask of what fired */
			__u32	ret_flags;	/* KEVENT_RET_* */
#endif
		};
	};
};

/* The memory shared by the kernel and the consumers of one queue. */
struct kevent_ring {
	/* First cache line: written by the kernel only. */
	union {
		__aligned_u64	ring_position;	/* (ring_over << 32) | ring_kidx */
		struct {
#if defined(__BIG_ENDIAN) && (!defined(__BYTE_ORDER) || __BYTE_ORDER == __BIG_ENDIAN)
			__u32	ring_over;
			__u32	ring_kidx;
#else
			__u32	ring_kidx;	/* next position, runs freely */
			__u32	ring_over;	/* how often ring_kidx wrapped */
#endif
		};
	};
	__u32	ring_slots;		/* a power of two */
	__u32	ring_pending;		/* 1: events wait in the kernel for room */
	__u64	reserved[6];
	/* Second cache line: never read by the kernel. */
	__u64	shared[8];
	struct ukevent event[];		/* slot = position & (ring_slots - 1) */
};

/* What KEVENT_FLAGS_EXT_ARG puts in place of the timeout. */
struct kevent_wait_arg {
	__u64	timeout;	/* address of struct __kernel_timespec, 0: for ever */
	__u64	sigmask;	/* address of the signal mask during the wait, 0: unchanged */
	__u32	sigmask_size;	/* sizeof(sigset_t) of the kernel, 8 */
	__u32	clock;		/* clockid of the timeout */
	__u64	min_wait;	/* ns to wait for a larger batch */
	__u64	reserved[2];
};

#endif /* _UAPI_LINUX_KEVENT_H */
