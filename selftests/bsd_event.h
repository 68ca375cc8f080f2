/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The names of BSD's <sys/event.h> that a program may use beside kevent.h: the real header where
 * there is one, else declarations with the same spelling.
 */
#ifndef KEVENT_BSD_EVENT_H
#define KEVENT_BSD_EVENT_H

#if defined(__has_include)
#if __has_include(<sys/event.h>)
#define KEVENT_REAL_BSD 1
#endif
#endif

#ifdef KEVENT_REAL_BSD
#include <sys/types.h>
#include <stddef.h>
#include <sys/event.h>
#else
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define EVFILT_READ	(-1)
#define EVFILT_WRITE	(-2)
#define EVFILT_AIO	(-3)
#define EVFILT_VNODE	(-4)
#define EVFILT_PROC	(-5)
#define EVFILT_SIGNAL	(-6)
#define EVFILT_TIMER	(-7)
#define EVFILT_USER	(-11)

#define EV_ADD		0x0001
#define EV_DELETE	0x0002
#define EV_ENABLE	0x0004
#define EV_DISABLE	0x0008
#define EV_ONESHOT	0x0010
#define EV_CLEAR	0x0020
#define EV_RECEIPT	0x0040
#define EV_DISPATCH	0x0080
#define EV_ERROR	0x4000
#define EV_EOF		0x8000

#define NOTE_TRIGGER	0x01000000
#define NOTE_FFAND	0x40000000
#define NOTE_DELETE	0x0001
#define NOTE_WRITE	0x0002
#define NOTE_EXIT	0x80000000

struct kevent {
	uintptr_t ident;
	short filter;
	unsigned short flags;
	unsigned int fflags;
	int64_t data;
	void *udata;
	uint64_t ext[4];
};

#define EV_SET(p, i, fi, fl, ff, d, u) do {	\
	struct kevent *set_ = (p);		\
						\
	set_->ident = (i);			\
	set_->filter = (fi);			\
	set_->flags = (fl);			\
	set_->fflags = (ff);			\
	set_->data = (d);			\
	set_->udata = (u);			\
} while (0)

static inline int kqueue(void)
{
	return -1;
}

static inline int kevent(int kq, const struct kevent *changes, int nchanges,
			 struct kevent *events, int nevents, const struct timespec *timeout)
{
	(void)changes;
	(void)events;
	(void)timeout;
	return kq < 0 ? -1 : nchanges + nevents;
}
#endif

#endif /* KEVENT_BSD_EVENT_H */
