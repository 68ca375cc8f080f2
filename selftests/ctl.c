// SPDX-License-Identifier: GPL-2.0
/* kevent_ctl(): its commands, what it writes back, and every way to refuse. */
#include "harness.h"

FIXTURE(ctl)
{
	struct kevent_consumer c;
	struct ukevent ev[16];
	int fd;
};

FIXTURE_VARIANT(ctl)
{
	uint32_t slots;
};

FIXTURE_VARIANT_ADD(ctl, ring) { .slots = 8 };
FIXTURE_VARIANT_ADD(ctl, no_ring) { .slots = 0 };

FIXTURE_SETUP(ctl)
{
	if (variant->slots) {
		ASSERT_EQ(0, kevent_ring_open(&self->c, variant->slots, 0, 1));
		self->fd = self->c.fd;
	} else {
		self->fd = kevent_init(NULL, 0, 0);
		ASSERT_LE(0, self->fd);
	}
}

FIXTURE_TEARDOWN(ctl)
{
	if (variant->slots)
		kevent_ring_close(&self->c);
	else
		close(self->fd);
}

/* A descriptor that is none, or is of something else. */
TEST_F(ctl, bad_descriptor)
{
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_TRUE(FAILS(EBADF, add_user(-1, 1, 1, 0)));
	EXPECT_TRUE(FAILS(EBADF, add_user(1 << 30, 1, 1, 0)));
	EXPECT_TRUE(FAILS(EINVAL, add_user(pipes[0], 1, 1, 0)));
	EXPECT_TRUE(FAILS(EINVAL, add_user(pipes[1], 1, 1, 0)));
	EXPECT_TRUE(FAILS(EBADF, kick(-1)));
	EXPECT_TRUE(FAILS(EINVAL, kick(pipes[0])));
}

/* Commands that do not exist are refused, with records and without. */
TEST_F(ctl, unknown_command)
{
	static const unsigned int cmds[] = { 5, 6, 255, 1U << 16, 1U << 31, ~0U };
	int i;

	for (i = 0; i < ARRAY_LEN(cmds); i++) {
		EXPECT_TRUE(FAILS(EINVAL, user_ctl(self->fd, cmds[i], 1, 1, 0)));
		EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(self->fd, cmds[i], 0, NULL)));
	}
	EXPECT_EQ(0, registrations(self->fd));
}

/* No records: nothing is done, and the address is not looked at. */
TEST_F(ctl, no_records)
{
	static const unsigned int cmds[] = {
		KEVENT_CTL_ADD, KEVENT_CTL_REMOVE, KEVENT_CTL_MODIFY, KEVENT_CTL_SET,
	};
	int i;

	for (i = 0; i < ARRAY_LEN(cmds); i++) {
		EXPECT_EQ(0, kevent_ctl(self->fd, cmds[i], 0, NULL));
		EXPECT_EQ(0, kevent_ctl(self->fd, cmds[i], 0, (void *)1));
	}
}

/* A batch that is too long is refused before any of it is done. */
TEST_F(ctl, batch_length)
{
	struct ukevent *batch = calloc(KEVENT_BATCH_MAX + 1, sizeof(*batch));
	int i;

	ASSERT_NE(NULL, batch);
	for (i = 0; i <= KEVENT_BATCH_MAX; i++)
		batch[i] = user_request((uint64_t)i, 1, 0);
	EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(self->fd, KEVENT_CTL_ADD, KEVENT_BATCH_MAX + 1,
					     batch)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(self->fd, KEVENT_CTL_ADD, ~0U, batch)));
	EXPECT_EQ(0U, batch[0].word);
	EXPECT_EQ(0, registrations(self->fd));
	free(batch);
}

/* Wherever in a batch the unreadable page begins, nothing of the batch is done. */
TEST_F(ctl, unreadable_record)
{
	char *pages = two_pages(PROT_NONE);
	unsigned int good, i;

	ASSERT_NE(NULL, pages);
	for (good = 0; good < 16; good++) {
		struct ukevent *batch = across(pages, good);

		for (i = 0; i < good; i++)
			batch[i] = user_request(i, 1, 0);
		EXPECT_TRUE(FAILS(EFAULT, kevent_ctl(self->fd, KEVENT_CTL_ADD, 16, batch)))
			TH_LOG("%u good records, errno %d", good, errno);
		for (i = 0; i < good; i++)
			EXPECT_EQ(0U, batch[i].word);
		EXPECT_EQ(0, registrations(self->fd));
	}
	EXPECT_TRUE(FAILS(EFAULT, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, NULL)));
	EXPECT_TRUE(FAILS(EFAULT, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, (void *)-64UL)));
	EXPECT_EQ(0, registrations(self->fd));
}

