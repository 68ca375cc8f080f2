/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * kevent for programs: the system calls, and a consumer that takes events from the ring without
 * one. C (gnu99, C11) and C++ (11); everything is static inline, there is no library.
 *
 *	struct kevent_consumer c;
 *	struct ukevent *ev;
 *
 *	kevent_ring_open(&c, 256, KEVENT_INIT_CLOEXEC, 1);
 *	for (;;) {
 *		while ((ev = kevent_ring_take(&c))) {
 *			... ev->id, ev->user, ev->fired, kevent_ring_data(ev) ...
 *			kevent_ring_finish(&c, ev);
 *		}
 *		kevent_ring_wait(&c, NULL);
 *	}
 */
#ifndef _KEVENT_H
#define _KEVENT_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kevent.h>

#ifndef __NR_kevent_init
#define __NR_kevent_init	473
#endif
#ifndef __NR_kevent_ctl
#define __NR_kevent_ctl		474
#endif
#ifndef __NR_kevent_get_events
#define __NR_kevent_get_events	475
#endif
#ifndef __NR_kevent_wait
#define __NR_kevent_wait	476
#endif
#ifndef __NR_kevent_commit
#define __NR_kevent_commit	477
#endif

#ifndef __cplusplus
/* Strict ISO modes hide it. */
long syscall(long number, ...);
#endif

/*
 * The system calls: -1 and errno on error.
 */

/* A new queue. ring NULL: map it later; ring_size 0: no ring. EINVAL, ENOMEM, EMFILE, ENFILE. */
static inline int kevent_init(void *ring, unsigned int ring_size, unsigned int flags)
{
	return (int)syscall(__NR_kevent_init, ring, ring_size, flags);
}

/* How many records took effect; the errno of the first one if that is refused. */
static inline int kevent_ctl(int fd, unsigned int cmd, unsigned int num, struct ukevent *arg)
{
	return (int)syscall(__NR_kevent_ctl, fd, cmd, num, arg);
}

/* Copies min_nr to max_nr events to buf, returns how many. timeout: struct __kernel_timespec. */
static inline int kevent_get_events(int fd, unsigned int min_nr, unsigned int max_nr,
				    const void *timeout, struct ukevent *buf, unsigned int flags)
{
	return (int)syscall(__NR_kevent_get_events, fd, min_nr, max_nr, timeout, buf, flags);
}

/* Entries past position old_uidx; 0: timeout, READY, or only pending events without room. EINTR. */
static inline int kevent_wait(int fd, unsigned int num, unsigned int old_uidx,
			      const void *timeout, unsigned int flags)
{
	return (int)syscall(__NR_kevent_wait, fd, num, old_uidx, timeout, flags);
}

/* Frees slots before position (over, new_idx), and returns how many. EINVAL, EOVERFLOW. */
static inline int kevent_commit(int fd, unsigned int new_idx, unsigned int over)
{
	return (int)syscall(__NR_kevent_commit, fd, new_idx, over);
}

/*
 * The word of a slot: fired mask in the low half, return flags in the high one.
 */

#define KEVENT_WORD_TAKEN	((uint64_t)KEVENT_RET_TAKEN << 32)
#define KEVENT_WORD_FINISHED	((uint64_t)KEVENT_RET_FINISHED << 32)
#define KEVENT_WORD_COUNTED	((uint64_t)KEVENT_RET_COUNTED << 32)
#define KEVENT_WORD_OWNER	((uint64_t)KEVENT_RET_OWNER_MASK << 32)
#define KEVENT_WORD_STATE_SHIFT	40	/* TAKEN, FINISHED, lap and owner are above it */

/* The word as it is now; no order. */
static inline uint64_t kevent_word_load(const struct ukevent *ev)
{
	return __atomic_load_n(&ev->word, __ATOMIC_RELAXED);
}

/* The low 8 bits of the lap in which the entry was written. */
static inline uint32_t kevent_word_lap(uint64_t word)
{
	return ((uint32_t)(word >> 32) & KEVENT_RET_LAP_MASK) >> KEVENT_RET_LAP_SHIFT;
}

/* Who took the entry. */
static inline uint32_t kevent_word_owner(uint64_t word)
{
	return (uint32_t)(word >> 32) >> KEVENT_RET_OWNER_SHIFT;
}

/* Whether the entry waits for a consumer. */
static inline int kevent_word_untaken(uint64_t word)
{
	return !(word & (KEVENT_WORD_TAKEN | KEVENT_WORD_FINISHED));
}

/* Whether `owner` holds the entry. */
static inline int kevent_word_held_by(uint64_t word, uint32_t owner)
{
	return (word & (KEVENT_WORD_TAKEN | KEVENT_WORD_FINISHED)) == KEVENT_WORD_TAKEN &&
	       kevent_word_owner(word) == owner;
}

/*
 * A consumer: one thread's cursor in a ring. Threads and processes that share a ring have a
 * consumer each, with owner numbers of their own.
 */

