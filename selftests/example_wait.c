// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <err.h>
#include <linux/kevent.h>
#include <linux/time_types.h>
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

int main(void)
{
	struct ukevent request = { .type = KEVENT_USER, .id = 1,
				   .event = 0x2 };
	struct __kernel_timespec soon = { .tv_nsec = 10000000 };
	struct kevent_ring *ring;
	uint32_t old;
	int fd, done, news;

	fd = syscall(SYS_kevent_init, NULL, 4, KEVENT_INIT_CLOEXEC);
	if (fd == -1)
		err(EXIT_FAILURE, "kevent_init");
	ring = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");
	done = syscall(SYS_kevent_ctl, fd, KEVENT_CTL_ADD, 1, &request);
	if (done != 1)
		err(EXIT_FAILURE, "kevent_ctl");

	/* What is told from here on is news. */
	old = __atomic_load_n(&ring->ring_position, __ATOMIC_ACQUIRE);
	switch (fork()) {
	case -1:
		err(EXIT_FAILURE, "fork");
	case 0:
		usleep(1000);
		done = syscall(SYS_kevent_ctl, fd, KEVENT_CTL_READY, 1,
			       &request);
		if (done != 1)
			err(EXIT_FAILURE, "kevent_ctl");
		_exit(EXIT_SUCCESS);
	}
	news = syscall(SYS_kevent_wait, fd, 1, old, NULL, 0);
	if (news == -1)
		err(EXIT_FAILURE, "kevent_wait");
	printf("%d since %u\n", news, old);

	old = __atomic_load_n(&ring->ring_position, __ATOMIC_ACQUIRE);
	news = syscall(SYS_kevent_wait, fd, 1, old, &soon, 0);
	if (news == -1)
		err(EXIT_FAILURE, "kevent_wait");
	printf("%d since %u, for 10 ms\n", news, old);
	exit(EXIT_SUCCESS);
}
