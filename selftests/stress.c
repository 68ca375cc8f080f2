// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once, and each event accounted for: threads and processes choose at random what to
 * do to the same queues, and in the end what was produced must be what was taken and what was taken
 * back, nothing twice.
 *
 *	stress [SECONDS [SEED [WORKER]]]
 *
 * The choices of a worker follow from the seed and its number; with WORKER only that one runs. How
 * workers meet is not repeated.
 *
 * What is accounted for:
 *  - serials: USER and TIMER requests that fire once, each with an id of its own;
 *  - sums: what READY gave to USER requests that stay;
 *  - units: what was written to eventfds, pipes and sockets. In the end each is empty, or an event
 *    was lost: who reads, reads all, and only when told.
 */
#include "load.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "sources.h"

#define WORKERS		6		/* threads of the first process: they do everything */
#define CHILDREN	2		/* processes with a thread: the shared queue alone */
#define VICTIMS		2		/* processes that are killed */
#define ALL		(WORKERS + CHILDREN)

#define SERIALS		0x400000U	/* of each worker */
#define SUMS		16
#define FILES		12
#define FILE_NR(i)	(200 + (int)(i))

/* Owners of the shared ring: workers from 1 on, victims above them. */
#define VICTIM		100

/* Ids that are no serials. */
#define SUM_ID		0x10000000000ULL
#define HOSTILE_ID	0x20000000000ULL

enum {
	SHARED,				/* with other processes; a small ring */
	PLAIN,				/* no ring */
	RINGED,
	HOSTILE,			/* its ring is scribbled over */
	QUEUES
};

/* What became of a serial. */
#define FIRED		1
#define RETRACTED	2
#define TAKEN		4

enum kind { EVENTFD, PIPE, UNIX, TCP, KINDS };

struct file {
	pthread_rwlock_t whole;		/* write: it is replaced */
	enum kind kind;
	int end;			/* what is written to, if another one */
	uint64_t produced, taken;
};

static struct shared {
	bool stop;
	uint64_t seed;
	uint64_t operations;
	uint64_t twice, foreign, failed;
	uint64_t deaths, inherited;
	uint64_t given[SUMS], got[SUMS];
	uint32_t serials[ALL];
	uint8_t serial[ALL][SERIALS];
} *all;

static struct file files[FILES];
static int queue[QUEUES];
static struct kevent_consumer ring[QUEUES];
static pthread_t threads[WORKERS];
static int only = -1;

struct worker {
	unsigned int number;
	uint64_t dice;
	struct kevent_consumer ring[QUEUES];
};

static uint32_t dice(struct worker *w)
{
	w->dice ^= w->dice << 13;
	w->dice ^= w->dice >> 7;
	w->dice ^= w->dice << 17;
	return (uint32_t)(w->dice >> 32);
}

static void failed(const char *what)
{
	int error = errno;

	if (load_inc(&all->failed, 1) <= 20)
		printf("%s: errno %d\n", what, error);
	fflush(stdout);
}

/*
 * Files.
 */

static const uint32_t modes[] = {
	0, KEVENT_REQ_ET, KEVENT_REQ_DISPATCH, KEVENT_REQ_LAST_CHECK, KEVENT_REQ_WAKEUP_ALL,
};

static int watch_file(struct worker *w, unsigned int cmd, unsigned int i)
{
	return file_ctl(queue[i % 2 ? PLAIN : RINGED], cmd, FILE_NR(i), POLLIN,
			modes[dice(w) % (unsigned int)ARRAY_LEN(modes)]);
}

static int listen_on(struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*a = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (bind(fd, (struct sockaddr *)a, len) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)a, &len))
		return -1;
	return fd;
}

