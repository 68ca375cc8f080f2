// SPDX-License-Identifier: GPL-2.0
/* How much of a queue a user can have: registrations by number, memory by the cgroup. */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "harness.h"
#include "sources.h"

#define SYSCTL	"/proc/sys/user/max_kevent_watches"
#define MANY	100000U

/* A user that nobody else is, so that it has no registrations yet. */
#define NOBODY	54321
#define NOBODY2	54322

static long read_limit(void)
{
	char text[64];

	return strtol(slurp(SYSCTL, text, sizeof(text)), NULL, 10);
}

static bool write_limit(long limit)
{
	char text[64];

	snprintf(text, sizeof(text), "%ld\n", limit);
	return spit(SYSCTL, text);
}

/* Runs @fn as another user in a child. 0: it is content; else its number of the failed step. */
static int as_user(uid_t uid, int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
			_exit(100);
		/* Who changes the user may not read its own /proc/self, without this. */
		prctl(PR_SET_DUMPABLE, 1);
		_exit(fn());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 101;
	return WEXITSTATUS(status);
}

FIXTURE(user)
{
	long before;
};

FIXTURE_SETUP(user)
{
	if (geteuid() != 0)
		SKIP(return, "needs root");
	self->before = read_limit();
	ASSERT_LT(0, self->before);
	ASSERT_TRUE(write_limit(10));
	ASSERT_EQ(10, read_limit());
}

FIXTURE_TEARDOWN(user)
{
	write_limit(self->before);
}

/* Ten registrations, also over several queues, and not one more. */
static int ten_and_no_more(void)
{
	int a = kevent_init(NULL, 4, 0), b = open("/dev/kevent", O_RDWR), i;

	for (i = 0; i < 10; i++)
		if (add_user(i % 2 ? a : b, (uint64_t)i, 1, 0) != 1)
			return 1;
	if (!FAILS(ENOSPC, add_user(a, 100, 1, 0)) || !FAILS(ENOSPC, add_user(b, 100, 1, 0)))
		return 2;
	if (!FAILS(ENOSPC, user_ctl(a, KEVENT_CTL_SET, 100, 1, 0)))
		return 3;
	/* What is there can be changed, and fires. */
	if (user_ctl(a, KEVENT_CTL_SET, 1, 3, 0) != 1 || modify_user(b, 2, 3, 0) != 1)
		return 4;
	if (ready(a, 1, 3) != 1)
		return 5;
	/* The error of a key that is there comes first. */
	if (!FAILS(EEXIST, add_user(a, 1, 1, 0)))
		return 6;
	return 0;
}

/* The limit is exact, and is of the user, not of the queue. */
TEST_F(user, exact)
{
	EXPECT_EQ(0, as_user(NOBODY, ten_and_no_more));
}

/* What one user holds is not another one's. */
TEST_F(user, each_user)
{
	int status, go[2], done[2], fd;
	pid_t holder;
	char byte;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(done));
	holder = fork();
	ASSERT_LE(0, holder);
	if (holder == 0) {
		close(go[0]);
		close(done[1]);
		if (setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		fd = kevent_init(NULL, 0, 0);
		if (add_users(fd, 0, 10) != 10 || write(go[1], "x", 1) != 1)
			_exit(2);
		_exit(read(done[0], &byte, 1) == 0 ? 0 : 3);
	}
	close(go[1]);
	ASSERT_EQ(1, read(go[0], &byte, 1));
	EXPECT_EQ(0, as_user(NOBODY2, ten_and_no_more));
	close(done[1]);
	ASSERT_EQ(holder, waitpid(holder, &status, 0));
	EXPECT_EQ(0, status);
}

static int partial_batch(void)
{
	struct ukevent batch[16];
	int fd = kevent_init(NULL, 0, 0), i;

	for (i = 0; i < 16; i++)
		batch[i] = user_request((uint64_t)i, 1, 0);
	if (kevent_ctl(fd, KEVENT_CTL_ADD, 16, batch) != 10)
		return 1;
	if (error_of(&batch[10]) != ENOSPC ||
	    flags_of(&batch[10]) != (KEVENT_RET_BROKEN | KEVENT_RET_DONE) || batch[11].word)
		return 2;
	return registrations(fd) == 10 ? 0 : 3;
}

