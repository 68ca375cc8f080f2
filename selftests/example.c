// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Rings a door bell, and hears it in the ring of the queue. */
#include <stdio.h>
#include "kevent.h"

int main(void)
{
	struct ukevent bell = { .type = KEVENT_USER, .id = 7, .event = 1 };
	struct ukevent *ev, push = { .type = KEVENT_USER, .id = 7, .data = 1 };
	struct kevent_consumer c;
	unsigned long heard = 0;

	if (kevent_ring_open(&c, 8, 0, 1) || kevent_ctl(c.fd, KEVENT_CTL_ADD, 1, &bell) != 1)
		return 1;
	for (int visit = 1; visit <= 3; visit++) {
		for (int i = 0; i < visit; i++)
			kevent_ctl(c.fd, KEVENT_CTL_READY, 1, &push);

		while ((ev = kevent_ring_take(&c))) {		/* no system call ... */
			heard += kevent_ring_data(ev);
			printf("bell %d: %d\n", (int)ev->id, (int)kevent_ring_data(ev));
			kevent_ring_finish(&c, ev);		/* ... and none here */
		}
	}
	kevent_ring_close(&c);
	return heard == 6 ? 0 : 1;
}