struct kevent_consumer {
	int fd;
	uint32_t owner;			/* 1 .. KEVENT_OWNER_MAX; 0: kevent_commit() frees for it */
	uint32_t mask;			/* slots - 1 */
	uint32_t shift;			/* log2 of slots */
	uint64_t mine;			/* what a take sets in a word: TAKEN, and the owner */
	uint64_t next;			/* the position to look at next */
	uint64_t known;			/* the head as last read: entries before it are visible */
	struct kevent_ring *ring;
};

/* The length of the mapping in bytes. */
static inline size_t kevent_ring_bytes(uint32_t slots)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = sizeof(struct kevent_ring) + (size_t)slots * sizeof(struct ukevent);

	return (bytes + page - 1) & ~(page - 1);
}

/* The number of slots. */
static inline uint32_t kevent_ring_slots(const struct kevent_consumer *c)
{
	return c->mask + 1;
}

/* The position that the kernel fills next. What stands before it is visible. */
static inline uint64_t kevent_ring_head(const struct kevent_consumer *c)
{
	return __atomic_load_n(&c->ring->ring_position, __ATOMIC_ACQUIRE);
}

/* Begins at the oldest entry that may still be there. */
static inline void kevent_ring_rewind(struct kevent_consumer *c)
{
	c->known = kevent_ring_head(c);
	c->next = c->known > kevent_ring_slots(c) ? c->known - kevent_ring_slots(c) : 0;
}

/* A consumer of a ring that is mapped at `ring`; both numbers must be valid. */
static inline void kevent_ring_attach(struct kevent_consumer *c, int fd, void *ring,
				      uint32_t slots, uint32_t owner)
{
	c->fd = fd;
	c->owner = owner;
	c->mask = slots - 1;
	c->shift = (uint32_t)__builtin_ctz(slots);
	c->mine = KEVENT_WORD_TAKEN | ((uint64_t)owner << (32 + KEVENT_RET_OWNER_SHIFT));
	c->ring = (struct kevent_ring *)ring;
	kevent_ring_rewind(c);
}

