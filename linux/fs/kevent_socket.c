// SPDX-License-Identifier: GPL-2.0
/*
 * kevent: what a socket is ready for.
 *
 * Protocols tell this by inline functions, and by fields of structures that
 * Rust has no bindings for. All is read without a lock, in any context, as
 * the poll methods of TCP, UDP and UNIX sockets do; what they say is what is
 * said here, in the bits of KEVENT_SOCKET.
 *
 * The socket is open: whoever asks has the file, or is a wait-queue entry,
 * which the last close takes off before it releases the socket.
 */
#include <linux/kevent.h>
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/af_unix.h>
#include <net/inet_connection_sock.h>
#include <net/sock.h>
#include <net/tcp.h>

#define KEYS_IN		(EPOLLIN | EPOLLRDNORM)
#define KEYS_OUT	(EPOLLOUT | EPOLLWRNORM)
/* What says only that something came, or that there is room. */
#define KEYS_FLOW	(KEYS_IN | EPOLLRDBAND | EPOLLPRI | KEYS_OUT | EPOLLWRBAND)

struct socket *kevent_socket_of(struct file *file)
{
	struct socket *sock = sock_from_file(file);

	return sock && sock->sk ? sock : NULL;
}

/* Which of the functions below may be asked; the same as long as it is open. */
enum kevent_stream kevent_socket_stream(struct socket *sock)
{
	if (sk_is_tcp(sock->sk))
		return KEVENT_STREAM_TCP;
	if (sk_is_stream_unix(sock->sk))
		return KEVENT_STREAM_UNIX;
	return KEVENT_STREAM_NO;
}

static int kevent_state_of(const struct sock *sk)
{
	/* Pairs with inet_sk_state_store(). */
	return smp_load_acquire(&sk->sk_state);
}

/* Whether it is for TCP to say what is true; not if kTLS or espintcp are above it. */
static bool kevent_is_plain_tcp(const struct socket *sock)
{
	return IS_ENABLED(CONFIG_INET) && sk_is_tcp(sock->sk) &&
	       READ_ONCE(sock->ops)->poll == tcp_poll;
}

/* Whether nobody, as BPF does, keeps elsewhere what TCP has received. */
static bool kevent_tcp_has_all(const struct socket *sock)
{
	return kevent_is_plain_tcp(sock) && !READ_ONCE(sock->sk->sk_prot)->sock_is_readable;
}

/*
 * Whether TCP_LISTEN says who listens. Some protocols have numbers of their own,
 * and a one-to-many socket of SCTP receives while it listens.
 */
static bool kevent_knows_listeners(const struct sock *sk)
{
	switch (sk->sk_family) {
	case AF_INET:
	case AF_INET6:
		return sk->sk_protocol != IPPROTO_SCTP;
	case AF_UNIX:
	case AF_VSOCK:
	case AF_SMC:
		return true;
	default:
		return false;
	}
}

/* What EPOLLIN means: one of both if that can be told. */
static u32 kevent_readable(const struct sock *sk)
{
	if (!kevent_knows_listeners(sk))
		return KEVENT_SOCKET_RECV | KEVENT_SOCKET_ACCEPT;
	return kevent_state_of(sk) == TCP_LISTEN ? KEVENT_SOCKET_ACCEPT : KEVENT_SOCKET_RECV;
}

static bool kevent_is_urgent(const struct sock *sk)
{
	if (sk_is_tcp(sk))
		return READ_ONCE(tcp_sk(sk)->urg_data) & TCP_URG_VALID;
#if IS_ENABLED(CONFIG_AF_UNIX_OOB)
	if (sk_is_stream_unix(sk))
		return READ_ONCE(unix_sk(sk)->oob_skb);
#endif
	return false;
}

static bool kevent_tcp_readable(struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	int target = sock_rcvlowat(sk, 0, INT_MAX);

	/* The urgent byte is counted, but not read with the others. */
	if (unlikely(READ_ONCE(tp->urg_data)) &&
	    READ_ONCE(tp->urg_seq) == READ_ONCE(tp->copied_seq) &&
	    !sock_flag(sk, SOCK_URGINLINE))
		target++;
	return tcp_epollin_ready(sk, target) || sk_is_readable(sk);
}

static u32 kevent_tcp_state(struct sock *sk, int state, u8 shutdown)
{
	u32 mask = 0;

	if (state == TCP_LISTEN)
		return inet_csk_listen_poll(sk) ? KEVENT_SOCKET_ACCEPT : 0;
	if (state == TCP_CLOSE)
		mask |= KEVENT_SOCKET_HUP;
	if (state == TCP_SYN_SENT)
		return inet_test_bit(DEFER_CONNECT, sk) ? mask | KEVENT_SOCKET_SEND : mask;
	if (state == TCP_SYN_RECV && !rcu_access_pointer(tcp_sk(sk)->fastopen_rsk))
		return mask;
	if (kevent_tcp_readable(sk))
		mask |= KEVENT_SOCKET_RECV;
	if (shutdown & SEND_SHUTDOWN || __sk_stream_is_writeable(sk, 1))
		mask |= KEVENT_SOCKET_SEND;
	return mask;
}

