// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets with something above TCP, which takes the data before anybody can read it: TLS in the
 * kernel, and messages that a sockmap sends from one socket to another.
 */
#include <linux/bpf.h>
#include <linux/tls.h>

#include "sockets.h"

#define MOMENT_NS	(30 * NS_PER_MS)

#ifndef SOL_TLS
#define SOL_TLS	282
#endif
#ifndef TCP_ULP
#define TCP_ULP	31
#endif

static const struct kind tcp = { AF_INET, SOCK_STREAM };

FIXTURE(above)
{
	struct kevent_consumer c;
	struct ukevent ev;
	int fd[2];
};

FIXTURE_SETUP(above)
{
	ASSERT_EQ(0, kevent_ring_open(&self->c, 8, 0, 1));
	ASSERT_TRUE(open_pair(&tcp, self->fd));
}

FIXTURE_TEARDOWN(above)
{
	close(self->fd[0]);
	close(self->fd[1]);
	kevent_ring_close(&self->c);
}

/* The next event of the ring in @ns. */
static bool next_in(struct kevent_consumer *c, struct ukevent *ev, uint64_t ns)
{
	struct __kernel_timespec soon = ns_to_timespec(ns);
	struct ukevent *slot = kevent_ring_take(c);

	if (!slot && kevent_wait(c->fd, 8, (uint32_t)c->next, &soon, 0) > 0)
		slot = kevent_ring_take(c);
	if (!slot)
		return false;
	*ev = *slot;
	kevent_ring_finish(c, slot);
	return true;
}

/* One side of a connection, with a key that both know. */
static bool begin_tls(int fd, int direction)
{
	struct tls12_crypto_info_aes_gcm_128 key = {
		.info = { .version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128 },
	};

	return setsockopt(fd, SOL_TLS, direction, &key, sizeof(key)) == 0;
}

/* A record is told of when it is whole: before, nothing can be read. */
TEST_F(above, tls)
{
	char record[256], text[] = "a record", got[64];
	int plain[2];
	ssize_t len;

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, setsockopt(self->fd[i], IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")));
	ASSERT_TRUE(begin_tls(self->fd[0], TLS_RX));
	/* A sender whose ciphertext is seen: it goes over a connection of its own. */
	ASSERT_TRUE(open_pair(&tcp, plain));
	ASSERT_EQ(0, setsockopt(plain[0], IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")));
	ASSERT_TRUE(begin_tls(plain[0], TLS_TX));
	ASSERT_EQ((ssize_t)sizeof(text), send(plain[0], text, sizeof(text), 0));
	fcntl(plain[1], F_SETFL, 0);
	len = recv(plain[1], record, sizeof(record), 0);
	ASSERT_LT((ssize_t)sizeof(text), len);

	ASSERT_EQ(1, add_socket(self->c.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	ASSERT_EQ(len / 2, send(self->fd[1], record, (size_t)len / 2, 0));
	EXPECT_FALSE(next_in(&self->c, &self->ev, MOMENT_NS));
	ASSERT_EQ(len - len / 2, send(self->fd[1], record + len / 2, (size_t)(len - len / 2), 0));
	ASSERT_TRUE(next_in(&self->c, &self->ev, GENEROUS_NS));
	EXPECT_EQ(RECV, self->ev.fired);
	/* How much text there is, only TLS knows. */
	EXPECT_EQ(0, data_of(&self->ev));
	EXPECT_EQ((ssize_t)sizeof(text), recv(self->fd[0], got, sizeof(got), 0));
	EXPECT_EQ(0, memcmp(text, got, sizeof(text)));
	close(plain[0]);
	close(plain[1]);
}

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* A program that puts every message into the queue of the socket at place 0 of @map. */
static int load_redirect(int map)
{
	struct bpf_insn code[] = {
		/* r2 = map; r3 = 0; r4 = BPF_F_INGRESS; call msg_redirect_map; exit */
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ .code = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = BPF_F_INGRESS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_msg_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SK_MSG,
		.insns = (uintptr_t)code,
		.insn_cnt = ARRAY_SIZE(code),
		.license = (uintptr_t)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static bool put_socket(int map, uint32_t place, int fd)
{
	union bpf_attr attr = {
		.map_fd = (uint32_t)map,
		.key = (uintptr_t)&place,
		.value = (uintptr_t)&fd,
	};

	return bpf(BPF_MAP_UPDATE_ELEM, &attr) == 0;
}

/* A message goes from the sender into the queue of another socket, and never through TCP. */
TEST_F(above, sockmap)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_SOCKMAP,
		.key_size = sizeof(uint32_t),
		.value_size = sizeof(uint32_t),
		.max_entries = 2,
	};
	int map = bpf(BPF_MAP_CREATE, &attr), program, sender[2];
	char got[16];

	ASSERT_LE(0, map);
	program = load_redirect(map);
	ASSERT_LE(0, program);
	attr = (union bpf_attr){
		.target_fd = (uint32_t)map,
		.attach_bpf_fd = (uint32_t)program,
		.attach_type = BPF_SK_MSG_VERDICT,
	};
	ASSERT_EQ(0, bpf(BPF_PROG_ATTACH, &attr));
	ASSERT_TRUE(open_pair(&tcp, sender));
	ASSERT_TRUE(put_socket(map, 0, self->fd[0]));
	ASSERT_TRUE(put_socket(map, 1, sender[0]));

	ASSERT_EQ(1, add_socket(self->c.fd, self->fd[0], RECV, KEVENT_REQ_ET));
	EXPECT_FALSE(next_in(&self->c, &self->ev, MOMENT_NS));
	ASSERT_EQ(5, send(sender[0], "12345", 5, 0));
	ASSERT_TRUE(next_in(&self->c, &self->ev, GENEROUS_NS));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(5, recv(self->fd[0], got, sizeof(got), 0));
	/* And what comes the ordinary way. */
	ASSERT_TRUE(give(self->fd[1], 3));
	ASSERT_TRUE(next_in(&self->c, &self->ev, GENEROUS_NS));
	EXPECT_EQ(RECV, self->ev.fired);
	EXPECT_EQ(3, recv(self->fd[0], got, sizeof(got), 0));
	close(sender[0]);
	close(sender[1]);
}

TEST_HARNESS_MAIN
