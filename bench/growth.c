// SPDX-License-Identifier: GPL-2.0
/* An event when 10 to 1,000,000 eventfds are watched: 64 of them fire, and are taken one by one. */
#include "bench.h"

#define EVENTS	10240
#define MOST	1000000

static int fd[MOST];
static unsigned int watched;

static void set_up(void)
{
	open_eventfds(fd, watched);
	peer->open(watched);
	peer->add(fd, 0, watched);
}

static void work(unsigned int events)
{
	unsigned int active = watched < BATCH ? watched : BATCH;
	unsigned int i, n;

	for (n = 0; n < events; n++) {
		i = n % active * (watched / active);
		fire(fd[i]);
		peer->take(i, 1);
	}
}

void growth_workloads(void)
{
	static const struct peer *const peers[] = {
		&kevent_ring, &kevent_get, &epoll_et, &uring_defer,
	};
	char name[32];
	unsigned int i;

	for (watched = 10; watched <= MOST; watched *= 10) {
		snprintf(name, sizeof(name), "growth-%u", watched);
		for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
			peer = peers[i];
			measure(name, peer->name, EVENTS, set_up, work);
		}
	}
}
