// SPDX-License-Identifier: GPL-2.0
/*
 * kevent: what Rust cannot do.
 *
 * SYSCALL_DEFINE() is a macro of C, as are tracepoints, initcalls and the
 * unsafe_get_user() and unsafe_put_user() that copy records. Signal masks,
 * clocks and time namespaces, user counts and task work are handled by inline
 * functions. Everything else is in rust/kernel/kevent, which begins with the
 * design.
 */
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/io_uring.h>
#include <linux/kevent.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/syscalls.h>
#include <linux/task_work.h>
#include <linux/time_namespace.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include <trace/events/kevent.h>

/*
 * Records are copied word by word: what copies any length has a price that is
 * more than that of eight words.
 */
#define WORDS	(sizeof(struct ukevent) / sizeof(u64))
static_assert(WORDS == 8);

int kevent_copy_in(struct ukevent *to, const struct ukevent __user *from,
		   unsigned int num)
{
	const u64 __user *src = (const u64 __user *)from;
	u64 *dst = (u64 *)to, *end = (u64 *)(to + num);

	if (!user_read_access_begin(from, num * sizeof(*from)))
		return -EFAULT;
	for (; dst != end; dst += WORDS, src += WORDS) {
		unsafe_get_user(dst[0], &src[0], fault);
		unsafe_get_user(dst[1], &src[1], fault);
		unsafe_get_user(dst[2], &src[2], fault);
		unsafe_get_user(dst[3], &src[3], fault);
		unsafe_get_user(dst[4], &src[4], fault);
		unsafe_get_user(dst[5], &src[5], fault);
		unsafe_get_user(dst[6], &src[6], fault);
		unsafe_get_user(dst[7], &src[7], fault);
	}
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

void kevent_copy_answers(struct ukevent __user *to, const struct ukevent *from,
			 unsigned int num)
{
	unsigned int i;

	if (!user_write_access_begin(to, num * sizeof(*to)))
		return;
	for (i = 0; i < num; i++) {
		unsafe_put_user(from[i].error, &to[i].error, fault);
		unsafe_put_user(from[i].data, &to[i].data, fault);
		unsafe_put_user(from[i].word, &to[i].word, fault);
	}
fault:
	user_write_access_end();
}

/*
 * Called where a fault must not be served. Returns how many were copied: those
 * before the first place that is not present, and none by a dying thread, as
 * nobody would see them.
 */
unsigned int kevent_copy_out(struct ukevent __user *to,
			     const struct ukevent *const *from,
			     unsigned int num)
{
	unsigned int i = 0;

	if (fatal_signal_pending(current))
		return 0;
	pagefault_disable();
	if (!user_write_access_begin(to, num * sizeof(*to)))
		goto out;
	for (; i < num; i++, to++) {
		const u64 *src = (const u64 *)from[i];
		unsigned int word;

		/* Or else the compiler adds to it after each word. */
		OPTIMIZER_HIDE_VAR(to);
		for (word = 0; word < WORDS; word++)
			unsafe_put_user(src[word], (u64 __user *)to + word,
					fault);
	}
fault:
	user_write_access_end();
out:
	pagefault_enable();
	return i;
}

bool kevent_is_dying(void)
{
	return fatal_signal_pending(current);
}

/* Whether the thread has put anything off until it returns to user space. */
bool kevent_has_task_work(void)
{
	return task_work_pending(current);
}

/* An eventpoll, file_watch_add() refuses. */
bool kevent_is_refused(struct file *file)
{
	return io_is_uring_fops(file);
}

struct ucounts *kevent_get_ucounts(void)
{
	return get_ucounts(current_ucounts());
}

/*
 * inc_ucount() looks the user up each time, to hold what it counts in. A queue
 * holds @ucounts as long as it has registrations.
 */
bool kevent_charge(struct ucounts *ucounts, unsigned int num)
{
	struct ucounts *iter, *bad;

	for (iter = ucounts; iter; iter = iter->ns->ucounts) {
		long max = READ_ONCE(iter->ns->ucount_max[UCOUNT_KEVENT_WATCHES]);
		atomic_long_t *count = &iter->ucount[UCOUNT_KEVENT_WATCHES];
		long old = atomic_long_read(count);

		do {
			if (unlikely(old > max - (long)num))
				goto fail;
		} while (!atomic_long_try_cmpxchg(count, &old, old + num));
	}
	return true;
fail:
	bad = iter;
	for (iter = ucounts; iter != bad; iter = iter->ns->ucounts)
		atomic_long_sub(num, &iter->ucount[UCOUNT_KEVENT_WATCHES]);
	return false;
}

void kevent_uncharge(struct ucounts *ucounts, unsigned int num)
{
	struct ucounts *iter;

	for (iter = ucounts; iter; iter = iter->ns->ucounts)
		atomic_long_sub(num, &iter->ucount[UCOUNT_KEVENT_WATCHES]);
}

static ktime_t kevent_clock_now(clockid_t clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
		return ktime_get_real();
	case CLOCK_BOOTTIME:
		return ktime_get_boottime();
	case CLOCK_TAI:
		return ktime_get_clocktai();
	default:
		return ktime_get();
	}
}

