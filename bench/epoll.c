// SPDX-License-Identifier: GPL-2.0
/* epoll: edge and level. */
#include <sys/epoll.h>

#include "bench.h"

static int epfd;
static struct epoll_event told[4096];

static void open_epoll(unsigned int sources)
{
	(void)sources;
	epfd = epoll_create1(0);
	need(epfd >= 0, "epoll_create1");
}

static void add_mask(const int *fd, unsigned int first, unsigned int num, uint32_t mask)
{
	struct epoll_event ev = { .events = mask };
	unsigned int i;

	for (i = 0; i < num; i++) {
		ev.data.u64 = first + i;
		calls++;
		need(!epoll_ctl(epfd, EPOLL_CTL_ADD, fd[i], &ev), "epoll_ctl");
	}
}

static void add_et(const int *fd, unsigned int first, unsigned int num)
{
	add_mask(fd, first, num, EPOLLIN | EPOLLET);
}

static void add_lt(const int *fd, unsigned int first, unsigned int num)
{
	add_mask(fd, first, num, EPOLLIN);
}

static void del(const int *fd, unsigned int first, unsigned int num)
{
	(void)first;
	for (; num; num--, fd++) {
		calls++;
		need(!epoll_ctl(epfd, EPOLL_CTL_DEL, *fd, NULL), "epoll_ctl");
	}
}

static void take(unsigned int first, unsigned int want)
{
	unsigned int i;

	calls++;
	need(epoll_wait(epfd, told, (int)want, 0) == (int)want, "epoll_wait");
	for (i = 0; i < want; i++)
		need(told[i].data.u64 == first + i, "epoll: another source");
}

static unsigned int wait_epoll(unsigned int *known, unsigned int max, enum sleep sleep)
{
	static __thread struct epoll_event got[BATCH];
	int i, n;

	calls++;
	n = epoll_wait(epfd, got, (int)(max < BATCH ? max : BATCH),
		       sleep == NEVER ? 0 : -1);
	need(n > 0 || (!n && sleep == NEVER), "epoll_wait");
	for (i = 0; i < n; i++)
		known[i] = (unsigned int)got[i].data.u64;
	return (unsigned int)n;
}

const struct peer epoll_et = {
	"epoll-et", open_epoll, add_et, del, take, wait_epoll, false
};
const struct peer epoll_lt = {
	"epoll-lt", open_epoll, add_lt, del, take, wait_epoll, true
};