/* A batch that reaches the limit ends there, with what fits. */
TEST_F(user, batch)
{
	EXPECT_EQ(0, as_user(NOBODY, partial_batch));
}

static int freed(void)
{
	int fd = kevent_init(NULL, 4, 0), other, i;
	struct ukevent ev;

	if (add_users(fd, 0, 10) != 10)
		return 1;
	/* By REMOVE. */
	for (i = 0; i < 30; i++) {
		if (!FAILS(ENOSPC, add_user(fd, (uint64_t)i + 10, 1, 0)))
			return 2;
		if (remove_user(fd, (uint64_t)i) != 1 || add_user(fd, (uint64_t)i + 10, 1, 0) != 1)
			return 3;
	}
	/* By the last close(). */
	other = dup(fd);
	close(fd);
	fd = kevent_init(NULL, 4, 0);
	if (!FAILS(ENOSPC, add_user(fd, 1, 1, 0)))
		return 4;
	close(other);
	if (add_users(fd, 0, 9) != 9)
		return 5;
	/* By delivering what comes once. */
	for (i = 0; i < 30; i++) {
		if (add_user(fd, 99, 1, KEVENT_REQ_ONESHOT) != 1)
			return 6;
		if (!FAILS(ENOSPC, add_user(fd, 100, 1, 0)))
			return 7;
		if (ready(fd, 99, 1) != 1 || get_now(fd, 1, &ev) != 1)
			return 8;
	}
	if (add_user(fd, 100, 1, 0) != 1)
		return 9;
	return 0;
}

/* A registration that is gone counts no more, whichever way it went. */
TEST_F(user, freed)
{
	EXPECT_EQ(0, as_user(NOBODY, freed));
	/* And the end of the process frees the rest. */
	EXPECT_EQ(0, as_user(NOBODY, ten_and_no_more));
}

/* A refused ADD leaves nothing that counts. */
static int refused(void)
{
	int fd = kevent_init(NULL, 0, 0), i;

	for (i = 0; i < 100; i++)
		if (!FAILS(EINVAL, add_user(fd, (uint64_t)i, 0, 0)))
			return 1;
	if (add_users(fd, 0, 9) != 9)
		return 2;
	for (i = 0; i < 100; i++)
		if (!FAILS(EEXIST, add_user(fd, 3, 1, 0)))
			return 3;
	if (add_user(fd, 9, 1, 0) != 1)
		return 4;
	return FAILS(ENOSPC, add_user(fd, 10, 1, 0)) ? 0 : 5;
}

TEST_F(user, refused)
{
	EXPECT_EQ(0, as_user(NOBODY, refused));
}

/* No registrations at all: queues, but nothing in them. */
static int none(void)
{
	int fd = kevent_init(NULL, 4, 0);

	if (fd < 0)
		return 1;
	return FAILS(ENOSPC, add_user(fd, 1, 1, 0)) ? 0 : 2;
}

TEST_F(user, zero)
{
	ASSERT_TRUE(write_limit(0));
	EXPECT_EQ(0, as_user(NOBODY, none));
}

/* Locked memory has nothing to do with it. */
TEST(no_locked_memory)
{
	struct rlimit no_bytes = { 0 };
	struct kevent_consumer c;

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &no_bytes));
	ASSERT_EQ(0, setresuid(NOBODY, NOBODY, NOBODY));
	ASSERT_EQ(0, kevent_ring_open(&c, KEVENT_RING_MAX, 0, 1));
	EXPECT_EQ(1, add_user(c.fd, 1, 1, 0));
	kevent_ring_close(&c);
}

/*
 * Very many registrations.
 */

FIXTURE(many)
{
	long before;
	int fd;
};

