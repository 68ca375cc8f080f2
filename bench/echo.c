// SPDX-License-Identifier: GPL-2.0
/* A byte goes to a server's socket and back: 1 socket of 1, and 100 active ones of 10,000. */
#include <sys/socket.h>

#include "bench.h"

#define EVENTS	12800
#define ACTIVE	100
#define MANY	10000

static int family;
static unsigned int pairs, active;
static int server[MANY], client[MANY];

static void connect_all(void)
{
	unsigned int i;

	if (family == AF_UNIX) {
		for (i = 0; i < pairs; i++) {
			int both[2];

			need(!socketpair(AF_UNIX, SOCK_STREAM, 0, both), "socketpair");
			server[i] = both[0];
			client[i] = both[1];
		}
		return;
	}
	connect_tcp(server, client, pairs);
}

static void watch(void)
{
	connect_all();
	peer->open(pairs);
	peer->add(server, 0, pairs);
}

static void send_byte(int fd)
{
	calls++;
	need(write(fd, "x", 1) == 1, "write");
}

static void receive_byte(int fd)
{
	char byte;

	calls++;
	need(read(fd, &byte, 1) == 1, "read");
}

static void echo(unsigned int events)
{
	unsigned int i, n;

	for (n = 0; n < events; n++) {
		i = n % active;
		send_byte(client[i]);
		if (peer)
			peer->take(i, 1);
		receive_byte(server[i]);
		send_byte(server[i]);
		receive_byte(client[i]);
	}
}

static void compare(const char *workload, int fam, unsigned int num, unsigned int act)
{
	static const struct peer *const peers[] = {
		&kevent_socket, &kevent_get_socket, &epoll_et, &epoll_lt, &uring, &uring_defer,
	};
	unsigned int i;

	family = fam;
	pairs = num;
	active = act;
	peer = NULL;
	measure(workload, "none", EVENTS, connect_all, echo);
	for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		peer = peers[i];
		measure(workload, peer->name, EVENTS, watch, echo);
	}
}

void echo_workloads(void)
{
	compare("echo-unix", AF_UNIX, 1, 1);
	compare("echo-unix-10000", AF_UNIX, MANY, ACTIVE);
	compare("echo-tcp", AF_INET, 1, 1);
	compare("echo-tcp-10000", AF_INET, MANY, ACTIVE);
}
