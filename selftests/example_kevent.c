// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <err.h>
#include <linux/kevent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_kevent_init
#define SYS_kevent_init 473
#define SYS_kevent_ctl 474
#define SYS_kevent_wait 476
#endif

#define SLOTS 8
#define OWNER 1
#define HIGH(flags) ((uint64_t)(flags) << 32)

static struct kevent_ring *ring;
static uint64_t next;		/* the position to look at next */

/* Changes the word of an entry from @old, or reads what it is. */
static bool change(struct ukevent *ev, __u64 *old, __u64 new, int order)
{
	return __atomic_compare_exchange_n(&ev->word, old, new, false,
					   order, __ATOMIC_RELAXED);
}

/* Takes the entry at @position, if it is there and untaken. */
static bool take_at(struct ukevent *ev, uint64_t position)
{
	uint32_t lap = (position / SLOTS + 1) << KEVENT_RET_LAP_SHIFT;
	uint64_t state, untaken, mine;
	__u64 word;

	state = HIGH(KEVENT_RET_TAKEN | KEVENT_RET_FINISHED |
		     KEVENT_RET_LAP_MASK);
	untaken = HIGH(lap & KEVENT_RET_LAP_MASK);
	mine = HIGH(KEVENT_RET_TAKEN | OWNER << KEVENT_RET_OWNER_SHIFT);
	word = __atomic_load_n(&ev->word, __ATOMIC_RELAXED);
	while ((word & state) == untaken) {
		if (!change(ev, &word, word | mine, __ATOMIC_ACQUIRE))
			continue;
		if (word & HIGH(KEVENT_RET_COUNTED))
			__atomic_fetch_or(&ev->data, KEVENT_DATA_CLOSED,
					  __ATOMIC_RELAXED);
		return true;
	}
	return false;
}

/* Takes the oldest untaken entry. */
static struct ukevent *take(void)
{
	struct ukevent *ev;
	uint64_t head;

	head = __atomic_load_n(&ring->ring_position, __ATOMIC_ACQUIRE);
	if (head - next > SLOTS)
		next = head - SLOTS;
	while (next != head) {
		ev = &ring->event[next % SLOTS];
		if (take_at(ev, next++))
			return ev;
	}
	return NULL;
}

/* Frees the slot of a taken entry. */
static void finish(struct ukevent *ev)
{
	__u64 word = __atomic_load_n(&ev->word, __ATOMIC_RELAXED);

	change(ev, &word, word | HIGH(KEVENT_RET_FINISHED),
	       __ATOMIC_RELEASE);
}

int main(void)
{
	struct ukevent request[2] = {
		{
			.type = KEVENT_POLL,
			.event = POLLIN,
			.user = (uintptr_t)"pipe",
		},
		{
			.type = KEVENT_TIMER,
			.id = 1,
			.event = KEVENT_TIMER_FIRED,
			.req_flags = KEVENT_REQ_ONESHOT,
			.user = (uintptr_t)"timer",
			.param = { 10000000, 0 },	/* in 10 ms */
		},
	};
	int fd, added, pipefd[2], seen = 0;
	struct ukevent *ev;
	char byte;

	fd = syscall(SYS_kevent_init, NULL, SLOTS, KEVENT_INIT_CLOEXEC);
	if (fd == -1)
		err(EXIT_FAILURE, "kevent_init");

	/* Header and slots fit into one page. */
	ring = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");

	if (pipe(pipefd) == -1 || write(pipefd[1], "x", 1) != 1)
		err(EXIT_FAILURE, "pipe");
	request[0].id = pipefd[0];
	added = syscall(SYS_kevent_ctl, fd, KEVENT_CTL_ADD, 2, request);
	if (added != 2)
		err(EXIT_FAILURE, "kevent_ctl");

	while (seen < 2) {
		while ((ev = take())) {
			printf("%s: fired %#x\n",
			       (char *)(uintptr_t)ev->user, ev->fired);
			if (ev->type == KEVENT_POLL &&
			    read(ev->id, &byte, 1) != 1)
				err(EXIT_FAILURE, "read");
			finish(ev);
			seen++;
		}
		if (seen < 2 && syscall(SYS_kevent_wait, fd, SLOTS,
					(uint32_t)next, NULL, 0) == -1)
			err(EXIT_FAILURE, "kevent_wait");
	}
	exit(EXIT_SUCCESS);
}