/* The same for the other commands: what was registered stays as it was, and nothing fires. */
TEST_F(ctl, unreadable_record_of_each_command)
{
	static const unsigned int cmds[] = {
		KEVENT_CTL_REMOVE, KEVENT_CTL_MODIFY, KEVENT_CTL_READY, KEVENT_CTL_SET,
	};
	char *pages = two_pages(PROT_NONE);
	struct ukevent *batch;
	int i, k;

	ASSERT_NE(NULL, pages);
	ASSERT_EQ(4, add_users(self->fd, 0, 4));
	batch = across(pages, 4);
	for (i = 0; i < ARRAY_LEN(cmds); i++) {
		for (k = 0; k < 4; k++)
			batch[k] = user_request((uint64_t)k, 3, 0);
		EXPECT_TRUE(FAILS(EFAULT, kevent_ctl(self->fd, cmds[i], 5, batch)));
	}
	EXPECT_EQ(4, registrations(self->fd));
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	ASSERT_EQ(1, ready(self->fd, 2, 3));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(1U, self->ev[0].event);
	EXPECT_EQ(1U, self->ev[0].fired);
}

/* Results that cannot be written back are not known, but the effects stay and are counted. */
TEST_F(ctl, write_back_fault)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = two_pages(PROT_READ | PROT_WRITE);
	unsigned int writable, i;

	ASSERT_NE(NULL, pages);
	for (writable = 0; writable < 8; writable++) {
		struct ukevent *batch = across(pages, writable);

		ASSERT_EQ(0, mprotect(pages + page, page, PROT_READ | PROT_WRITE));
		for (i = 0; i < 8; i++)
			batch[i] = user_request(i, 1, 0);
		ASSERT_EQ(0, mprotect(pages + page, page, PROT_READ));
		EXPECT_EQ(8, kevent_ctl(self->fd, KEVENT_CTL_ADD, 8, batch))
			TH_LOG("%u writable records, errno %d", writable, errno);
		EXPECT_EQ(8, registrations(self->fd));
		for (i = 0; i < writable; i++)
			EXPECT_EQ(KEVENT_RET_DONE, flags_of(&batch[i]));
		for (; i < 8; i++)
			EXPECT_EQ(0U, batch[i].word);
		for (i = 0; i < 8; i++)
			EXPECT_EQ(1, remove_user(self->fd, i));
	}
}

/* Types without a source are refused, those that the query does not name too. */
TEST_F(ctl, unknown_type)
{
	static const uint32_t types[] = { 16, 17, 31, 32, 255, 1U << 16, 1U << 31, ~0U };
	int sources = kevent_init(NULL, 0, KEVENT_INIT_QUERY);
	struct ukevent request;
	uint32_t type;
	int i;

	ASSERT_LT(0, sources);
	EXPECT_EQ(0, (sources >> (16 + KEVENT_AIO)) & 1);
	for (i = 0; i < 16 + ARRAY_LEN(types); i++) {
		type = i < 16 ? (uint32_t)i : types[i - 16];
		if (i < 16 && (sources >> (16 + i)) & 1)
			continue;
		request = user_request(1, 1, 0);
		request.type = type;
		EXPECT_TRUE(FAILS(EOPNOTSUPP, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &request)))
			TH_LOG("type %u, errno %d", type, errno);
		EXPECT_EQ(KEVENT_RET_BROKEN | KEVENT_RET_DONE, flags_of(&request));
		EXPECT_EQ(EOPNOTSUPP, error_of(&request));
	}
	EXPECT_EQ(0, registrations(self->fd));
}

/* Request flags without a meaning, one by one, for each command that has request flags. */
TEST_F(ctl, unknown_request_flags)
{
	struct ukevent request;
	unsigned int bit;

	ASSERT_EQ(1, add_user(self->fd, 1, 1, 0));
	for (bit = 7; bit < 32; bit++) {
		request = user_request(2, 1, 1U << bit);
		EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &request)));
		EXPECT_EQ(KEVENT_RET_BROKEN | KEVENT_RET_DONE, flags_of(&request));
		EXPECT_EQ(EINVAL, error_of(&request));
		EXPECT_TRUE(FAILS(EINVAL, user_ctl(self->fd, KEVENT_CTL_SET, 2, 1, 1U << bit)));
		EXPECT_TRUE(FAILS(EINVAL, user_ctl(self->fd, KEVENT_CTL_SET, 1, 1, 1U << bit)));
		EXPECT_TRUE(FAILS(EINVAL, modify_user(self->fd, 1, 1, 1U << bit)));
	}
	EXPECT_EQ(1, registrations(self->fd));
}

