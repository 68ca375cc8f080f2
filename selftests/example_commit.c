// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <err.h>
#include <linux/kevent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_kevent_init
#define SYS_kevent_init 473
#define SYS_kevent_ctl 474
#define SYS_kevent_commit 477
#endif

#define SLOTS 4

int main(void)
{
	struct ukevent request[3] = {
		{ .type = KEVENT_USER, .id = 1, .event = 0x1 },
		{ .type = KEVENT_USER, .id = 2, .event = 0x2 },
		{ .type = KEVENT_USER, .id = 3, .event = 0x4 },
	};
	const uint32_t state = KEVENT_RET_TAKEN | KEVENT_RET_FINISHED |
			       KEVENT_RET_LAP_MASK;
	uint64_t next = 0, head;
	struct kevent_ring *ring;
	int fd, done;

	fd = syscall(SYS_kevent_init, NULL, SLOTS, KEVENT_INIT_CLOEXEC);
	if (fd == -1)
		err(EXIT_FAILURE, "kevent_init");
	ring = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");

	done = syscall(SYS_kevent_ctl, fd, KEVENT_CTL_ADD, 3, request);
	if (done != 3)
		err(EXIT_FAILURE, "kevent_ctl");
	done = syscall(SYS_kevent_ctl, fd, KEVENT_CTL_READY, 3, request);
	if (done != 3)
		err(EXIT_FAILURE, "kevent_ctl");

	head = __atomic_load_n(&ring->ring_position, __ATOMIC_ACQUIRE);
	for (; next != head; next++) {
		struct ukevent *ev = &ring->event[next % SLOTS];
		uint32_t lap = next / SLOTS + 1;
		uint64_t word;

		word = __atomic_load_n(&ev->word, __ATOMIC_ACQUIRE);
		/* A hole, or taken back. */
		if ((word >> 32 & state) !=
		    (lap << KEVENT_RET_LAP_SHIFT & KEVENT_RET_LAP_MASK))
			continue;
		printf("%d: fired %#x\n", (int)ev->id, (uint32_t)word);
	}

	done = syscall(SYS_kevent_commit, fd, (uint32_t)head,
		       (uint32_t)(head >> 32));
	if (done == -1)
		err(EXIT_FAILURE, "kevent_commit");
	printf("%d slots freed\n", done);
	exit(done == 3 ? EXIT_SUCCESS : EXIT_FAILURE);
}