static bool make_file(unsigned int i)
{
	struct file *f = &files[i];
	struct sockaddr_in a;
	int fd[2] = { -1, -1 }, listener;

	switch (f->kind) {
	case EVENTFD:
		fd[0] = eventfd(0, EFD_NONBLOCK);
		break;
	case PIPE:
		if (pipe2(fd, O_NONBLOCK))
			return false;
		break;
	case UNIX:
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd))
			return false;
		break;
	default:
		listener = listen_on(&a);
		fd[1] = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd[1], (struct sockaddr *)&a, sizeof(a)))
			return false;
		fd[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		close(listener);
		fcntl(fd[1], F_SETFL, O_NONBLOCK);
	}
	if (f->end >= 0)
		close(f->end);
	f->end = fd[1];
	/* The last close of what was there ends its registration. */
	if (dup2(fd[0], FILE_NR(i)) < 0)
		return false;
	close(fd[0]);
	return true;
}

static uint64_t read_all(unsigned int i)
{
	uint64_t n, sum = 0;
	char bytes[256];
	ssize_t got;

	if (files[i].kind == EVENTFD)
		return read(FILE_NR(i), &n, sizeof(n)) == sizeof(n) ? n : 0;
	while ((got = read(FILE_NR(i), bytes, sizeof(bytes))) > 0)
		sum += (uint64_t)got;
	return sum;
}

/* The last time: what TCP has on its way, comes before the end. */
static uint64_t read_last(unsigned int i)
{
	struct pollfd more = { .fd = FILE_NR(i), .events = POLLIN };
	uint64_t sum = 0;
	char bytes[256];
	ssize_t got;

	if (files[i].kind != TCP)
		return read_all(i);
	shutdown(files[i].end, SHUT_WR);
	do {
		if (poll(&more, 1, (int)(GENEROUS_NS / NS_PER_MS)) != 1)
			failed("the end of a file");
		got = read(FILE_NR(i), bytes, sizeof(bytes));
		if (got > 0)
			sum += (uint64_t)got;
	} while (got > 0);
	return sum;
}

static void write_file(struct worker *w, unsigned int i)
{
	static const char bytes[8];
	uint64_t n = 1 + dice(w) % 8;
	struct file *f = &files[i];
	ssize_t put;

	pthread_rwlock_rdlock(&f->whole);
	if (f->kind == EVENTFD)
		put = write(FILE_NR(i), &n, sizeof(n)) == sizeof(n) ? (ssize_t)n : 0;
	else
		put = write(f->end, bytes, n);
	if (put > 0)
		load_inc(&f->produced, (uint64_t)put);
	pthread_rwlock_unlock(&f->whole);
}

static void handle_file(unsigned int i, uint32_t flags)
{
	struct file *f = &files[i];

	pthread_rwlock_rdlock(&f->whole);
	load_inc(&f->taken, read_all(i));
	if (flags & KEVENT_REQ_DISPATCH)
		modify_file(queue[i % 2 ? PLAIN : RINGED], FILE_NR(i), POLLIN, KEVENT_REQ_DISPATCH);
	pthread_rwlock_unlock(&f->whole);
}

static void replace_file(struct worker *w, unsigned int i)
{
	struct file *f = &files[i];
	sigset_t noise;

	sigemptyset(&noise);
	sigaddset(&noise, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &noise, NULL);
	pthread_rwlock_wrlock(&f->whole);
	load_inc(&f->taken, read_last(i));
	if (!make_file(i) || watch_file(w, KEVENT_CTL_ADD, i) != 1)
		failed("replace");
	pthread_rwlock_unlock(&f->whole);
	pthread_sigmask(SIG_UNBLOCK, &noise, NULL);
}

static void change_file(struct worker *w, unsigned int i, bool anew)
{
	struct file *f = &files[i];

	pthread_rwlock_rdlock(&f->whole);
	if (!anew) {
		watch_file(w, KEVENT_CTL_SET, i);
	} else {
		remove_file(queue[i % 2 ? PLAIN : RINGED], FILE_NR(i));
		watch_file(w, KEVENT_CTL_ADD, i);
	}
	pthread_rwlock_unlock(&f->whole);
}

/*
 * Events.
 */

static uint8_t *serial_of(uint64_t id)
{
	uint64_t worker = id / SERIALS;

	return worker < ALL ? &all->serial[worker][id % SERIALS] : NULL;
}