/* Each request flag that user events know is accepted; sharing one source is not for them. */
TEST_F(ctl, known_request_flags)
{
	static const uint32_t flags[] = {
		0, KEVENT_REQ_ONESHOT, KEVENT_REQ_WAKEUP_ALL, KEVENT_REQ_ET, KEVENT_REQ_LAST_CHECK,
		KEVENT_REQ_ALWAYS_QUEUE, KEVENT_REQ_DISPATCH,
	};
	int i;

	for (i = 0; i < ARRAY_LEN(flags); i++) {
		EXPECT_EQ(1, add_user(self->fd, (uint64_t)i, 1, flags[i])) TH_LOG("flag %d", i);
		ASSERT_EQ(1, ready(self->fd, (uint64_t)i, 1));
		ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
		EXPECT_EQ((uint64_t)i, self->ev[0].id);
		EXPECT_EQ(flags[i], self->ev[0].req_flags);
	}
	EXPECT_TRUE(FAILS(EINVAL, add_user(self->fd, 100, 1, KEVENT_REQ_EXCLUSIVE)));
}

/* Fields without a meaning in a new registration must be 0; answers of an earlier call may stay. */
TEST_F(ctl, reserved_fields)
{
	static const unsigned int cmds[] = { KEVENT_CTL_ADD, KEVENT_CTL_SET };
	struct ukevent request[2], answered = user_request(2, 1, 0);
	int i, k;

	for (i = 0; i < ARRAY_LEN(cmds); i++) {
		for (k = 0; k < ARRAY_LEN(request); k++)
			request[k] = user_request(1, 1, 0);
		request[0].param[0] = 1;
		request[1].param[1] = 1;
		for (k = 0; k < ARRAY_LEN(request); k++) {
			EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(self->fd, cmds[i], 1, &request[k])))
				TH_LOG("command %u, field %d", cmds[i], k);
			EXPECT_EQ(KEVENT_RET_BROKEN | KEVENT_RET_DONE, flags_of(&request[k]));
			EXPECT_EQ(EINVAL, error_of(&request[k]));
		}
	}
	EXPECT_EQ(0, registrations(self->fd));
	answered.error = EINVAL;
	answered.data = 1;
	answered.fired = 1;
	answered.ret_flags = KEVENT_RET_DONE;
	EXPECT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &answered));
}

/* A mask of nothing is refused. */
TEST_F(ctl, empty_mask)
{
	EXPECT_TRUE(FAILS(EINVAL, add_user(self->fd, 1, 0, 0)));
	EXPECT_TRUE(FAILS(EINVAL, user_ctl(self->fd, KEVENT_CTL_SET, 1, 0, 0)));
	ASSERT_EQ(1, add_user(self->fd, 1, 1, 0));
	EXPECT_TRUE(FAILS(EINVAL, modify_user(self->fd, 1, 0, 0)));
	EXPECT_EQ(1, ready(self->fd, 1, 0));
}

/* A key can be registered once; any 64 bits make a key. */
TEST_F(ctl, add_twice)
{
	static const uint64_t ids[] = { 0, 1, 1ULL << 31, 1ULL << 32, 1ULL << 63, ~0ULL };
	int i;

	for (i = 0; i < ARRAY_LEN(ids); i++) {
		EXPECT_EQ(1, add_user(self->fd, ids[i], 1, 0));
		EXPECT_TRUE(FAILS(EEXIST, add_user(self->fd, ids[i], 2, 0)));
	}
	EXPECT_EQ(ARRAY_LEN(ids), registrations(self->fd));
	for (i = 0; i < ARRAY_LEN(ids); i++) {
		EXPECT_EQ(1, remove_user(self->fd, ids[i]));
		EXPECT_EQ(1, add_user(self->fd, ids[i], 1, 0));
	}
}

/* What is not registered can be neither removed, modified nor fired. */
TEST_F(ctl, missing_key)
{
	ASSERT_EQ(1, add_user(self->fd, 1, 1, 0));
	EXPECT_TRUE(FAILS(ENOENT, remove_user(self->fd, 2)));
	EXPECT_TRUE(FAILS(ENOENT, modify_user(self->fd, 2, 1, 0)));
	EXPECT_TRUE(FAILS(ENOENT, ready(self->fd, 2, 1)));
	EXPECT_EQ(1, remove_user(self->fd, 1));
	EXPECT_TRUE(FAILS(ENOENT, remove_user(self->fd, 1)));
	EXPECT_TRUE(FAILS(ENOENT, modify_user(self->fd, 1, 1, 0)));
	EXPECT_TRUE(FAILS(ENOENT, ready(self->fd, 1, 1)));
}

