// SPDX-License-Identifier: GPL-2.0
/* kevent_init(), /dev/kevent, and mapping the ring. */
#include <stdalign.h>
#include <sys/stat.h>

#include "harness.h"

/* A failed call must not leave a descriptor behind: the lowest free number tells. */
static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void *map_ring(int fd, size_t bytes, int flags, off_t offset)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, offset);
}

/* Every power of two up to the cap is a ring of that many slots. */
TEST(sizes_that_are_rings)
{
	uint32_t slots;

	for (slots = 1; slots <= KEVENT_RING_MAX; slots *= 2) {
		struct kevent_consumer c;

		ASSERT_EQ(0, kevent_ring_open(&c, slots, 0, 1)) TH_LOG("%u slots", slots);
		EXPECT_EQ(slots, c.ring->ring_slots);
		kevent_ring_close(&c);
	}
}

/* Other sizes are refused, and so is one slot more than the cap or twice the cap. */
TEST(sizes_that_are_not)
{
	static const unsigned int sizes[] = {
		3, 5, 6, 7, 9, 100, 65535, 65537, 131072, 1U << 31, ~0U,
	};
	int i, free_fd = lowest_free();

	for (i = 0; i < ARRAY_LEN(sizes); i++)
		EXPECT_TRUE(FAILS(EINVAL, kevent_init(NULL, sizes[i], 0)))
			TH_LOG("%u slots: errno %d", sizes[i], errno);
	EXPECT_EQ(free_fd, lowest_free());
}