FIXTURE_SETUP(many)
{
	if (geteuid() != 0)
		SKIP(return, "needs root");
	self->before = read_limit();
	ASSERT_LT(0, self->before);
	ASSERT_TRUE(write_limit(2 * MANY));
	self->fd = kevent_init(NULL, 1024, 0);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(many)
{
	write_limit(self->before);
	close(self->fd);
}

/* One batch after another. Returns how many records took effect. */
static unsigned int in_batches(int fd, unsigned int cmd, unsigned int num)
{
	struct ukevent *batch = malloc(KEVENT_BATCH_MAX * sizeof(*batch));
	unsigned int at, i, n;

	for (at = 0; batch && at < num; at += n) {
		n = num - at < KEVENT_BATCH_MAX ? num - at : KEVENT_BATCH_MAX;
		for (i = 0; i < n; i++)
			batch[i] = user_request((at + i) * 0x9e3779b97f4a7c15ULL, 1, 0);
		if (kevent_ctl(fd, cmd, n, batch) != (int)n)
			break;
	}
	free(batch);
	return at;
}

/* Added, fired, removed, in batches, twice. */
TEST_F_TIMEOUT(many, added_and_removed_twice, 300)
{
	struct ukevent *ev = calloc(KEVENT_BATCH_MAX, sizeof(*ev));
	unsigned int round, got;
	int n;

	ASSERT_NE(NULL, ev);
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(MANY, in_batches(self->fd, KEVENT_CTL_ADD, MANY));
		ASSERT_EQ((int)MANY, registrations(self->fd));
		ASSERT_EQ(MANY, in_batches(self->fd, KEVENT_CTL_READY, MANY));
		for (got = 0; (n = get_now(self->fd, KEVENT_BATCH_MAX, ev)) > 0;) {
			ASSERT_EQ(got * 0x9e3779b97f4a7c15ULL, ev[0].id);
			got += (unsigned int)n;
		}
		ASSERT_EQ(MANY, got);
		ASSERT_EQ(MANY, in_batches(self->fd, KEVENT_CTL_REMOVE, MANY));
		ASSERT_EQ(0, registrations(self->fd));
		ASSERT_EQ(1, add_user(self->fd, 1, 1, 0));
		ASSERT_EQ(1, remove_user(self->fd, 1));
	}
	free(ev);
}

/* The longest batch there is. */
TEST_F(many, longest_batch)
{
	struct ukevent *batch = calloc(KEVENT_BATCH_MAX, sizeof(*batch));
	unsigned int i;

	ASSERT_NE(NULL, batch);
	for (i = 0; i < KEVENT_BATCH_MAX; i++)
		batch[i] = user_request(i, 1, 0);
	EXPECT_EQ(KEVENT_BATCH_MAX, kevent_ctl(self->fd, KEVENT_CTL_ADD, KEVENT_BATCH_MAX, batch));
	EXPECT_EQ(KEVENT_BATCH_MAX, registrations(self->fd));
	EXPECT_EQ(KEVENT_RET_DONE, flags_of(&batch[KEVENT_BATCH_MAX - 1]));
	free(batch);
}

/* Left for close() to remove, pending events and all. */
TEST_F_TIMEOUT(many, closed, 300)
{
	ASSERT_EQ(MANY, in_batches(self->fd, KEVENT_CTL_ADD, MANY));
	ASSERT_EQ(MANY, in_batches(self->fd, KEVENT_CTL_READY, MANY));
	ASSERT_EQ(0, close(self->fd));
	self->fd = kevent_init(NULL, 1024, 0);
	ASSERT_LE(0, self->fd);
	/* The limit would not hold them twice. */
	ASSERT_TRUE(write_limit(MANY + MANY / 2));
	EXPECT_EQ(MANY, in_batches(self->fd, KEVENT_CTL_ADD, MANY));
}

/*
 * Room for one more is made while places become free.
 */

struct busy {
	struct kevent_consumer c;
	int file;
	bool stop;
};