/* The upsert adds what is not there, and modifies what is. */
TEST_F(ctl, set)
{
	struct ukevent request = user_request(1, 1, 0);

	EXPECT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_SET, 1, &request));
	EXPECT_EQ(KEVENT_RET_DONE, flags_of(&request));
	EXPECT_EQ(1, registrations(self->fd));
	request = user_request(1, 6, 0);
	request.user = 77;
	EXPECT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_SET, 1, &request));
	EXPECT_EQ(1, registrations(self->fd));
	ASSERT_EQ(1, ready(self->fd, 1, 7));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(6U, self->ev[0].event);
	EXPECT_EQ(6U, self->ev[0].fired);
	EXPECT_EQ(77U, self->ev[0].user);
}

/* A batch ends at the first record that fails; what came before has happened. */
TEST_F(ctl, stops_at_first_failure)
{
	struct ukevent batch[4] = {
		user_request(1, 1, 0),
		user_request(2, 1, 0),
		user_request(1, 1, 0),
		user_request(3, 1, 0),
	};

	EXPECT_EQ(2, kevent_ctl(self->fd, KEVENT_CTL_ADD, 4, batch));
	EXPECT_EQ(KEVENT_RET_DONE, flags_of(&batch[0]));
	EXPECT_EQ(0U, batch[0].error);
	EXPECT_EQ(KEVENT_RET_DONE, flags_of(&batch[1]));
	EXPECT_EQ(KEVENT_RET_BROKEN | KEVENT_RET_DONE, flags_of(&batch[2]));
	EXPECT_EQ(EEXIST, error_of(&batch[2]));
	EXPECT_EQ(0U, batch[3].word);
	EXPECT_EQ(0U, batch[3].error);
	EXPECT_EQ(0U, batch[3].data);
	EXPECT_EQ(2, registrations(self->fd));

	/* The first record's error is the call's. */
	batch[2] = user_request(1, 1, 0);
	EXPECT_TRUE(FAILS(EEXIST, kevent_ctl(self->fd, KEVENT_CTL_ADD, 2, &batch[2])));
	EXPECT_EQ(EEXIST, error_of(&batch[2]));
	EXPECT_EQ(2, registrations(self->fd));
}

/* The same for the other commands. */
TEST_F(ctl, partial_counts)
{
	struct ukevent batch[4];
	unsigned int cmd;
	int i;

	ASSERT_EQ(3, add_users(self->fd, 0, 3));
	for (cmd = KEVENT_CTL_REMOVE; cmd <= KEVENT_CTL_READY; cmd++) {
		/* REMOVE is the last. */
		unsigned int now = cmd == KEVENT_CTL_READY ? KEVENT_CTL_REMOVE : cmd + 1;

		for (i = 0; i < 4; i++)
			batch[i] = user_request((uint64_t)i, 1, 0);
		batch[2].id = 99;
		EXPECT_EQ(2, kevent_ctl(self->fd, now, 4, batch));
		EXPECT_EQ(ENOENT, error_of(&batch[2]));
		EXPECT_EQ(0U, batch[3].word);
		if (now == KEVENT_CTL_READY)
			EXPECT_EQ(2, get_now(self->fd, 16, self->ev));
	}
	EXPECT_EQ(1, registrations(self->fd));
}

/* A long REMOVE ends at any record that fails: none after it is gone, all before are answered. */
TEST_F(ctl, partial_remove)
{
	struct ukevent batch[40];
	int missing, i;

	for (missing = 0; missing < 40; missing++) {
		ASSERT_EQ(40, add_users(self->fd, 0, 40));
		for (i = 0; i < 40; i++)
			batch[i] = user_request((uint64_t)i, 0, 0);
		batch[missing].id = 99;
		i = kevent_ctl(self->fd, KEVENT_CTL_REMOVE, 40, batch);
		EXPECT_EQ(missing ? missing : -1, i);
		EXPECT_EQ(40 - missing, registrations(self->fd));
		for (i = 0; i < 40; i++)
			EXPECT_EQ(i < missing ? (int)KEVENT_RET_DONE : i > missing ? 0 :
				  (int)(KEVENT_RET_BROKEN | KEVENT_RET_DONE), flags_of(&batch[i]));
		EXPECT_EQ(ENOENT, error_of(&batch[missing]));
		for (i = missing; i < 40; i++)
			ASSERT_EQ(1, remove_user(self->fd, (uint64_t)i));
	}
}

