// SPDX-License-Identifier: GPL-2.0
/*
 * What an event costs, by kevent, epoll and io_uring.
 *
 * The line of a measurement:
 *
 *	BENCH workload=NAME peer=NAME events=N instructions=I calls=C switches=S
 *
 * per event: instructions, or ns, as the first argument calls what the clock counts; system calls;
 * and context switches. The peer "none" does the same work without being told; what another needs
 * beyond that is the cost of its events.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench.h"

uint64_t calls;
const struct peer *peer;

static const char *unit = "ns";

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

void count_from_here(void)
{
	parts.calls = calls;
	parts.begin = now();
}

void count_to_here(void)
{
	parts.time += now() - parts.begin;
	parts.called += calls - parts.calls;
}

static void run(const char *workload, const char *name, unsigned int events,
		void (*set_up)(void), void (*work)(unsigned int events))
{
	uint64_t begin, time;
	long before;

	set_up();
	/* What the kernel has put off is done elsewhere. */
	usleep(200000);
	work(events / 8);
	memset(&parts, 0, sizeof(parts));
	before = switches();
	calls = 0;
	begin = now();
	work(events);
	time = now() - begin;
	if (parts.time) {
		time = parts.time;
		calls = parts.called;
	}
	printf("BENCH workload=%s peer=%s events=%u %s=%.3f calls=%.4f switches=%.4f\n", workload,
	       name, events, unit, (double)time / events, (double)calls / events,
	       (double)(switches() - before) / events);
	fflush(stdout);
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

void raise_limits(void)
{
	struct rlimit all = { 1 << 21, 1 << 21 };
	FILE *f = fopen("/proc/sys/fs/nr_open", "w");

	if (f) {
		fprintf(f, "%u\n", 1 << 21);
		fclose(f);
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
	};
	unsigned int i;

	if (argc < 2) {
		fprintf(stderr, "usage: bench instructions|ns [workload]\n");
		return 2;
	}
	unit = argv[1];
	raise_limits();
	sleep(2);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (argc < 3 || !strcmp(argv[2], all[i].name))
			all[i].run();
	return 0;
}