static int kevent_get_timeout(struct kevent_timeout *t, clockid_t clock,
			      const void __user *uts, unsigned int flags)
{
	struct timespec64 ts;

	t->clock = clock;
	t->slack = current->timer_slack_ns;
	if (!uts) {
		t->kind = KEVENT_TIMEOUT_NEVER;
		return 0;
	}
	if (get_timespec64(&ts, uts))
		return -EFAULT;
	if (!timespec64_valid(&ts))
		return -EINVAL;

	t->expires = timespec64_to_ktime(ts);
	if (flags & KEVENT_FLAGS_ABSTIME) {
		t->expires = timens_ktime_to_host(clock, t->expires);
		t->kind = KEVENT_TIMEOUT_AT;
	} else {
		t->kind = t->expires ? KEVENT_TIMEOUT_AFTER :
				       KEVENT_TIMEOUT_NOW;
	}
	return 0;
}

/* Only who may have to wait reads a clock. */
void kevent_start_timeout(struct kevent_timeout *t)
{
	ktime_t now = 0, batch;

	if (t->kind == KEVENT_TIMEOUT_AT || t->kind == KEVENT_TIMEOUT_AFTER) {
		/* A span of time is no date: setting a clock does not move it. */
		if (t->kind == KEVENT_TIMEOUT_AFTER && t->clock != CLOCK_BOOTTIME)
			t->clock = CLOCK_MONOTONIC;
		now = kevent_clock_now(t->clock);
		if (t->kind == KEVENT_TIMEOUT_AFTER)
			t->expires = ktime_add_safe(now, t->expires);
		t->kind = t->expires <= now ? KEVENT_TIMEOUT_NOW :
					      KEVENT_TIMEOUT_AT;
	}
	if (!t->min_wait || t->kind == KEVENT_TIMEOUT_NOW)
		return;
	batch = min_t(u64, t->min_wait, KTIME_MAX);
	if (t->kind == KEVENT_TIMEOUT_AT)
		batch = min(batch, ktime_sub(t->expires, now));
	t->batch_until = ktime_add_safe(ktime_get(), batch);
}

static int kevent_set_sigmask(const struct kevent_wait_arg *arg)
{
	const void __user *mask = u64_to_user_ptr(arg->sigmask);

#ifdef CONFIG_COMPAT
	if (in_compat_syscall())
		return set_compat_user_sigmask(mask, arg->sigmask_size);
#endif
	return set_user_sigmask(mask, arg->sigmask_size);
}

/*
 * Reads the timeout of a call, and replaces the signal mask if @arg says so.
 * Who calls it ends with restore_saved_sigmask_unless().
 */
