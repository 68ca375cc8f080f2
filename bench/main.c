// SPDX-License-Identifier: GPL-2.0
/*
 * What an event costs, by kevent, epoll and io_uring.
 *
 * The line of a measurement:
 *
 *	BENCH workload=NAME peer=NAME events=N unit=U cost=X calls=C switches=S
 *
 * per event: the cost, in what the first argument calls the clock's unit if not said otherwise;
 * system calls; and context switches. The peer "none" does the same work without being told; what another needs
 * beyond that is the cost of its events.
 */
#include <netinet/in.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "bench.h"

#define ROUNDS	5
#define PAUSE	200000	/* us */
#define PATIENCE	300	/* pauses */

uint64_t calls;
const struct peer *peer;

static const char *unit = "ns";
static long switched;

static struct {
	uint64_t begin, calls;		/* of the part under way */
	uint64_t time, called;		/* of those that are over */
} parts;

_Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long switches(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_nvcsw + r.ru_nivcsw;
}

void begin_counting(void)
{
	switched = switches();
	calls = 0;
}

void report(const char *workload, const char *name, unsigned int events, const char *in,
	    double cost)
{
	printf("BENCH workload=%s peer=%s events=%u unit=%s cost=%.3f calls=%.4f switches=%.4f\n",
	       workload, name, events, in ? in : unit, cost, (double)calls / events,
	       (double)(switches() - switched) / events);
	fflush(stdout);
}

void count_since(uint64_t moment)
{
	parts.calls = calls;
	parts.begin = moment;
}

void count_from_here(void)
{
	count_since(now());
}

void count_to_here(void)
{
	parts.time += now() - parts.begin;
	parts.called += calls - parts.calls;
}

/* For how long processors had nothing to do, in seconds. */
static double idle(void)
{
	FILE *f = fopen("/proc/uptime", "r");
	double up, time;

	need(f && fscanf(f, "%lf %lf", &up, &time) == 2 && !fclose(f), "/proc/uptime");
	return time;
}

/*
 * Waits until nobody else runs. What the kernel has put off, which may be most of what ends a process
 * with a million files, is part of no measurement.
 */
void settle(void)
{
	double whole = PAUSE / 1e6 * get_nprocs(), before;
	unsigned int patience = PATIENCE;

	do {
		need(patience--, "the processors are not idle");
		before = idle();
		usleep(PAUSE);
	} while (idle() - before < 0.9 * whole);
}

static void run(const char *workload, const char *name, unsigned int events,
		void (*set_up)(void), void (*work)(unsigned int events))
{
	uint64_t begin, time;

	set_up();
	settle();
	work(events / 8);
	memset(&parts, 0, sizeof(parts));
	begin_counting();
	begin = now();
	work(events);
	time = now() - begin;
	if (parts.time) {
		time = parts.time;
		calls = parts.called;
	}
	report(workload, name, events, unit, (double)time / events);
}

void measure(const char *workload, const char *name, unsigned int events,
	     void (*set_up)(void), void (*work)(unsigned int events))
{
	pid_t child = fork();
	int status;

	need(child >= 0, "fork");
	if (!child) {
		run(workload, name, events, set_up, work);
		_exit(0);
	}
	need(waitpid(child, &status, 0) == child, "waitpid");
	if (status) {
		fprintf(stderr, "bench: %s by %s: status %d\n", workload, name, status);
		exit(1);
	}
}

void in_child(void (*work)(void))
{
	pid_t child = fork();
	int status;

	need(child >= 0, "fork");
	if (!child) {
		work();
		_exit(0);
	}
	need(waitpid(child, &status, 0) == child && !status, "a measurement");
}

void open_eventfds(int *fd, unsigned int num)
{
	for (; num; num--, fd++) {
		*fd = eventfd(0, 0);
		need(*fd >= 0, "eventfd");
	}
}

void fire(int fd)
{
	static const uint64_t one = 1;

	calls++;
	need(write(fd, &one, sizeof(one)) == sizeof(one), "write");
}

void connect_tcp(int *server, int *client, unsigned int num)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	unsigned int i;
	int listener;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	need(!bind(listener, (struct sockaddr *)&a, len) && !listen(listener, 128) &&
	     !getsockname(listener, (struct sockaddr *)&a, &len), "listen");
	for (i = 0; i < num; i++) {
		client[i] = socket(AF_INET, SOCK_STREAM, 0);
		need(!connect(client[i], (struct sockaddr *)&a, len), "connect");
		server[i] = accept(listener, NULL, NULL);
		need(server[i] >= 0, "accept");
	}
	close(listener);
}

void rounds(void (*work)(void))
{
	static const struct peer *const peers[] = {
		&kevent_ring, &kevent_get, &epoll_et, &uring, &uring_defer,
	};
	unsigned int i, round;

	/* What is counted is the same each time. */
	for (round = strcmp(unit, "ns") ? ROUNDS - 1 : 0; round < ROUNDS; round++) {
		for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
			peer = peers[i];
			work();
		}
	}
}

void run_on(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	need(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

/* A million of everything. */
static void raise_limits(void)
{
	static const char *const limits[] = {
		"/proc/sys/fs/nr_open", "/proc/sys/fs/file-max",
		"/proc/sys/fs/epoll/max_user_watches", "/proc/sys/user/max_kevent_watches",
	};
	struct rlimit all = { 1 << 21, 1 << 21 };
	unsigned int i;
	FILE *f;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		f = fopen(limits[i], "w");
		need(f && fprintf(f, "%u\n", 1 << 21) > 0 && !fclose(f), limits[i]);
	}
	need(!setrlimit(RLIMIT_NOFILE, &all), "setrlimit");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = {
		{ "eventfd", eventfd_workloads },
		{ "echo", echo_workloads },
		{ "ctl", ctl_workloads },
		{ "timer", timer_workloads },
		{ "http", http_workloads },
		{ "memory", memory_workloads },
		{ "growth", growth_workloads },
		{ "timers", many_timers_workloads },
		{ "pair", pair_workloads },
		{ "asleep", asleep_workloads },
		{ "crowd", crowd_workloads },
		{ "step", step_workloads },
	};
	const unsigned int num = sizeof(all) / sizeof(all[0]);
	unsigned int i, j;

	if (argc < 3) {
		fprintf(stderr, "usage: bench instructions|ns WORKLOAD...\n");
		return 2;
	}
	unit = argv[1];
	raise_limits();
	sleep(2);
	for (j = 2; j < (unsigned int)argc; j++) {
		for (i = 0; i < num && strcmp(argv[j], all[i].name); i++)
			;
		need(i < num, argv[j]);
		all[i].run();
	}
	return 0;
}