/* Return flags, error and generation are written back, and nothing else of a record. */
TEST_F(ctl, write_back)
{
	struct ukevent request = user_request(5, 3, KEVENT_REQ_ET), sent = request;

	ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &request));
	EXPECT_EQ(KEVENT_RET_DONE, flags_of(&request));
	EXPECT_EQ(0U, request.error);
	EXPECT_EQ(sent.id, request.id);
	EXPECT_EQ(sent.type, request.type);
	EXPECT_EQ(sent.event, request.event);
	EXPECT_EQ(sent.req_flags, request.req_flags);
	EXPECT_EQ(sent.user, request.user);
	EXPECT_EQ(0U, request.param[0]);
	EXPECT_EQ(0U, request.param[1]);
}

/* Each ADD and each MODIFY makes a new generation; an event carries that of its registration. */
TEST_F(ctl, generation)
{
	struct ukevent request = user_request(1, 1, 0);
	uint64_t seen[4];
	int i, k;

	ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &request));
	seen[0] = request.data;
	request = user_request(1, 1, 0);
	ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_MODIFY, 1, &request));
	seen[1] = request.data;
	request = user_request(1, 1, 0);
	ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_SET, 1, &request));
	seen[2] = request.data;
	ASSERT_EQ(1, remove_user(self->fd, 1));
	request = user_request(1, 1, 0);
	ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &request));
	seen[3] = request.data;
	for (i = 0; i < 4; i++)
		for (k = 0; k < i; k++)
			EXPECT_NE(seen[k], seen[i]);
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(seen[3], self->ev[0].param[0]);
	EXPECT_EQ(0U, self->ev[0].param[1]);
}

/* READY of bits that nobody asked for fires nothing. */
TEST_F(ctl, ready_of_unrequested_bits)
{
	struct ukevent request = user_request(1, 2, 0);

	ASSERT_EQ(1, add_user(self->fd, 1, 1, 0));
	request.data = 5;
	EXPECT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_READY, 1, &request));
	EXPECT_EQ(0, get_now(self->fd, 1, self->ev));
}

/* READY cuts its mask to the requested one; no mask at all means that one. */
TEST_F(ctl, ready_mask)
{
	ASSERT_EQ(1, add_user(self->fd, 1, 0x0f, 0));
	ASSERT_EQ(1, ready(self->fd, 1, 0xf6));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(0x06U, self->ev[0].fired);
	EXPECT_EQ(0x0fU, self->ev[0].event);
	ASSERT_EQ(1, ready(self->fd, 1, 0));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(0x0fU, self->ev[0].fired);
}

/* What fires again before it is taken merges: masks by OR, data by addition. */
TEST_F(ctl, ready_merges)
{
	ASSERT_EQ(1, add_user(self->fd, 1, ~0U, 0));
	ASSERT_EQ(1, ready_data(self->fd, 1, 1U << 31, 5));
	ASSERT_EQ(1, ready_data(self->fd, 1, 1, 7));
	ASSERT_EQ(1, ready_data(self->fd, 1, 1, 0));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(1U << 31 | 1, self->ev[0].fired);
	EXPECT_EQ(12U, kevent_ring_data(&self->ev[0]));
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	ASSERT_EQ(1, ready_data(self->fd, 1, 2, 3));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(2U, self->ev[0].fired);
	EXPECT_EQ(3U, kevent_ring_data(&self->ev[0]));
}

/* A count has 63 bits, and stops at the largest. */
TEST_F(ctl, count_saturates)
{
	uint64_t most = KEVENT_DATA_CLOSED - 1;
	struct ukevent request = user_request(1, 1, 0);

	ASSERT_EQ(1, add_user(self->fd, 1, 1, 0));
	request.data = KEVENT_DATA_CLOSED;
	EXPECT_TRUE(FAILS(EINVAL, kevent_ctl(self->fd, KEVENT_CTL_READY, 1, &request)));
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	ASSERT_EQ(1, ready_data(self->fd, 1, 1, most));
	ASSERT_EQ(1, ready_data(self->fd, 1, 1, most));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(most, kevent_ring_data(&self->ev[0]));
}