static u32 kevent_unix_state(struct sock *sk, int state)
{
	u32 mask = 0;

	/* accept() fails when there is no more to receive. */
	if (state == TCP_LISTEN)
		return skb_queue_empty_lockless(&sk->sk_receive_queue) &&
		       !(READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN) ?
			0 : KEVENT_SOCKET_ACCEPT;
	if (state == TCP_CLOSE && sk->sk_type != SOCK_DGRAM)
		mask |= KEVENT_SOCKET_HUP;
	if (!skb_queue_empty_lockless(&sk->sk_receive_queue) || sk_is_readable(sk))
		mask |= KEVENT_SOCKET_RECV;
	if (refcount_read(&sk->sk_wmem_alloc) << 2 <= READ_ONCE(sk->sk_sndbuf))
		mask |= KEVENT_SOCKET_SEND;
	return mask;
}

static u32 kevent_udp_state(struct sock *sk)
{
	u32 mask = 0;

	if (!skb_queue_empty_lockless(&sk->sk_receive_queue) ||
	    !skb_queue_empty_lockless(&udp_sk(sk)->reader_queue) ||
	    sk_is_readable(sk))
		mask |= KEVENT_SOCKET_RECV;
	if (sock_writeable(sk))
		mask |= KEVENT_SOCKET_SEND;
	return mask;
}

/* All that is true; false: it takes the poll method to know. */
static bool kevent_socket_state(struct socket *sock, struct kevent_socket *s)
{
	struct sock *sk = sock->sk;
	u8 shutdown = READ_ONCE(sk->sk_shutdown);
	int state = kevent_state_of(sk);

	if (kevent_is_plain_tcp(sock))
		s->mask = kevent_tcp_state(sk, state, shutdown);
	else if (sk_is_unix(sk))
		s->mask = kevent_unix_state(sk, state);
	else if (sk_is_udp(sk))
		s->mask = kevent_udp_state(sk);
	else
		return false;

	if (shutdown & RCV_SHUTDOWN && state != TCP_LISTEN)
		s->mask |= KEVENT_SOCKET_RECV | KEVENT_SOCKET_EOF;
	else if (shutdown & RCV_SHUTDOWN && sk_is_unix(sk))
		s->mask |= KEVENT_SOCKET_EOF;
	if (shutdown == SHUTDOWN_MASK)
		s->mask |= KEVENT_SOCKET_HUP;
	if (kevent_is_urgent(sk))
		s->mask |= KEVENT_SOCKET_URGENT;
	/* Pairs with smp_wmb() in tcp_done_with_error(). */
	smp_rmb();
	s->error = abs(READ_ONCE(sk->sk_err));
	if (s->error || !skb_queue_empty_lockless(&sk->sk_error_queue))
		s->mask |= KEVENT_SOCKET_ERROR;
	return true;
}

/* As tcp_inq(), which takes the lock of the socket. */
static int kevent_tcp_inq(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u32 seq = READ_ONCE(tp->copied_seq), end = READ_ONCE(tp->rcv_nxt);
	u32 urgent = READ_ONCE(tp->urg_seq);
	int bytes = end - seq;

	if (unlikely(READ_ONCE(tp->urg_data)) && !sock_flag(sk, SOCK_URGINLINE) &&
	    !before(urgent, seq) && before(urgent, end))
		return urgent - seq;
	/* The end has a number too. */
	if (bytes > 0 && sock_flag(sk, SOCK_DONE))
		bytes--;
	return bytes;
}

static u64 kevent_received(struct socket *sock)
{
	const struct sock *sk = sock->sk;
	int bytes;

	if (sk_is_stream_unix(sk))
		bytes = READ_ONCE(unix_sk(sk)->inq_len);
	else if (kevent_tcp_has_all(sock))
		bytes = kevent_tcp_inq(sk);
	else
		return 0;
	return max(bytes, 0);
}

static u64 kevent_room(const struct sock *sk)
{
	int used;

	if (sk_is_tcp(sk))
		used = READ_ONCE(sk->sk_wmem_queued);
	else if (sk_is_udp(sk) || sk_is_unix(sk))
		used = refcount_read(&sk->sk_wmem_alloc) - 1;
	else
		return 0;
	return max(READ_ONCE(sk->sk_sndbuf) - used, 0);
}

/**
 * kevent_socket_datum - what comes with an event
 * @sock: an open socket
 * @mask: what fired
 *
 * Return: connections that wait, else bytes that can be read, else bytes of
 * room to send, the first of them that @mask has; 0 if nobody knows.
 */