/* Size 0 makes a queue without a ring: no mapping, no wait, no commit, but events. */
TEST(size_zero_has_no_ring)
{
	struct ukevent ev;
	int fd = kevent_init(NULL, 0, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, map_ring(fd, kevent_ring_bytes(1), MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_TRUE(FAILS(EINVAL, kevent_wait(fd, 1, 0, NULL, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_commit(fd, 0, 0)));
	EXPECT_EQ(1, add_user(fd, 1, 1, 0));
	EXPECT_EQ(1, ready(fd, 1, 1));
	EXPECT_EQ(1, get_now(fd, 1, &ev));
	close(fd);
}

/* A fresh ring says its size, position 0, nothing pending, free slots, and nothing else. */
TEST(fresh_ring_content)
{
	struct kevent_consumer c;
	const unsigned char *byte;
	size_t i, end;

	ASSERT_EQ(0, kevent_ring_open(&c, 64, 0, 1));
	EXPECT_EQ(0U, c.ring->ring_position);
	EXPECT_EQ(0U, c.ring->ring_pending);
	for (i = 0; i < 64; i++) {
		EXPECT_EQ(KEVENT_WORD_FINISHED, c.ring->event[i].word);
		c.ring->event[i].word = 0;
	}
	c.ring->ring_slots = 0;
	byte = (const unsigned char *)c.ring;
	end = kevent_ring_bytes(64);
	for (i = 0; i < end; i++)
		ASSERT_EQ(0, byte[i]) TH_LOG("byte %zu", i);
	EXPECT_EQ(NULL, kevent_ring_take(&c));
	kevent_ring_close(&c);
}

/* One layout for everybody: words of the kernel and of its users on different cache lines. */
TEST(layout)
{
	EXPECT_EQ(64U, sizeof(struct ukevent));
	/* What malloc() gives is aligned well enough. */
	EXPECT_EQ(8U, alignof(struct ukevent));
	EXPECT_EQ(128U, sizeof(struct kevent_ring));
	EXPECT_EQ(0U, offsetof(struct kevent_ring, ring_position));
	EXPECT_EQ(8U, offsetof(struct kevent_ring, ring_slots));
	EXPECT_EQ(12U, offsetof(struct kevent_ring, ring_pending));
	EXPECT_EQ(64U, offsetof(struct kevent_ring, shared));
	EXPECT_EQ(128U, offsetof(struct kevent_ring, event));
	EXPECT_EQ(56U, offsetof(struct ukevent, word));
	EXPECT_EQ(48U, sizeof(struct kevent_wait_arg));
}

/* The two halves of the position and of a word are where the 64-bit reading says. */
TEST(pairs_are_words)
{
	struct kevent_ring ring = { .ring_position = 0 };
	struct ukevent ev = { .fired = 1, .ret_flags = 2 };

	ring.ring_kidx = 3;
	ring.ring_over = 4;
	EXPECT_EQ(3 | 4ULL << 32, ring.ring_position);
	EXPECT_EQ(1 | 2ULL << 32, ev.word);
}

/* Each flag that has no meaning is refused, alone and beside a good one. */
TEST(unknown_flags)
{
	int free_fd = lowest_free();
	unsigned int bit;

	for (bit = 3; bit < 32; bit++) {
		EXPECT_TRUE(FAILS(EINVAL, kevent_init(NULL, 4, 1U << bit)));
		EXPECT_TRUE(FAILS(EINVAL, kevent_init(NULL, 0, 1U << bit)));
		EXPECT_TRUE(FAILS(EINVAL, kevent_init(NULL, 4, 1U << bit | KEVENT_INIT_CLOEXEC)));
		EXPECT_TRUE(FAILS(EINVAL, kevent_init(NULL, 0, 1U << bit | KEVENT_INIT_QUERY)));
	}
	EXPECT_EQ(free_fd, lowest_free());
}

/* CLOEXEC and NONBLOCK do what they say, each alone. */
TEST(descriptor_flags)
{
	unsigned int flags;

	for (flags = 0; flags < 4; flags++) {
		int fd = kevent_init(NULL, 4, flags);

		ASSERT_LE(0, fd);
		EXPECT_EQ(flags & KEVENT_INIT_CLOEXEC ? FD_CLOEXEC : 0, fcntl(fd, F_GETFD));
		EXPECT_EQ(flags & KEVENT_INIT_NONBLOCK ? O_NONBLOCK : 0,
			  fcntl(fd, F_GETFL) & O_NONBLOCK);
		EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
		close(fd);
	}
}

/* The query answers with the ABI number and the sources, and opens nothing. */
TEST(query)
{
	int free_fd = lowest_free(), answer = kevent_init(NULL, 0, KEVENT_INIT_QUERY);

	ASSERT_LT(0, answer);
	EXPECT_EQ(KEVENT_ABI, answer & 0xffff);
	EXPECT_EQ(KEVENT_QUERY_SOURCE(KEVENT_USER), answer & KEVENT_QUERY_SOURCE(KEVENT_USER));
	EXPECT_EQ(free_fd, lowest_free());
}

/* The query goes with nothing else. */
TEST(query_alone)
{
	static char page[64];

	EXPECT_TRUE(FAILS(EINVAL, kevent_init(NULL, 1, KEVENT_INIT_QUERY)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_init(page, 0, KEVENT_INIT_QUERY)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_init(NULL, 0,
					      KEVENT_INIT_QUERY | KEVENT_INIT_CLOEXEC)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_init(NULL, 0,
					      KEVENT_INIT_QUERY | KEVENT_INIT_NONBLOCK)));
}

/* A ring at a given address replaces what was set aside there, and not a byte more. */
TEST(ring_at_an_address)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = kevent_ring_bytes(128);
	char *room = mmap(NULL, bytes + 2 * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kevent_consumer c;
	size_t i;
	int fd;

	ASSERT_NE(MAP_FAILED, room);
	memset(room, 0x5a, bytes + 2 * page);
	fd = kevent_init(room + page, 128, 0);
	ASSERT_LE(0, fd);
	kevent_ring_attach(&c, fd, room + page, 128, 1);
	EXPECT_EQ(128U, c.ring->ring_slots);
	EXPECT_EQ(0U, c.ring->ring_position);
	for (i = 0; i < page; i++) {
		ASSERT_EQ(0x5a, room[i]);
		ASSERT_EQ(0x5a, room[page + bytes + i]);
	}
	ASSERT_EQ(1, add_user(c.fd, 7, 1, 0));
	ASSERT_EQ(1, ready(c.fd, 7, 1));
	EXPECT_EQ(7, take_id(&c));
	kevent_ring_close(&c);
}

/* The same where the room is only reserved. */
TEST(ring_at_a_reserved_address)
{
	size_t bytes = kevent_ring_bytes(4);
	struct kevent_ring *ring = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	ASSERT_NE(MAP_FAILED, ring);
	fd = kevent_init(ring, 4, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(4U, ring->ring_slots);
	ring->shared[0] = 1;
	munmap(ring, bytes);
	close(fd);
}

/* An address must be that of a page, and needs a size. */
TEST(bad_ring_address)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = kevent_ring_bytes(4), i;
	char *room = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	int free_fd = lowest_free();

	ASSERT_NE(MAP_FAILED, room);
	memset(room, 0x5a, bytes + page);
	for (i = 1; i < page; i *= 2)
		EXPECT_TRUE(FAILS(EINVAL, kevent_init(room + i, 4, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_init(room, 0, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_init(room, 3, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_init(room, 131072, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_init(room, 4, 0x8)));
	for (i = 0; i < bytes + page; i++)
		ASSERT_EQ(0x5a, room[i]);
	EXPECT_EQ(free_fd, lowest_free());
}

/* An address beyond user space fails, and opens nothing. */
TEST(ring_address_of_the_kernel)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int free_fd = lowest_free();

	EXPECT_EQ(-1, kevent_init((void *)-page, 4, 0));
	EXPECT_TRUE(errno == EINVAL || errno == ENOMEM) TH_LOG("errno %d", errno);
#ifdef __LP64__
	EXPECT_EQ(-1, kevent_init((void *)(1UL << 63), 4, 0));
	EXPECT_TRUE(errno == EINVAL || errno == ENOMEM) TH_LOG("errno %d", errno);
#endif
	EXPECT_EQ(free_fd, lowest_free());
}

/* Only the whole ring can be mapped, shared, from its begin. */
TEST(mapping_rules)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = kevent_ring_bytes(256);
	int fd = kevent_init(NULL, 256, 0);

	ASSERT_LE(0, fd);
	ASSERT_LT(page, bytes);
	EXPECT_EQ(MAP_FAILED, map_ring(fd, bytes, MAP_PRIVATE, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map_ring(fd, bytes - page, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map_ring(fd, bytes + page, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map_ring(fd, bytes, MAP_SHARED, (off_t)page));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map_ring(fd, bytes - page, MAP_SHARED, (off_t)page));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_NE(MAP_FAILED, map_ring(fd, bytes, MAP_SHARED, 0));
	close(fd);
}

/* Two mappings show the same memory. */
TEST(two_mappings)
{
	struct kevent_consumer c, d;

	ASSERT_EQ(0, kevent_ring_open(&c, 8, 0, 1));
	ASSERT_EQ(0, kevent_ring_map(&d, c.fd, 8, 2));
	ASSERT_NE((void *)c.ring, (void *)d.ring);
	ASSERT_EQ(1, add_user(c.fd, 1, 1, 0));
	ASSERT_EQ(1, ready(c.fd, 1, 1));
	EXPECT_EQ(1, take_id(&d));
	EXPECT_EQ(-1, take_id(&c));
	c.ring->shared[7] = 42;
	EXPECT_EQ(42U, d.ring->shared[7]);
	kevent_ring_close(&c);
	munmap(d.ring, kevent_ring_bytes(8));
}

/* The memory, and what waits in it, outlives the descriptor. */
TEST(mapping_outlives_descriptor)
{
	struct kevent_consumer c;
	int i;

	ASSERT_EQ(0, kevent_ring_open(&c, 1024, 0, 1));
	ASSERT_EQ(1000, add_users(c.fd, 0, 1000));
	ASSERT_EQ(1000, ready_users(c.fd, 0, 1000));
	ASSERT_EQ(0, close(c.fd));
	/* Memory that was given back would be used by these. */
	for (i = 0; i < 64; i++)
		close(kevent_init(NULL, 1024, 0));
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(i, take_id(&c));
	EXPECT_EQ(-1, take_id(&c));
	EXPECT_EQ(1000U, c.ring->ring_position);
	ASSERT_EQ(0, munmap(c.ring, kevent_ring_bytes(1024)));
}

/* The queue outlives its mapping, which can come back. */
TEST(descriptor_outlives_mapping)
{
	struct kevent_consumer c;
	struct ukevent ev;

	ASSERT_EQ(0, kevent_ring_open(&c, 8, 0, 1));
	ASSERT_EQ(2, add_users(c.fd, 0, 2));
	ASSERT_EQ(0, munmap(c.ring, kevent_ring_bytes(8)));
	ASSERT_EQ(2, ready_users(c.fd, 0, 2));
	ASSERT_EQ(1, get_now(c.fd, 1, &ev));
	EXPECT_EQ(0U, ev.id);
	ASSERT_EQ(0, kevent_ring_map(&c, c.fd, 8, 1));
	EXPECT_EQ(1, take_id(&c));
	EXPECT_EQ(-1, take_id(&c));
	kevent_ring_close(&c);
}

/* The device opens a queue without a ring, for everybody. */
TEST(device)
{
	struct ukevent ev;
	struct stat st;
	int fd;

	ASSERT_EQ(0, stat("/dev/kevent", &st));
	EXPECT_EQ(S_IFCHR | 0666U, st.st_mode);
	ASSERT_EQ(0, setresuid(65534, 65534, 65534));
	fd = open("/dev/kevent", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, map_ring(fd, kevent_ring_bytes(1), MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_TRUE(FAILS(EINVAL, kevent_wait(fd, 1, 0, NULL, 0)));
	EXPECT_TRUE(FAILS(EINVAL, kevent_commit(fd, 0, 0)));
	ASSERT_EQ(1, add_user(fd, 3, 1, 0));
	ASSERT_EQ(1, ready(fd, 3, 1));
	ASSERT_EQ(1, kevent_get_events(fd, 1, 1, NULL, &ev, 0));
	EXPECT_EQ(3U, ev.id);
	close(fd);
}

/* Each opening of the device is a queue of its own. */
TEST(device_twice)
{
	int a = open("/dev/kevent", O_RDWR), b = open("/dev/kevent", O_RDWR | O_NONBLOCK);
	struct ukevent ev;

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	ASSERT_EQ(1, add_user(a, 1, 1, 0));
	EXPECT_TRUE(FAILS(ENOENT, ready(b, 1, 1)));
	ASSERT_EQ(1, add_user(b, 1, 1, 0));
	ASSERT_EQ(1, ready(a, 1, 1));
	EXPECT_EQ(0, kevent_get_events(b, 1, 1, NULL, &ev, 0));
	EXPECT_EQ(1, kevent_get_events(a, 1, 1, NULL, &ev, 0));
	close(a);
	close(b);
}

/* No descriptor left: EMFILE, and what was set aside for the ring stays. */
TEST(no_descriptor_left)
{
	size_t bytes = kevent_ring_bytes(4), i;
	char *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	ASSERT_NE(MAP_FAILED, room);
	memset(room, 0x5a, bytes);
	do {
		fd = dup(0);
	} while (fd >= 0);
	EXPECT_TRUE(FAILS(EMFILE, kevent_init(NULL, 4, 0)));
	EXPECT_TRUE(FAILS(EMFILE, kevent_init(NULL, 0, 0)));
	EXPECT_TRUE(FAILS(EMFILE, kevent_init(room, 4, 0)));
	for (i = 0; i < bytes; i++)
		ASSERT_EQ(0x5a, room[i]);
}

TEST_HARNESS_MAIN