/* One batch fires several times what it names several times. */
TEST_F(ctl, ready_batch)
{
	struct ukevent batch[3] = {
		user_request(2, 1, 0),
		user_request(1, 1, 0),
		user_request(2, 2, 0),
	};

	ASSERT_EQ(1, add_user(self->fd, 1, 3, 0));
	ASSERT_EQ(1, add_user(self->fd, 2, 3, 0));
	ASSERT_EQ(3, kevent_ctl(self->fd, KEVENT_CTL_READY, 3, batch));
	EXPECT_EQ(KEVENT_RET_DONE, flags_of(&batch[2]));
	ASSERT_EQ(2, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(2U, self->ev[0].id);
	EXPECT_EQ(3U, self->ev[0].fired);
	EXPECT_EQ(1U, self->ev[1].id);
	EXPECT_EQ(1U, self->ev[1].fired);
}

/* An event says what was asked for, whose it is, and that it counts; nothing injected it. */
TEST_F(ctl, event_content)
{
	struct ukevent request = user_request(0xfedcba9876543210ULL, 0x80000001U, KEVENT_REQ_ET);

	request.user = 0x0123456789abcdefULL;
	ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_ADD, 1, &request));
	ASSERT_EQ(1, ready_data(self->fd, request.id, 1, 9));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(0xfedcba9876543210ULL, self->ev[0].id);
	EXPECT_EQ((uint32_t)KEVENT_USER, self->ev[0].type);
	EXPECT_EQ(0x80000001U, self->ev[0].event);
	EXPECT_EQ((uint32_t)KEVENT_REQ_ET, self->ev[0].req_flags);
	EXPECT_EQ(0U, self->ev[0].error);
	EXPECT_EQ(9U, self->ev[0].data);
	EXPECT_EQ(0x0123456789abcdefULL, self->ev[0].user);
	EXPECT_EQ(1U, self->ev[0].fired);
	EXPECT_TRUE(flags_of(&self->ev[0]) & KEVENT_RET_COUNTED);
	EXPECT_FALSE(flags_of(&self->ev[0]) & KEVENT_RET_INJECTED);
	EXPECT_FALSE(flags_of(&self->ev[0]) & KEVENT_RET_BROKEN);
	EXPECT_FALSE(flags_of(&self->ev[0]) & KEVENT_RET_COPY_FAILED);
	EXPECT_FALSE(flags_of(&self->ev[0]) & SLOT_FLAGS);
}

/* A dispatched event comes once, and again only after MODIFY. */
TEST_F(ctl, dispatch)
{
	ASSERT_EQ(1, add_user(self->fd, 1, 3, KEVENT_REQ_DISPATCH));
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	ready(self->fd, 1, 2);
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(1, registrations(self->fd));
	EXPECT_TRUE(FAILS(EEXIST, add_user(self->fd, 1, 3, 0)));
	ASSERT_EQ(1, modify_user(self->fd, 1, 3, KEVENT_REQ_DISPATCH));
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	ASSERT_EQ(1, ready(self->fd, 1, 2));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(2U, self->ev[0].fired);
	ready(self->fd, 1, 2);
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
}

/* MODIFY may change the mode: a disabled registration becomes an ordinary one. */
TEST_F(ctl, modify_changes_mode)
{
	ASSERT_EQ(1, add_user(self->fd, 1, 1, KEVENT_REQ_DISPATCH));
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	ASSERT_EQ(1, modify_user(self->fd, 1, 1, 0));
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	EXPECT_EQ(1, get_now(self->fd, 16, self->ev));
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	EXPECT_EQ(1, get_now(self->fd, 16, self->ev));
}

/* MODIFY takes an untaken event back; old words and new bits never mix. */
TEST_F(ctl, modify_retracts)
{
	struct ukevent request = user_request(1, 2, 0);

	ASSERT_EQ(1, add_user(self->fd, 1, 1, 0));
	ASSERT_EQ(1, ready_data(self->fd, 1, 1, 100));
	request.user = 1234;
	ASSERT_EQ(1, kevent_ctl(self->fd, KEVENT_CTL_MODIFY, 1, &request));
	EXPECT_EQ(KEVENT_RET_DONE, flags_of(&request));
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	ASSERT_EQ(1, ready_data(self->fd, 1, 3, 1));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(1234U, self->ev[0].user);
	EXPECT_EQ(2U, self->ev[0].event);
	EXPECT_EQ(2U, self->ev[0].fired);
	EXPECT_EQ(1U, kevent_ring_data(&self->ev[0]));
}

/* REMOVE takes an untaken event back, and owes nothing. */
TEST_F(ctl, remove_retracts)
{
	ASSERT_EQ(2, add_users(self->fd, 1, 2));
	ASSERT_EQ(2, ready_users(self->fd, 1, 2));
	EXPECT_EQ(KEVENT_RET_DONE, remove_flags(self->fd, 1));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(2U, self->ev[0].id);
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
}

