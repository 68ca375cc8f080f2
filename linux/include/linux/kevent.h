/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What fs/kevent.c and rust/kernel/kevent have in common.
 */
#ifndef _LINUX_KEVENT_H
#define _LINUX_KEVENT_H

#include <linux/ktime.h>
#include <linux/types.h>
#include <uapi/linux/kevent.h>

#ifdef CONFIG_KEVENT

struct file;
struct file_operations;
struct ucounts;

enum kevent_timeout_kind {
	KEVENT_TIMEOUT_NOW,
	KEVENT_TIMEOUT_AT,
	KEVENT_TIMEOUT_AFTER,
	KEVENT_TIMEOUT_NEVER,
};

/**
 * struct kevent_timeout - how long a call waits
 * @expires: time of @clock, if @kind is KEVENT_TIMEOUT_AT; from
 *	kevent_start_timeout() on, if it is KEVENT_TIMEOUT_AFTER
 * @min_wait: for how many ns it waits for more than it needs, or 0
 * @batch_until: the end of that by CLOCK_MONOTONIC, not after @expires, or 0;
 *	set by kevent_start_timeout()
 * @slack: how much later it may be, in ns
 * @clock: clock of @expires
 * @kind: enum kevent_timeout_kind
 */
struct kevent_timeout {
	ktime_t expires;
	u64 min_wait;
	ktime_t batch_until;
	u64 slack;
	clockid_t clock;
	u32 kind;
};

/*
 * In rust/kernel/kevent/syscall.rs. A file is one that the caller holds; with
 * no @timeout, a call waits for ever.
 */
const struct file_operations *kevent_setup(void);
long kevent_do_init(unsigned long ring, unsigned int ring_size,
		    unsigned int flags);
long kevent_do_ctl(struct file *file, unsigned int cmd, unsigned int num,
		   void __user *arg);
long kevent_do_get_events(struct file *file, unsigned int min_nr,
			  unsigned int max_nr,
			  struct kevent_timeout *timeout, void __user *buf);
long kevent_do_wait(struct file *file, unsigned int num, unsigned int old_uidx,
		    struct kevent_timeout *timeout);
long kevent_do_commit(struct file *file, unsigned int new_idx,
		      unsigned int over);

/* In fs/kevent.c. */
int kevent_copy_in(struct ukevent *to, const struct ukevent __user *from,
		   unsigned int num);
void kevent_copy_answers(struct ukevent __user *to, const struct ukevent *from,
			 unsigned int num);
unsigned int kevent_copy_out(struct ukevent __user *to,
			     const struct ukevent *const *from,
			     unsigned int num);
void kevent_start_timeout(struct kevent_timeout *t);
bool kevent_is_dying(void);
bool kevent_has_task_work(void);
bool kevent_is_refused(struct file *file);
struct ucounts *kevent_get_ucounts(void);
bool kevent_charge(struct ucounts *ucounts, unsigned int num);
void kevent_uncharge(struct ucounts *ucounts, unsigned int num);

#ifdef CONFIG_KEVENT_SOCKET
struct socket;

/**
 * struct kevent_socket - what a socket is ready for
 * @mask: KEVENT_SOCKET_* that are true
 * @error: its errno, if ERROR is
 * @data: the datum that comes with @mask
 */
struct kevent_socket {
	u32 mask;
	u32 error;
	u64 data;
};

/* Stream sockets that tell by a glance what they have received. */
enum kevent_stream {
	KEVENT_STREAM_NO,
	KEVENT_STREAM_TCP,
	KEVENT_STREAM_UNIX,
};

/* In fs/kevent_socket.c. */
struct socket *kevent_socket_of(struct file *file);
enum kevent_stream kevent_socket_stream(struct socket *sock);
int kevent_tcp_received(struct socket *sock);
int kevent_unix_received(struct socket *sock);
bool kevent_socket_woken(struct socket *sock, u32 events, u32 wanted, struct kevent_socket *s);
void kevent_socket_found(struct socket *sock, u32 ready, u32 wanted, struct kevent_socket *s);
u64 kevent_socket_datum(struct socket *sock, u32 mask);
#endif

#endif /* CONFIG_KEVENT */
#endif /* _LINUX_KEVENT_H */
