// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * kevent.h in C++, beside the names of BSD's <sys/event.h>, in either order of inclusion
 * (-DKEVENT_FIRST). Compiling it is the test.
 */
#ifdef KEVENT_FIRST
#include "kevent.h"
#endif

#include "bsd_event.h"

#include "kevent.h"

#ifdef KEVENT_FIRST
#include "kevent.h"
#endif

int header_cxx(void)
{
	struct kevent change;
	struct kevent_consumer c, d;
	struct ukevent *ev;
	uint32_t freed;

	EV_SET(&change, 1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER, 0, NULL);
	if (kevent(kqueue(), &change, 1, NULL, 0, NULL) < 0)
		return -1;

	if (kevent_ring_open(&c, 8, KEVENT_INIT_CLOEXEC, 1) || kevent_ring_join(&d, &c, 2))
		return -1;
	while ((ev = kevent_ring_take(&c))) {
		if (kevent_ring_data(ev) == 0 && ev->fired == ev->event)
			kevent_ring_finish(&c, ev);
	}
	ev = kevent_ring_inherit(&d, 1);
	freed = kevent_ring_recover(&d, 1);
	if (ev || freed || kevent_ring_pending(&d))
		return kevent_ring_wait(&d, NULL);
	kevent_commit(c.fd, (uint32_t)c.next, (uint32_t)(c.next >> 32));
	kevent_ctl(c.fd, KEVENT_CTL_READY, 0, NULL);
	kevent_get_events(c.fd, 0, 1, NULL, NULL, 0);
	kevent_ring_close(&c);
	return (int)kevent_ring_bytes(8);
}

int main(void)
{
	return header_cxx() == 0;
}