static void take_serial(const struct ukevent *ev, bool first)
{
	uint8_t *serial = serial_of(ev->id);

	if (!serial || ev->user != load_user(ev->id))
		load_inc(&all->foreign, 1);
	else if ((__atomic_fetch_or(serial, TAKEN, __ATOMIC_ACQ_REL) & TAKEN) && first)
		load_inc(&all->twice, 1);
}

/* @in_ring: the event is an entry, and not a copy. */
static void handle(const struct ukevent *ev, bool in_ring)
{
	uint64_t sum = ev->id - SUM_ID;

	if (ev->type == KEVENT_POLL && ev->id == (uint64_t)queue[SHARED])
		return;
	if (ev->type == KEVENT_POLL && ev->id - FILE_NR(0) < FILES)
		handle_file((unsigned int)(ev->id - FILE_NR(0)), ev->req_flags);
	else if (ev->type == KEVENT_USER && sum < SUMS)
		load_inc(&all->got[sum], in_ring ? kevent_ring_data(ev) : ev->data);
	else
		take_serial(ev, true);
}

static unsigned int consume_ring(struct worker *w, unsigned int q, unsigned int max)
{
	struct ukevent *ev[8];
	unsigned int n = 0, i;

	while (n < max && n < 8 && (ev[n] = kevent_ring_take(&w->ring[q])))
		handle(ev[n++], true);
	/* Out of order. */
	for (i = n; i; i--)
		kevent_ring_finish(&w->ring[q], ev[i - 1]);
	return n;
}

static unsigned int consume_call(unsigned int q, unsigned int max)
{
	struct ukevent ev[8];
	int i, n = get_now(queue[q], max < 8 ? max : 8, ev);

	for (i = 0; i < n; i++)
		handle(&ev[i], false);
	return n > 0 ? (unsigned int)n : 0;
}

static void wait_a_little(struct worker *w, unsigned int q)
{
	struct __kernel_timespec soon = ns_to_timespec(dice(w) % NS_PER_MS);
	struct ukevent ev[4];
	int i, n;

	if (q != PLAIN) {
		kevent_ring_wait(&w->ring[q], &soon);
		return;
	}
	n = kevent_get_events(queue[q], 1 + dice(w) % 4, 4, &soon, ev, 0);
	for (i = 0; i < n; i++)
		handle(&ev[i], false);
}

/*
 * What fires once.
 */

static bool next_serial(struct worker *w, __u64 *id)
{
	uint32_t n = all->serials[w->number];

	if (n == SERIALS)
		return false;
	all->serials[w->number] = n + 1;
	*id = (uint64_t)w->number * SERIALS + n;
	return true;
}

static void mark(uint64_t id, uint8_t what)
{
	__atomic_fetch_or(serial_of(id), what, __ATOMIC_ACQ_REL);
}

static void once(struct worker *w, unsigned int q)
{
	uint32_t how = dice(w);
	struct ukevent request = {
		.type = how & 1 ? KEVENT_USER : KEVENT_TIMER,
		.event = 1,
		.req_flags = KEVENT_REQ_ONESHOT,
	};

	if (!next_serial(w, &request.id))
		return;
	request.user = load_user(request.id);
	if (request.type == KEVENT_TIMER) {
		request.param[0] = how % (2 * NS_PER_MS);
		mark(request.id, FIRED);
	}
	if (kevent_ctl(queue[q], KEVENT_CTL_ADD, 1, &request) != 1) {
		failed("ADD");
		return;
	}
	if (request.type == KEVENT_USER && how & 6) {
		mark(request.id, FIRED);
		if (ready(queue[q], request.id, 1) != 1)
			failed("READY");
	}
	if (request.type == KEVENT_USER ? !(how & 6) || !(how & 24) : !(how & 8)) {
		request = (struct ukevent){ .type = request.type, .id = request.id };
		if (kevent_ctl(queue[q], KEVENT_CTL_REMOVE, 1, &request) == 1 &&
		    !(request.ret_flags & KEVENT_RET_OUTSTANDING))
			mark(request.id, RETRACTED);
	}
}