/* Fills slots again, from wake-ups, and leaves nothing in them. */
static void *fire_and_take(void *arg)
{
	struct busy *b = arg;
	struct ukevent *ev;

	while (!__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE)) {
		eventfd_write(b->file, 1);
		while ((ev = kevent_ring_take(&b->c)))
			kevent_ring_finish(&b->c, ev);
	}
	return NULL;
}

/* What fires once keeps its place until its slot is filled again: any moment. */
static unsigned int add_while_busy(struct busy *b, unsigned int num)
{
	unsigned int i, done = 0;

	for (i = 0; i < num; i++)
		done += add_user(b->c.fd, 2 * i, 1, KEVENT_REQ_ONESHOT) == 1 &&
			ready(b->c.fd, 2 * i, 1) == 1 &&
			add_user(b->c.fd, 2 * i + 1, 1, 0) == 1;
	return done;
}

TEST_F_TIMEOUT(many, places_become_free_meanwhile, 300)
{
	unsigned int round;

	for (round = 0; round < 300; round++) {
		struct busy b = { .file = eventfd(0, 0) };
		pthread_t thread;

		ASSERT_LE(0, b.file);
		ASSERT_EQ(0, kevent_ring_open(&b.c, 16, 0, 1));
		ASSERT_EQ(1, add_file(b.c.fd, b.file, POLLIN, KEVENT_REQ_ET));
		ASSERT_EQ(0, pthread_create(&thread, NULL, fire_and_take, &b));
		EXPECT_EQ(200U, add_while_busy(&b, 200)) {
			TH_LOG("in round %u", round);
		}
		__atomic_store_n(&b.stop, true, __ATOMIC_RELEASE);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		kevent_ring_close(&b.c);
		close(b.file);
	}
}

/*
 * Memory.
 */

#define CGROUP	"/sys/fs/cgroup/kevent_selftest"

FIXTURE(memory)
{
	long before;
};

