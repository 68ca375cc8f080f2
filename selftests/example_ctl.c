// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <err.h>
#include <linux/kevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_kevent_init
#define SYS_kevent_init 473
#define SYS_kevent_ctl 474
#endif

int main(void)
{
	struct ukevent request[3] = {
		{ .type = KEVENT_USER, .id = 1, .event = 0x1 },
		{ .type = KEVENT_USER, .id = 2 },	/* no event */
		{ .type = KEVENT_USER, .id = 3, .event = 0x1 },
	};
	int fd, done;

	fd = syscall(SYS_kevent_init, NULL, 0, KEVENT_INIT_CLOEXEC);
	if (fd == -1)
		err(EXIT_FAILURE, "kevent_init");

	done = syscall(SYS_kevent_ctl, fd, KEVENT_CTL_ADD, 3, request);
	if (done == -1)
		err(EXIT_FAILURE, "kevent_ctl");

	printf("%d of 3 took effect\n", done);
	if (done < 3)
		printf("%d: %s\n", done, strerror(request[done].error));
	exit(done == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}
