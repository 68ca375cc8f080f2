// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <err.h>
#include <linux/kevent.h>
#include <linux/time_types.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_kevent_init
#define SYS_kevent_init 473
#define SYS_kevent_ctl 474
#define SYS_kevent_get_events 475
#endif

int main(void)
{
	struct ukevent timer = {
		.type = KEVENT_TIMER,
		.id = 7,
		.event = KEVENT_TIMER_FIRED,
		.param = { 5000000, 5000000 },	/* every 5 ms */
	};
	struct __kernel_timespec timeout = { .tv_sec = 60 };
	struct ukevent buf[4];
	unsigned long ticks = 0;
	int fd, got, i;

	fd = syscall(SYS_kevent_init, NULL, 0, KEVENT_INIT_CLOEXEC);
	if (fd == -1)
		err(EXIT_FAILURE, "kevent_init");
	if (syscall(SYS_kevent_ctl, fd, KEVENT_CTL_ADD, 1, &timer) < 0)
		err(EXIT_FAILURE, "kevent_ctl");

	while (ticks < 3) {
		got = syscall(SYS_kevent_get_events, fd, 1, 4, &timeout,
			      buf, 0);
		if (got == -1)
			err(EXIT_FAILURE, "kevent_get_events");
		if (got == 0)
			errx(EXIT_FAILURE, "nothing in a minute");
		for (i = 0; i < got; i++)
			ticks += buf[i].data;
		printf("%lu ticks\n", ticks);
	}
	exit(EXIT_SUCCESS);
}