static long long cgroup_value(const char *file, const char *key)
{
	char path[128], text[8192], *line;
	size_t len = strlen(key);

	snprintf(path, sizeof(path), CGROUP "/%s", file);
	line = slurp(path, text, sizeof(text));
	if (!len)
		return *line ? strtoll(line, NULL, 10) : -1;
	for (; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (!strncmp(line, key, len) && line[len] == ' ')
			return strtoll(line + len, NULL, 10);
	return -1;
}

FIXTURE_SETUP(memory)
{
	self->before = 0;
	if (geteuid() != 0)
		SKIP(return, "needs root");
	spit("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	rmdir(CGROUP);
	if (mkdir(CGROUP, 0755))
		SKIP(return, "no cgroup2: errno %d", errno);
	if (cgroup_value("memory.current", "") < 0)
		SKIP(return, "no memory controller");
	self->before = read_limit();
	ASSERT_LT(0, self->before);
	ASSERT_TRUE(write_limit(1L << 30));
}

FIXTURE_TEARDOWN(memory)
{
	int i;

	if (self->before)
		write_limit(self->before);
	for (i = 0; i < 1000 && rmdir(CGROUP) && errno == EBUSY; i++)
		nap();
}

/* Runs @fn in the cgroup. 0: it is content; else its number of the failed step. */
static int in_cgroup(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(spit(CGROUP "/cgroup.procs", "0") ? fn() : 100);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 101;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 102;
}

static int big_rings_fail(void)
{
	char *room = mmap(NULL, kevent_ring_bytes(KEVENT_RING_MAX), PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	for (i = 0; i < 20; i++) {
		if (!FAILS(ENOMEM, kevent_init(NULL, KEVENT_RING_MAX, 0)))
			return 1;
		if (!FAILS(ENOMEM, kevent_init(room, KEVENT_RING_MAX, 0)))
			return 2;
	}
	/* What it had been given by then is given back, by each processor in its time. */
	for (i = 0; i < 5000; i++) {
		int fd = kevent_init(NULL, 64, 0);

		if (fd >= 0 && add_users(fd, 0, 10) == 10 && ready_users(fd, 0, 10) == 10)
			return 0;
		close(fd);
		nap();
	}
	return 3;
}

/* A ring that the cgroup has no memory for: ENOMEM, and nobody is killed. */
TEST_F(memory, ring_beyond_limit)
{
	ASSERT_TRUE(spit(CGROUP "/memory.max", "3145728"));
	EXPECT_EQ(0, in_cgroup(big_rings_fail));
	EXPECT_EQ(0, cgroup_value("memory.events", "oom_kill"));
	EXPECT_LT(0, cgroup_value("memory.events", "max"));
}

static int too_many_registrations(void)
{
	/* In place before memory is short: what the test itself needs must not be refused. */
	static struct ukevent batch[1024];
	unsigned int at = 0, i;
	int fd = kevent_init(NULL, 0, 0), n;

	do {
		for (i = 0; i < 1024; i++)
			batch[i] = user_request(at + i, 1, 0);
		n = kevent_ctl(fd, KEVENT_CTL_ADD, 1024, batch);
		if (n > 0)
			at += (unsigned int)n;
		if (at > 1U << 22)
			return 1;
	} while (n == 1024);
	/* The batch ends where memory does. Its own memory is free again, for a few more. */
	for (i = 0; i < 1U << 16 && add_user(fd, at, 1, 0) == 1; i++)
		at++;
	if (!FAILS(ENOMEM, add_user(fd, at, 1, 0)))
		return 2;
	if (at < 1024)
		return 3;
	/* All that were accepted work, and the refused one is not there. */
	if (ready(fd, 0, 1) != 1 || ready(fd, at - 1, 1) != 1)
		return 4;
	return FAILS(ENOENT, ready(fd, at, 1)) ? 0 : 5;
}

/* The same for registrations. */
TEST_F(memory, registrations_beyond_limit)
{
	ASSERT_TRUE(spit(CGROUP "/memory.max", "6291456"));
	EXPECT_EQ(0, in_cgroup(too_many_registrations));
	EXPECT_EQ(0, cgroup_value("memory.events", "oom_kill"));
}

/* Waits until @key of memory.stat, or memory.current, is at least or at most @bytes. */
static bool becomes(const char *file, const char *key, long long bytes, bool least)
{
	uint64_t until = now_ns() + GENEROUS_NS;

	while (least ? cgroup_value(file, key) < bytes : cgroup_value(file, key) > bytes) {
		if (now_ns() > until)
			return false;
		nap();
	}
	return true;
}

static int ring_is_charged(void)
{
	long long ring = (long long)kevent_ring_bytes(KEVENT_RING_MAX);
	/* What a processor may have charged in advance. */
	long long slack = 1 << 20;
	long long current = cgroup_value("memory.current", "");
	long long kernel = cgroup_value("memory.stat", "kernel");
	int fd = kevent_init(NULL, KEVENT_RING_MAX, 0);

	if (fd < 0)
		return 1;
	if (!becomes("memory.current", "", current + ring - slack, true))
		return 2;
	if (!becomes("memory.stat", "kernel", kernel + ring - slack, true))
		return 3;
	close(fd);
	if (!becomes("memory.current", "", current + slack, false))
		return 4;
	return 0;
}

/* A ring is charged to its maker's cgroup from the start, and no longer than it lives. */
TEST_F(memory, ring_is_charged)
{
	EXPECT_EQ(0, in_cgroup(ring_is_charged));
}

static int registrations_are_charged(void)
{
	long long least = (long long)MANY * 64, slack = 1 << 20;
	long long current = cgroup_value("memory.current", "");
	int fd = kevent_init(NULL, 0, 0);

	if (in_batches(fd, KEVENT_CTL_ADD, MANY) != MANY)
		return 1;
	if (!becomes("memory.current", "", current + least - slack, true))
		return 2;
	close(fd);
	if (!becomes("memory.current", "", current + least / 2, false))
		return 3;
	return 0;
}

/* So are registrations. */
TEST_F(memory, registrations_are_charged)
{
	EXPECT_EQ(0, in_cgroup(registrations_are_charged));
}

TEST_HARNESS_MAIN