/* REMOVE and MODIFY take back what waits for room too. */
TEST_F(ctl, pending_is_retracted)
{
	ASSERT_EQ(12, add_users(self->fd, 0, 12));
	ASSERT_EQ(12, ready_users(self->fd, 0, 12));
	EXPECT_EQ(KEVENT_RET_DONE, remove_flags(self->fd, 9));
	EXPECT_EQ(1, modify_user(self->fd, 10, 1, 0));
	ASSERT_EQ(10, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(8U, self->ev[8].id);
	EXPECT_EQ(11U, self->ev[9].id);
}

/* Once: delivered once, the registration is gone then. */
TEST_F(ctl, oneshot)
{
	ASSERT_EQ(1, add_user(self->fd, 1, 1, KEVENT_REQ_ONESHOT));
	ASSERT_EQ(1, ready(self->fd, 1, 1));
	ASSERT_EQ(1, get_now(self->fd, 16, self->ev));
	EXPECT_EQ((uint32_t)KEVENT_REQ_ONESHOT, self->ev[0].req_flags);
	EXPECT_TRUE(FAILS(ENOENT, ready(self->fd, 1, 1)));
	EXPECT_TRUE(FAILS(ENOENT, remove_user(self->fd, 1)));
	EXPECT_TRUE(FAILS(ENOENT, modify_user(self->fd, 1, 1, 0)));
	EXPECT_EQ(0, get_now(self->fd, 16, self->ev));
	EXPECT_EQ(1, add_user(self->fd, 1, 1, 0));
	EXPECT_EQ(1, registrations(self->fd));
}

/* Without a ring, the key of a once-only event is free when a caller got it, not before. */
TEST(oneshot_key_without_ring)
{
	int fd = kevent_init(NULL, 0, 0);
	struct ukevent ev;

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, add_user(fd, 1, 3, KEVENT_REQ_ONESHOT));
	ASSERT_EQ(1, ready(fd, 1, 1));
	EXPECT_TRUE(FAILS(EEXIST, add_user(fd, 1, 1, 0)));
	ASSERT_EQ(1, ready(fd, 1, 2));
	ASSERT_EQ(1, get_now(fd, 1, &ev));
	EXPECT_EQ(3U, ev.fired);
	EXPECT_EQ(1, add_user(fd, 1, 1, 0));
	close(fd);
}

/* With a ring, its key is free as soon as the event stands there. Both live side by side. */
TEST(oneshot_key_with_ring)
{
	struct kevent_consumer c;
	struct ukevent *ev;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(1, add_user(c.fd, 1, 1, KEVENT_REQ_ONESHOT));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	EXPECT_TRUE(FAILS(ENOENT, remove_user(c.fd, 1)));
	ASSERT_EQ(1, add_user(c.fd, 1, 2, 0));
	ASSERT_EQ(1, ready(c.fd, 1, 2));
	ev = kevent_ring_take(&c);
	ASSERT_NE(NULL, ev);
	EXPECT_EQ(1U, ev->event);
	kevent_ring_finish(&c, ev);
	/* The new one's event is untaken, and goes; the old one's was never its. */
	EXPECT_EQ(KEVENT_RET_DONE, remove_flags(c.fd, 1));
	EXPECT_EQ(NULL, kevent_ring_take(&c));
	kevent_ring_close(&c);
}

/* While its event waits for room, the key is not yet free. */
TEST(oneshot_key_while_pending)
{
	struct kevent_consumer c;

	ASSERT_EQ(0, kevent_ring_open(&c, 1, 0, 1));
	ASSERT_EQ(1, add_user(c.fd, 1, 1, 0));
	ASSERT_EQ(1, add_user(c.fd, 2, 1, KEVENT_REQ_ONESHOT));
	ASSERT_EQ(2, ready_users(c.fd, 1, 2));
	EXPECT_TRUE(FAILS(EEXIST, add_user(c.fd, 2, 1, 0)));
	EXPECT_EQ(1, take_id(&c));
	EXPECT_EQ(1, kevent_ring_pending(&c));
	EXPECT_EQ(1, kevent_ring_wait(&c, NULL));
	EXPECT_EQ(1, add_user(c.fd, 2, 1, 0));
	EXPECT_EQ(2, take_id(&c));
	kevent_ring_close(&c);
}

/* In the ring, a dispatched event stands once, whatever fires before MODIFY. */
TEST(dispatch_in_ring)
{
	struct kevent_consumer c;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(1, add_user(c.fd, 1, 3, KEVENT_REQ_DISPATCH));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	ready(c.fd, 1, 2);
	EXPECT_EQ(1U, kevent_ring_head(&c));
	EXPECT_EQ(1, take_id(&c));
	ready(c.fd, 1, 1);
	EXPECT_EQ(-1, take_id(&c));
	ASSERT_EQ(1, modify_user(c.fd, 1, 3, 0));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	EXPECT_EQ(1, take_id(&c));
	kevent_ring_close(&c);
}