static void add_to_sum(struct worker *w)
{
	uint64_t sum = dice(w) % SUMS, n = 1 + dice(w) % 1000;

	if (ready_data(queue[sum % 2 ? PLAIN : RINGED], SUM_ID + sum, 1, n) == 1)
		load_inc(&all->given[sum], n);
	else
		failed("READY of a sum");
}

/*
 * Those who mean harm, and those who die.
 */

static void scribble(struct worker *w)
{
	uint64_t *word = (uint64_t *)ring[HOSTILE].ring;
	size_t words = kevent_ring_bytes(16) / sizeof(*word);
	uint64_t value = (uint64_t)dice(w) << 32 | dice(w);
	size_t at = dice(w) % words;
	struct ukevent ev[8];
	int i, n;

	__atomic_store_n(&word[at], value, __ATOMIC_RELAXED);
	ready_data(queue[HOSTILE], HOSTILE_ID + dice(w) % 32, 1, 1);
	if (value & 7)
		return;
	n = get_now(queue[HOSTILE], 8, ev);
	for (i = 0; i < n; i++)
		if (ev[i].id - HOSTILE_ID >= 32 || ev[i].type != KEVENT_USER || ev[i].fired != 1)
			load_inc(&all->foreign, 1);
}

static void consume_until_killed(uint32_t owner)
{
	struct kevent_consumer c;
	struct ukevent *ev[4];
	unsigned int n;

	if (kevent_ring_join(&c, &ring[SHARED], owner))
		_exit(1);
	while (!load_get(&all->stop)) {
		struct __kernel_timespec soon = ns_to_timespec(NS_PER_MS);

		for (n = 0; n < 4 && (ev[n] = kevent_ring_take(&c)); n++)
			if (n & 1)
				take_serial(ev[n], true);
		/* Here it dies most often. */
		usleep(200);
		while (n--) {
			if (!(n & 1))
				take_serial(ev[n], true);
			kevent_ring_finish(&c, ev[n]);
		}
		kevent_ring_wait(&c, &soon);
	}
	_exit(0);
}

/* Kills those who consume, and takes over what they held: handled already, perhaps. */
static void *kill_them(void *unused)
{
	pid_t victim[VICTIMS] = { 0 };
	uint32_t i;

	for (i = 0; !load_get(&all->stop); i = (i + 1) % VICTIMS) {
		struct kevent_consumer c;
		struct ukevent *ev;

		usleep(20000);
		if (victim[i]) {
			if (!load_kill(victim[i]) && !load_get(&all->stop))
				failed("kill");
			load_inc(&all->deaths, 1);
			if (kevent_ring_join(&c, &ring[SHARED], VICTIM + VICTIMS))
				failed("join");
			while ((ev = kevent_ring_inherit(&c, VICTIM + i))) {
				load_inc(&all->inherited, 1);
				take_serial(ev, false);
				kevent_ring_finish(&c, ev);
			}
		}
		victim[i] = fork();
		if (!victim[i])
			consume_until_killed(VICTIM + i);
	}
	for (i = 0; i < VICTIMS; i++)
		if (victim[i] > 0)
			load_join(victim[i]);
	return unused;
}

/*
 * Workers.
 */

static void anything(struct worker *w)
{
	uint32_t choice = dice(w), more = dice(w), max = 1 + more % 8;
	unsigned int file = more % FILES;
	pid_t child;

	switch (choice % 32) {
	case 0 ... 4:
		once(w, more % 3);
		break;
	case 5 ... 7:
		add_to_sum(w);
		break;
	case 8 ... 12:
		write_file(w, file);
		break;
	case 13 ... 15:
		consume_ring(w, SHARED, max);
		break;
	case 16 ... 18:
		consume_ring(w, RINGED, max);
		break;
	case 19 ... 21:
		consume_call(PLAIN, max);
		break;
	case 22:
		consume_call(more & 8 ? SHARED : RINGED, max);
		break;
	case 23:
		wait_a_little(w, more % 3);
		break;
	case 24:
		change_file(w, file, false);
		break;
	case 25:
		change_file(w, file, true);
		break;
	case 26:
		if (choice & 0x100)
			replace_file(w, file);
		break;
	case 27 ... 28:
		scribble(w);
		break;
	case 29:
		if (only < 0)
			pthread_kill(threads[more % WORKERS], SIGUSR1);
		break;
	case 30:
		poll(&(struct pollfd){ .fd = queue[more % 3], .events = POLLIN }, 1, 0);
		break;
	case 31:
		if ((choice >> 8) % 64)
			break;
		child = fork();
		if (!child)
			_exit(0);
		if (child > 0)
			waitpid(child, NULL, 0);
	}
}

