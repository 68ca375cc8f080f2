/* SPDX-License-Identifier: GPL-2.0 */
/* Sockets of every kind, and requests for them. */
#ifndef KEVENT_SELFTEST_SOCKETS_H
#define KEVENT_SELFTEST_SOCKETS_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/vm_sockets.h>

#include "harness.h"

#define RECV	((uint32_t)KEVENT_SOCKET_RECV)
#define ACCEPT	((uint32_t)KEVENT_SOCKET_ACCEPT)
#define SEND	((uint32_t)KEVENT_SOCKET_SEND)
#define URGENT	((uint32_t)KEVENT_SOCKET_URGENT)
#define END	((uint32_t)KEVENT_SOCKET_EOF)
#define FAULT	((uint32_t)KEVENT_SOCKET_ERROR)
#define HUP	((uint32_t)KEVENT_SOCKET_HUP)

/* The datum, as an int like the constants. */
static inline int data_of(const struct ukevent *ev)
{
	return (int)ev->data;
}

static inline struct ukevent socket_request(int fd, uint32_t mask, uint32_t flags)
{
	return (struct ukevent){
		.id = (uint64_t)fd,
		.type = KEVENT_SOCKET,
		.event = mask,
		.req_flags = flags,
		.user = ~(uint64_t)fd,
	};
}

static inline int socket_ctl(int queue, unsigned int cmd, int fd, uint32_t mask, uint32_t flags)
{
	struct ukevent request = socket_request(fd, mask, flags);

	return kevent_ctl(queue, cmd, 1, &request);
}

static inline int add_socket(int queue, int fd, uint32_t mask, uint32_t flags)
{
	return socket_ctl(queue, KEVENT_CTL_ADD, fd, mask, flags);
}

static inline int modify_socket(int queue, int fd, uint32_t mask, uint32_t flags)
{
	return socket_ctl(queue, KEVENT_CTL_MODIFY, fd, mask, flags);
}

static inline int remove_socket(int queue, int fd)
{
	return socket_ctl(queue, KEVENT_CTL_REMOVE, fd, 0, 0);
}

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_vm vm;
};

/* A kind of socket. */
struct kind {
	int family;
	int type;
};

static inline bool has_connections(const struct kind *k)
{
	return k->type != SOCK_DGRAM;
}

/* A fresh address of this machine. */
static inline socklen_t local_address(const struct kind *k, union address *a)
{
	static unsigned int number = 2000;

	memset(a, 0, sizeof(*a));
	a->any.sa_family = (sa_family_t)k->family;
	switch (k->family) {
	case AF_INET:
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(a->in);
	case AF_INET6:
		a->in6.sin6_addr = in6addr_loopback;
		return sizeof(a->in6);
	case AF_VSOCK:
		a->vm.svm_cid = VMADDR_CID_LOCAL;
		a->vm.svm_port = number++ + ((unsigned int)getpid() << 12);
		return sizeof(a->vm);
	default:
		return sizeof(sa_family_t);	/* the kernel finds a name */
	}
}

/* A socket that has an address of its own. */
static inline int bound(const struct kind *k, int flags)
{
	union address a;
	socklen_t len = local_address(k, &a);
	int fd = socket(k->family, k->type | flags, 0);

	return fd >= 0 && bind(fd, &a.any, len) ? -1 : fd;
}

static inline int listening(const struct kind *k, int backlog)
{
	int fd = bound(k, SOCK_NONBLOCK);

	return fd >= 0 && listen(fd, backlog) ? -1 : fd;
}

/* Connects a socket to the one that has this address. */
static inline int connect_to(int fd, int other)
{
	union address a;
	socklen_t len = sizeof(a);

	return getsockname(other, &a.any, &len) ? -1 : connect(fd, &a.any, len);
}

/* A new socket, connected to @listener. */
static inline int connected(const struct kind *k, int listener)
{
	int fd = socket(k->family, k->type, 0);

	return fd >= 0 && connect_to(fd, listener) ? -1 : fd;
}

/* Two that are connected; non-blocking. */
static inline bool open_pair(const struct kind *k, int fd[2])
{
	int listener, i;

	if (has_connections(k)) {
		listener = listening(k, 8);
		fd[1] = connected(k, listener);
		fcntl(listener, F_SETFL, 0);
		fd[0] = accept(listener, NULL, NULL);
		close(listener);
	} else {
		fd[0] = bound(k, 0);
		fd[1] = bound(k, 0);
		if (connect_to(fd[0], fd[1]) || connect_to(fd[1], fd[0]))
			return false;
	}
	for (i = 0; i < 2; i++)
		fcntl(fd[i], F_SETFL, O_NONBLOCK);
	return fd[0] >= 0 && fd[1] >= 0;
}

static inline bool give(int fd, size_t bytes)
{
	static const char text[4096];

	return send(fd, text, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

/* Sends until nothing more fits, for now. */
static inline bool fill_socket(int fd)
{
	static const char text[4096];
	int quiet;

	/* What is under way may still make room. */
	for (quiet = 0; quiet < 20; quiet++) {
		while (send(fd, text, sizeof(text), MSG_NOSIGNAL) > 0)
			quiet = 0;
		if (errno != EAGAIN)
			return false;
		nap();
	}
	return true;
}

static inline bool drain_socket(int fd)
{
	char buf[65536];
	int quiet;

	for (quiet = 0; quiet < 20; quiet++) {
		while (recv(fd, buf, sizeof(buf), 0) > 0)
			quiet = 0;
		nap();
	}
	return true;
}

/* A close that resets. */
static inline bool reset_socket(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0 &&
	       close(fd) == 0;
}

/* Sends a file over a UNIX socket. */
static inline bool pass(int over, int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(over, &msg, 0) == 1;
}

/* The file that comes over a UNIX socket, -1: none. */
static inline int receive(int over)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd = -1;

	if (recvmsg(over, &msg, 0) != 1)
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

#endif
