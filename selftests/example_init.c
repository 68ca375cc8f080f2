// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <err.h>
#include <linux/kevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_kevent_init
#define SYS_kevent_init 473
#endif

int main(void)
{
	unsigned int type;
	int answer;

	answer = syscall(SYS_kevent_init, NULL, 0, KEVENT_INIT_QUERY);
	if (answer == -1)
		err(EXIT_FAILURE, "kevent_init");

	printf("interface %d, sources of type", answer & 0xffff);
	for (type = 0; type <= KEVENT_USER; type++)
		if (answer & KEVENT_QUERY_SOURCE(type))
			printf(" %u", type);
	putchar('\n');
	exit(EXIT_SUCCESS);
}