/* What another process can do with the shared queue. */
static void something(struct worker *w)
{
	uint32_t choice = dice(w), max = 1 + dice(w) % 8;

	switch (choice % 8) {
	case 0 ... 2:
		once(w, SHARED);
		break;
	case 3 ... 5:
		consume_ring(w, SHARED, max);
		break;
	case 6:
		consume_call(SHARED, max);
		break;
	default:
		wait_a_little(w, SHARED);
	}
}

static struct worker begin(unsigned int number)
{
	struct worker w = { .number = number };
	unsigned int q;

	w.dice = (all->seed + 1) * 0x9e3779b97f4a7c15ULL + (number + 1) * 0xbf58476d1ce4e5b9ULL;
	w.dice |= 1;
	for (q = 0; q < QUEUES; q++)
		if (q != PLAIN && kevent_ring_join(&w.ring[q], &ring[q], number + 1))
			failed("join");
	return w;
}

static void *work(void *number)
{
	struct worker w = begin((unsigned int)(uintptr_t)number);
	uint64_t n;

	for (n = 0; !load_get(&all->stop); n++)
		w.number < WORKERS ? anything(&w) : something(&w);
	load_inc(&all->operations, n);
	return NULL;
}

static bool set_up(void)
{
	struct worker w;
	unsigned int i;

	for (i = 0; i < QUEUES; i++) {
		if (i == PLAIN)
			queue[i] = kevent_init(NULL, 0, 0);
		else if (!kevent_ring_open(&ring[i], i == RINGED ? 256 : 16, 0, 0))
			queue[i] = ring[i].fd;
		else
			return false;
	}
	w = begin(ALL);
	for (i = 0; i < SUMS; i++)
		if (add_user(queue[i % 2 ? PLAIN : RINGED], SUM_ID + i, 1, 0) != 1)
			return false;
	if (add_users(queue[HOSTILE], HOSTILE_ID, 32) != 32)
		return false;
	/* A queue in a queue. */
	if (add_file(queue[PLAIN], queue[SHARED], POLLIN, KEVENT_REQ_ET) != 1)
		return false;
	for (i = 0; i < FILES; i++) {
		pthread_rwlock_init(&files[i].whole, NULL);
		files[i].kind = (enum kind)(i / 2 % KINDS);
		files[i].end = -1;
		if (!make_file(i) || watch_file(&w, KEVENT_CTL_ADD, i) != 1)
			return false;
	}
	return true;
}

/* Takes what is left, until nothing has come for a while. */
static void drain(void)
{
	struct worker w = begin(ALL + 1);
	unsigned int quiet = 0, n;

	while (quiet < 100) {
		n = consume_ring(&w, SHARED, 8) + consume_ring(&w, RINGED, 8) +
		    consume_call(SHARED, 8) + consume_call(RINGED, 8) +
		    consume_call(PLAIN, 8);
		quiet = n ? 0 : quiet + 1;
		if (!n)
			load_nap();
	}
}