u64 kevent_socket_datum(struct socket *sock, u32 mask)
{
	const struct sock *sk = sock->sk;

	if (mask & KEVENT_SOCKET_ACCEPT)
		return sk_is_unix(sk) ? skb_queue_len_lockless(&sk->sk_receive_queue) :
					READ_ONCE(sk->sk_ack_backlog);
	if (mask & KEVENT_SOCKET_RECV)
		return kevent_received(sock);
	if (mask & KEVENT_SOCKET_SEND)
		return kevent_room(sk);
	return 0;
}

/**
 * kevent_socket_found - what is true, according to the poll method
 * @sock: an open socket
 * @ready: what its poll method returned
 * @wanted: of what is true, what the datum may belong to
 * @s: what that means
 */
void kevent_socket_found(struct socket *sock, u32 ready, u32 wanted, struct kevent_socket *s)
{
	__poll_t key = (__force __poll_t)ready;
	u32 readable = kevent_readable(sock->sk);

	if (key & EPOLLIN)
		s->mask |= readable;
	if (key & EPOLLOUT && readable != KEVENT_SOCKET_ACCEPT)
		s->mask |= KEVENT_SOCKET_SEND;
	/* With EPOLLERR it is the error queue's, by SO_SELECT_ERR_QUEUE. */
	if (key & EPOLLPRI && (!(key & EPOLLERR) || kevent_is_urgent(sock->sk)))
		s->mask |= KEVENT_SOCKET_URGENT;
	if (key & EPOLLRDHUP)
		s->mask |= KEVENT_SOCKET_EOF;
	if (key & EPOLLHUP)
		s->mask |= KEVENT_SOCKET_HUP;
	if (key & EPOLLERR) {
		s->mask |= KEVENT_SOCKET_ERROR;
		s->error = abs(READ_ONCE(sock->sk->sk_err));
	}
	s->data = kevent_socket_datum(sock, s->mask & wanted);
}

/* Something came, or there is room. */
static void kevent_socket_flow(struct socket *sock, __poll_t key, struct kevent_socket *s)
{
	struct sock *sk = sock->sk;
	u32 readable = kevent_readable(sk);

	if (key & KEYS_OUT && readable != KEVENT_SOCKET_ACCEPT)
		s->mask |= KEVENT_SOCKET_SEND;
	if (!(key & KEYS_IN))
		return;
	if (readable == KEVENT_SOCKET_ACCEPT)
		s->mask |= readable;
	else if (READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN)
		s->mask |= KEVENT_SOCKET_RECV | KEVENT_SOCKET_EOF;
	/* TCP wakes readers for an urgent byte too. */
	else if (!kevent_is_plain_tcp(sock) || kevent_tcp_readable(sk))
		s->mask |= readable;
	if (kevent_is_urgent(sk))
		s->mask |= KEVENT_SOCKET_URGENT;
}

/*
 * What comes most when a wake-up says that something came: data for a stream
 * socket that is open both ways, and nothing else. How many bytes can be read,
 * which is all that kevent_socket_woken() would say beside KEVENT_SOCKET_RECV;
 * 0, or less, if it is something else.
 */

static bool kevent_is_open(const struct sock *sk)
{
	return READ_ONCE(sk->sk_state) == TCP_ESTABLISHED && !READ_ONCE(sk->sk_shutdown);
}

int kevent_tcp_received(struct socket *sock)
{
	const struct sock *sk = sock->sk;
	const struct tcp_sock *tp = tcp_sk(sk);
	int bytes;

	if (!kevent_is_open(sk) || READ_ONCE(tp->urg_data) || !kevent_tcp_has_all(sock))
		return 0;
	bytes = READ_ONCE(tp->rcv_nxt) - READ_ONCE(tp->copied_seq);
	return bytes >= READ_ONCE(sk->sk_rcvlowat) ? bytes : 0;
}

int kevent_unix_received(struct socket *sock)
{
	const struct sock *sk = sock->sk;

	if (!kevent_is_open(sk))
		return 0;
#if IS_ENABLED(CONFIG_AF_UNIX_OOB)
	if (READ_ONCE(unix_sk(sk)->oob_skb))
		return 0;
#endif
	return READ_ONCE(unix_sk(sk)->inq_len);
}

/**
 * kevent_socket_woken - what a wake-up says
 * @sock: an open socket
 * @events: the key of the wake-up, 0 if it has none
 * @wanted: of what is true, what the datum may belong to
 * @s: what that means
 *
 * Return: false if @s is not all that may be true.
 */
bool kevent_socket_woken(struct socket *sock, u32 events, u32 wanted, struct kevent_socket *s)
{
	__poll_t key = (__force __poll_t)events;

	if (key & KEYS_FLOW && !(key & ~KEYS_FLOW)) {
		kevent_socket_flow(sock, key, s);
	} else if (!kevent_socket_state(sock, s)) {
		if (!key)
			return false;
		kevent_socket_found(sock, events, wanted, s);
		return true;
	}
	s->data = kevent_socket_datum(sock, s->mask & wanted);
	return true;
}