static int kevent_read_wait(struct kevent_timeout *t, const void __user *arg,
			    unsigned int flags)
{
	struct kevent_wait_arg ext;
	int ret;

	if (flags & ~(KEVENT_FLAGS_ABSTIME | KEVENT_FLAGS_EXT_ARG))
		return -EINVAL;
	*t = (struct kevent_timeout){};
	if (!(flags & KEVENT_FLAGS_EXT_ARG))
		return kevent_get_timeout(t, CLOCK_MONOTONIC, arg, flags);

	if (copy_from_user(&ext, arg, sizeof(ext)))
		return -EFAULT;
	if (ext.reserved[0] || ext.reserved[1])
		return -EINVAL;
	switch (ext.clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		break;
	default:
		return -EINVAL;
	}
	ret = kevent_get_timeout(t, ext.clock, u64_to_user_ptr(ext.timeout),
				 flags);
	if (ret)
		return ret;
	t->min_wait = ext.min_wait;
	return kevent_set_sigmask(&ext);
}

SYSCALL_DEFINE3(kevent_init, struct kevent_ring __user *, ring,
		unsigned int, ring_size, unsigned int, flags)
{
	return kevent_do_init((unsigned long)ring, ring_size, flags);
}

SYSCALL_DEFINE4(kevent_ctl, int, fd, unsigned int, cmd, unsigned int, num,
		struct ukevent __user *, arg)
{
	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	return kevent_do_ctl(fd_file(f), cmd, num, arg);
}

/* Apart, as a call that has no timeout saves fewer registers. */
static noinline long kevent_get_until(int fd, unsigned int min_nr,
				      unsigned int max_nr,
				      const void __user *timeout,
				      struct ukevent __user *buf,
				      unsigned int flags)
{
	struct kevent_timeout t;
	long ret;

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	ret = kevent_read_wait(&t, timeout, flags);
	if (ret)
		return ret;
	ret = kevent_do_get_events(fd_file(f), min_nr, max_nr, &t, buf);
	restore_saved_sigmask_unless(ret == -EINTR);
	return ret;
}

SYSCALL_DEFINE6(kevent_get_events, int, fd, unsigned int, min_nr,
		unsigned int, max_nr, const void __user *, timeout,
		struct ukevent __user *, buf, unsigned int, flags)
{
	if (timeout || flags)
		return kevent_get_until(fd, min_nr, max_nr, timeout, buf,
					flags);

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	return kevent_do_get_events(fd_file(f), min_nr, max_nr, NULL, buf);
}

SYSCALL_DEFINE5(kevent_wait, int, fd, unsigned int, num, unsigned int, old_uidx,
		const void __user *, timeout, unsigned int, flags)
{
	struct kevent_timeout t;
	long ret;

	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	if (!timeout && !flags)
		return kevent_do_wait(fd_file(f), num, old_uidx, NULL);
	ret = kevent_read_wait(&t, timeout, flags);
	if (ret)
		return ret;
	ret = kevent_do_wait(fd_file(f), num, old_uidx, &t);
	restore_saved_sigmask_unless(ret == -EINTR);
	return ret;
}

SYSCALL_DEFINE3(kevent_commit, int, fd, unsigned int, new_idx,
		unsigned int, over)
{
	CLASS(fd, f)(fd);

	if (fd_empty(f))
		return -EBADF;
	return kevent_do_commit(fd_file(f), new_idx, over);
}

static struct miscdevice kevent_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "kevent",
	.mode	= 0666,
};

/* What a registration, its key and its tie take, about. */
#define KEVENT_WATCH_COST	256

static int __init kevent_init_queues(void)
{
	struct sysinfo si;

	/* 4% of the memory, as for epoll. */
	si_meminfo(&si);
	init_user_ns.ucount_max[UCOUNT_KEVENT_WATCHES] =
		((si.totalram - si.totalhigh) / 25 << PAGE_SHIFT) /
		KEVENT_WATCH_COST;

	kevent_device.fops = kevent_setup();
	return misc_register(&kevent_device);
}
fs_initcall(kevent_init_queues);