static uint64_t check_serials(void)
{
	uint64_t count[8] = { 0 }, lost, ghosts;
	uint32_t worker, n;

	for (worker = 0; worker < ALL; worker++)
		for (n = 0; n < all->serials[worker]; n++)
			count[all->serial[worker][n] & 7]++;
	lost = count[FIRED];
	ghosts = count[TAKEN] + count[RETRACTED | TAKEN] + count[FIRED | RETRACTED | TAKEN];
	printf("serials: %llu fired = %llu taken + %llu taken back; %llu did not fire\n",
	       (unsigned long long)(lost + count[FIRED | TAKEN] + count[FIRED | RETRACTED]),
	       (unsigned long long)count[FIRED | TAKEN],
	       (unsigned long long)count[FIRED | RETRACTED],
	       (unsigned long long)(count[0] + count[RETRACTED]));
	if (lost || ghosts)
		printf("serials: %llu lost, %llu taken that never were or were taken back\n",
		       (unsigned long long)lost, (unsigned long long)ghosts);
	return lost + ghosts;
}

static uint64_t check_sums(void)
{
	uint64_t given = 0, got = 0;
	unsigned int i;

	for (i = 0; i < SUMS; i++) {
		given += all->given[i];
		got += all->got[i];
		if (all->given[i] != all->got[i])
			failed("a sum differs");
	}
	printf("sums: %llu given = %llu taken\n", (unsigned long long)given,
	       (unsigned long long)got);
	return given != got;
}

static uint64_t check_files(void)
{
	uint64_t produced = 0, taken = 0, left, lost = 0;
	unsigned int i;

	for (i = 0; i < FILES; i++) {
		left = read_all(i);
		lost += left != 0;
		if (left)
			printf("file %u, kind %d: %llu units that nobody was told of\n", i,
			       files[i].kind, (unsigned long long)left);
		if (files[i].produced != files[i].taken + left)
			printf("file %u, kind %d: %llu written, %llu read\n", i, files[i].kind,
			       (unsigned long long)files[i].produced,
			       (unsigned long long)(files[i].taken + left));
		produced += files[i].produced;
		taken += files[i].taken + left;
	}
	printf("units: %llu written = %llu read\n", (unsigned long long)produced,
	       (unsigned long long)taken);
	return lost + (produced != taken);
}

static void run(unsigned int seconds)
{
	pid_t child[CHILDREN] = { 0 };
	pthread_t killer;
	unsigned int i;

	for (i = 0; i < CHILDREN && only < 0; i++) {
		child[i] = load_fork();
		if (!child[i]) {
			work((void *)(uintptr_t)(WORKERS + i));
			_exit(0);
		}
	}
	/* Until they are there. */
	for (i = 0; i < WORKERS; i++)
		threads[i] = pthread_self();
	for (i = 0; i < WORKERS; i++) {
		if (only < 0 || only == (int)i)
			pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
	}
	pthread_create(&killer, NULL, kill_them, NULL);
	sleep(seconds);
	load_set(&all->stop, true);
	pthread_join(killer, NULL);
	for (i = 0; i < WORKERS; i++)
		if (only < 0 || only == (int)i)
			pthread_join(threads[i], NULL);
	for (i = 0; i < CHILDREN; i++)
		if (child[i] && !load_join(child[i]))
			failed("a child");
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? (unsigned int)atoi(argv[1]) : 5;
	uint64_t bad;

	/* The main() of the harness, which has no test here. */
	(void)test_harness_run;
	all = load_share(sizeof(*all));
	if (!all || (argc <= 2 && getrandom(&all->seed, 4, 0) != 4))
		return 1;
	if (argc > 2)
		all->seed = strtoull(argv[2], NULL, 0);
	if (argc > 3)
		only = atoi(argv[3]);
	printf("seed %llu, %u s\n", (unsigned long long)all->seed, seconds);
	fflush(stdout);
	handle_signal(SIGUSR1);
	if (!set_up()) {
		failed("set-up");
		return 1;
	}
	run(seconds);
	drain();
	bad = check_serials();
	bad += check_sums();
	bad += check_files();
	bad += all->twice + all->foreign + all->failed;
	printf("%llu operations, %llu consumers killed, %llu events inherited\n",
	       (unsigned long long)all->operations, (unsigned long long)all->deaths,
	       (unsigned long long)all->inherited);
	printf("twice %llu, foreign %llu, failed %llu\n", (unsigned long long)all->twice,
	       (unsigned long long)all->foreign, (unsigned long long)all->failed);
	return bad != 0;
}
