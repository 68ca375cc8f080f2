// SPDX-License-Identifier: GPL-2.0
/*
 * A server of HTTP/1.1 with 8,000 connections that are kept alive and idle, and 64 that ask. The
 * peer "none" knows whose turn it is: what another needs beyond that is for being told.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "bench.h"

#define EVENTS	12800
#define IDLE	8000
#define NUM	(IDLE + BATCH)

static int server[NUM], client[NUM];

static const char request[] = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n"
			      "Connection: keep-alive\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
			     "Content-Length: 13\r\nConnection: keep-alive\r\n\r\nHello, world\n";

/* The one that asks with i is in the midst of idle ones. */
static unsigned int asks(unsigned int i)
{
	return i * (NUM / BATCH);
}

_Noreturn static void ask(void)
{
	char text[256];
	unsigned int i;

	for (;;) {
		for (i = 0; i < BATCH; i++)
			need(write(client[asks(i)], request, sizeof(request) - 1) ==
			     sizeof(request) - 1, "request");
		for (i = 0; i < BATCH; i++)
			need(read(client[asks(i)], text, sizeof(text)) == sizeof(answer) - 1 &&
			     !memcmp(text, answer, sizeof(answer) - 1), "answer");
	}
}

static void begin(void)
{
	connect_tcp(server, client, NUM);
	if (peer) {
		peer->open(NUM);
		peer->add(server, 0, NUM);
	}
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ask();
	}
}

static void serve_one(unsigned int i)
{
	char text[256];
	ssize_t len;

	calls += 2;
	len = read(server[i], text, sizeof(text));
	need(len == sizeof(request) - 1 && !memcmp(text, "GET ", 4) &&
	     !memcmp(text + len - 4, "\r\n\r\n", 4), "request");
	need(write(server[i], answer, sizeof(answer) - 1) == sizeof(answer) - 1, "answer");
}

static void serve(unsigned int events)
{
	unsigned int known[BATCH], i, n;

	while (events) {
		if (peer) {
			n = peer->wait(known, BATCH < events ? BATCH : events, FOR_ONE);
		} else {
			for (n = 0; n < BATCH; n++)
				known[n] = asks(n);
		}
		for (i = 0; i < n; i++)
			serve_one(known[i]);
		events -= n;
	}
}

void http_workloads(void)
{
	static const struct peer *const peers[] = {
		NULL, &kevent_socket, &kevent_get_socket, &epoll_et, &uring, &uring_defer,
	};
	unsigned int i;

	for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		peer = peers[i];
		measure("http", peer ? peer->name : "none", EVENTS, begin, serve);
	}
}