/* Taken and not finished: REMOVE succeeds and says so; the taker's event stays readable. */
TEST(remove_of_taken)
{
	struct kevent_consumer c;
	struct ukevent *ev;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(1, add_user(c.fd, 1, 1, 0));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	ev = kevent_ring_take(&c);
	ASSERT_NE(NULL, ev);
	EXPECT_EQ(KEVENT_RET_DONE | KEVENT_RET_OUTSTANDING, remove_flags(c.fd, 1));
	EXPECT_EQ(1U, ev->id);
	EXPECT_EQ(~1ULL, ev->user);
	kevent_ring_finish(&c, ev);
	ASSERT_EQ(1, add_user(c.fd, 1, 1, 0));
	EXPECT_EQ(KEVENT_RET_DONE, remove_flags(c.fd, 1));
	kevent_ring_close(&c);
}

/* The same when a younger event of that registration is untaken, which goes. */
TEST(remove_of_taken_and_untaken)
{
	struct kevent_consumer c;
	struct ukevent *ev;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(1, add_user(c.fd, 1, 1, 0));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	ev = kevent_ring_take(&c);
	ASSERT_NE(NULL, ev);
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	EXPECT_EQ(2U, kevent_ring_head(&c));
	EXPECT_EQ(KEVENT_RET_DONE | KEVENT_RET_OUTSTANDING, remove_flags(c.fd, 1));
	EXPECT_EQ(NULL, kevent_ring_take(&c));
	kevent_ring_finish(&c, ev);
	kevent_ring_close(&c);
}

/* The same when a younger one is finished, or taken by somebody else. */
TEST(remove_of_taken_and_finished)
{
	struct kevent_consumer c, d;
	struct ukevent *first, *second;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(0, kevent_ring_join(&d, &c, 2));
	ASSERT_EQ(1, add_user(c.fd, 1, 1, 0));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	first = kevent_ring_take(&c);
	ASSERT_NE(NULL, first);
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	second = kevent_ring_take(&d);
	ASSERT_NE(NULL, second);
	kevent_ring_finish(&d, second);
	EXPECT_EQ(KEVENT_RET_DONE | KEVENT_RET_OUTSTANDING, remove_flags(c.fd, 1));
	kevent_ring_finish(&c, first);

	ASSERT_EQ(1, add_user(c.fd, 1, 1, 0));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	first = kevent_ring_take(&c);
	ASSERT_NE(NULL, first);
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	second = kevent_ring_take(&d);
	ASSERT_NE(NULL, second);
	kevent_ring_finish(&c, first);
	EXPECT_EQ(KEVENT_RET_DONE | KEVENT_RET_OUTSTANDING, remove_flags(c.fd, 1));
	kevent_ring_finish(&d, second);
	kevent_ring_close(&c);
}

/* MODIFY says OUTSTANDING too, and the taken event keeps its words. */
TEST(modify_of_taken)
{
	struct kevent_consumer c;
	struct ukevent request = user_request(1, 2, 0), *old, *new;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(1, add_user(c.fd, 1, 1, 0));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	old = kevent_ring_take(&c);
	ASSERT_NE(NULL, old);
	request.user = 99;
	ASSERT_EQ(1, kevent_ctl(c.fd, KEVENT_CTL_MODIFY, 1, &request));
	EXPECT_EQ(KEVENT_RET_DONE | KEVENT_RET_OUTSTANDING, flags_of(&request));
	ASSERT_EQ(1, ready(c.fd, 1, 2));
	new = kevent_ring_take(&c);
	ASSERT_NE(NULL, new);
	EXPECT_EQ(1U, old->fired);
	EXPECT_EQ(~1ULL, old->user);
	EXPECT_EQ(2U, new->fired);
	EXPECT_EQ(99U, new->user);
	EXPECT_EQ(request.data, new->param[0]);
	EXPECT_NE(request.data, old->param[0]);
	kevent_ring_close(&c);
}

/* What kevent_get_events() handed out is no longer outstanding. */
TEST(remove_after_get)
{
	struct kevent_consumer c;
	struct ukevent ev;

	ASSERT_EQ(0, kevent_ring_open(&c, 4, 0, 1));
	ASSERT_EQ(1, add_user(c.fd, 1, 1, 0));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	ASSERT_EQ(1, get_now(c.fd, 1, &ev));
	EXPECT_EQ(KEVENT_RET_DONE, remove_flags(c.fd, 1));
	kevent_ring_close(&c);
}

TEST_HARNESS_MAIN
