// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <stdio.h>
#include "kevent.h"

int main(void)
{
	struct ukevent bell = { .type = KEVENT_USER, .id = 7, .event = 1 };
	struct ukevent ring = { .type = KEVENT_USER, .id = 7 }, *ev;
	struct kevent_consumer c;
	unsigned int heard = 0;

	if (kevent_ring_open(&c, 8, 0, 1) || kevent_ctl(c.fd, KEVENT_CTL_ADD, 1, &bell) != 1)
		return 1;
	for (ring.data = 1; ring.data <= 3; ring.data++) {
		kevent_ctl(c.fd, KEVENT_CTL_READY, 1, &ring);
		while ((ev = kevent_ring_take(&c))) {	/* no system call here, */
			heard += kevent_ring_data(ev);
			printf("bell %u: %u heard\n", (unsigned int)ev->id, heard);
			kevent_ring_finish(&c, ev);	/* and none here */
		}
	}
	kevent_ring_close(&c);
	return heard == 6 ? 0 : 1;
}