/* Maps the ring of a queue that came by fork() or over a socket. 0, or -1: EINVAL, ENOMEM. */
static inline int kevent_ring_map(struct kevent_consumer *c, int fd, uint32_t slots, uint32_t owner)
{
	void *ring;

	if (slots == 0 || slots > KEVENT_RING_MAX || owner > KEVENT_OWNER_MAX) {
		errno = EINVAL;
		return -1;
	}
	ring = mmap(NULL, kevent_ring_bytes(slots), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return -1;
	kevent_ring_attach(c, fd, ring, slots, owner);
	return 0;
}

/* A new queue with a ring of a power of two slots. 0, or -1 and errno of kevent_init(), mmap(). */
static inline int kevent_ring_open(struct kevent_consumer *c, uint32_t slots, uint32_t flags,
				   uint32_t owner)
{
	int error, fd = kevent_init(NULL, slots, flags);

	if (fd < 0)
		return -1;
	if (kevent_ring_map(c, fd, slots, owner) == 0)
		return 0;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* Ends the mapping and the descriptor, also for those who joined this consumer. */
static inline void kevent_ring_close(struct kevent_consumer *c)
{
	munmap(c->ring, kevent_ring_bytes(kevent_ring_slots(c)));
	close(c->fd);
	c->ring = NULL;
	c->fd = -1;
}

/* One more consumer of a mapped ring: a thread, or a child after fork(). 0, or -1: EINVAL. */
static inline int kevent_ring_join(struct kevent_consumer *c, const struct kevent_consumer *of,
				   uint32_t owner)
{
	if (owner > KEVENT_OWNER_MAX) {
		errno = EINVAL;
		return -1;
	}
	kevent_ring_attach(c, of->fd, of->ring, kevent_ring_slots(of), owner);
	return 0;
}

/* The entry is the caller's now: its count, if it has one, goes no further. */
static inline struct ukevent *__kevent_ring_seal(struct ukevent *ev, uint64_t word)
{
	if ((uint32_t)(word >> 32) & KEVENT_RET_COUNTED)
		__atomic_fetch_or(&ev->data, KEVENT_DATA_CLOSED, __ATOMIC_RELAXED);
	return ev;
}

/* Reads the head: 1 if there are positions that the consumer has not looked at. */
static inline int __kevent_ring_more(struct kevent_consumer *c)
{
	uint64_t head = kevent_ring_head(c), ahead = head - c->next;

	if (ahead - 1 > c->mask) {
		if ((int64_t)ahead <= 0)
			return 0;
		c->next = head - kevent_ring_slots(c);
	}
	c->known = head;
	return 1;
}

/* The state in the word at `position` while nobody has taken the entry: its lap alone. */
static inline uint64_t __kevent_ring_untaken(const struct kevent_consumer *c, uint64_t position)
{
	uint32_t lap = (uint32_t)(position >> c->shift) + 1;

	return ((lap << KEVENT_RET_LAP_SHIFT) & KEVENT_RET_LAP_MASK) >>
	       (KEVENT_WORD_STATE_SHIFT - 32);
}

/* Takes the oldest untaken entry before the known head, of the one or more that are there. */
static inline struct ukevent *__kevent_ring_scan(struct kevent_consumer *c)
{
	do {
		struct ukevent *ev = &c->ring->event[c->next & c->mask];
		uint64_t untaken = __kevent_ring_untaken(c, c->next);
		__u64 word = kevent_word_load(ev);

		/*
		 * If the ring went round since the head was read, the lap is another one. By a
		 * multiple of 256 laps it is not, and this takes a younger entry. That is as good;
		 * the cursor is far behind then, and goes on at the oldest slot when it comes to
		 * the known head.
		 */
		c->next++;
		while (word >> KEVENT_WORD_STATE_SHIFT == untaken) {
			/* The payload, and what made the source fire, are seen from here on. */
			if (__atomic_compare_exchange_n(&ev->word, &word, word | c->mine, 0,
							__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
				return __kevent_ring_seal(ev, word);
		}
	} while (c->next < c->known);
	return NULL;
}

/*
 * Takes the oldest untaken entry, NULL if there is none. The entry stays readable until
 * kevent_ring_finish(). No system call, no loop that another thread could keep going.
 */
static inline struct ukevent *kevent_ring_take(struct kevent_consumer *c)
{
	struct ukevent *ev = c->next < c->known ? __kevent_ring_scan(c) : NULL;

	if (!ev && __kevent_ring_more(c))
		ev = __kevent_ring_scan(c);
	return ev;
}

/* Frees the slot of an entry that this consumer took; nothing if another recovered it meanwhile. */
static inline void kevent_ring_finish(struct kevent_consumer *c, struct ukevent *ev)
{
	const uint64_t holder = KEVENT_WORD_OWNER | KEVENT_WORD_FINISHED | KEVENT_WORD_TAKEN;
	__u64 word = kevent_word_load(ev);

	/* The kernel fills the slot again after the caller's reads. */
	if ((word & holder) == c->mine)
		__atomic_compare_exchange_n(&ev->word, &word, word | KEVENT_WORD_FINISHED, 0,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* The datum of a taken entry or of a copied event; a count without the taker's bit. */
static inline uint64_t kevent_ring_data(const struct ukevent *ev)
{
	uint64_t data = __atomic_load_n(&ev->data, __ATOMIC_RELAXED);

	return kevent_word_load(ev) & KEVENT_WORD_COUNTED ? data & ~KEVENT_DATA_CLOSED : data;
}

/*
 * Takes over one entry from an owner that is gone (joined, or dead), NULL if it holds none. That
 * owner may have handled it already.
 */
static inline struct ukevent *kevent_ring_inherit(struct kevent_consumer *c, uint32_t owner)
{
	uint64_t mine = (uint64_t)c->owner << (32 + KEVENT_RET_OWNER_SHIFT);
	uint64_t slot;

	if (owner == c->owner)
		return NULL;
	for (slot = 0; slot <= c->mask; slot++) {
		struct ukevent *ev = &c->ring->event[slot];
		__u64 word = kevent_word_load(ev);

		if (kevent_word_held_by(word, owner) &&
		    __atomic_compare_exchange_n(&ev->word, &word,
						(word & ~KEVENT_WORD_OWNER) | mine, 0,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return __kevent_ring_seal(ev, word);
	}
	return NULL;
}

/* Finishes every entry that an owner who is gone held, and returns how many. */
static inline uint32_t kevent_ring_recover(struct kevent_consumer *c, uint32_t owner)
{
	uint32_t freed = 0;
	uint64_t slot;

	for (slot = 0; slot <= c->mask; slot++) {
		struct ukevent *ev = &c->ring->event[slot];
		__u64 word = kevent_word_load(ev);

		if (kevent_word_held_by(word, owner) &&
		    __atomic_compare_exchange_n(&ev->word, &word, word | KEVENT_WORD_FINISHED, 0,
						__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			freed++;
	}
	return freed;
}

/* 1 when events wait in the kernel for room: call kevent_ring_wait() or kevent_get_events(). */
static inline int kevent_ring_pending(const struct kevent_consumer *c)
{
	/* Finished slots first, or the kernel and the caller could both miss each other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&c->ring->ring_pending, __ATOMIC_RELAXED) != 0;
}

/* kevent_wait() from where this consumer stands. timeout: struct __kernel_timespec, or NULL. */
static inline int kevent_ring_wait(const struct kevent_consumer *c, const void *timeout)
{
	return kevent_wait(c->fd, kevent_ring_slots(c), (uint32_t)c->next, timeout, 0);
}

#endif /* _KEVENT_H */
