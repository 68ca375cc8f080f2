// SPDX-License-Identifier: GPL-2.0
/*
 * The first process of the guest: runs programs and reports over virtio ports.
 *
 * Kernel command line: kevent.mode=tests|exec|shell; kevent.cpus=N processors to run
 * on; for tests kevent.limit=SECONDS for each program (0: none), kevent.patience=N by which
 * they multiply limits of their own and which they find in KEVENT_PATIENCE, kevent.bench=1 to
 * run the benchmark after them, and kevent.leaks=1 to look for leaks at the end, which go to
 * the console; kevent.icount=1 where the clock counts instructions, which programs find in
 * KEVENT_ICOUNT. User-Mode Linux has no virtio ports: kevent.<port>=DEVICE names a serial
 * line instead, and kevent.end=off says that it ends by being switched off.
 *
 * Lines on the port kevent.results, in order:
 *	S <program>			started
 *	T <program> <us> <text>		a line of its output, <us> after its start
 *	E <program> <us> <text>		a line about it: where it hangs
 *	B <text>			a line of the benchmark's output
 *	X <program> exit=<n> us=<us>	ended; or signal=<n>, or timeout=<seconds>
 *	END				nothing more comes
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define TESTS	"/kevent"
#define BENCH	"bench"
#define ARGV	"/exec/argv"
#define LEAKS	"/sys/kernel/debug/kmemleak"
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static int results = -1;

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static void write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		data += done;
		size -= done;
	}
}

static __attribute__((format(printf, 1, 2))) void report(const char *format, ...)
{
	char *line;
	va_list args;
	int size;

	va_start(args, format);
	size = vasprintf(&line, format, args);
	va_end(args);
	if (size < 0)
		return;
	write_all(results < 0 ? STDERR_FILENO : results, line, size);
	free(line);
}

static const char *option(const char *name, const char *fallback);

static void power_off(void)
{
	sync();
	/* QEMU runs with -no-reboot: a restart ends it on every machine type. */
	reboot(strcmp(option("kevent.end", ""), "off") ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;)
		pause();
}

static void fail(const char *what)
{
	fprintf(stderr, "init: %s: %s\n", what, strerror(errno));
	power_off();
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static char *read_file(const char *path, size_t *size)
{
	char *text = calloc(1, 65536);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t done = fd >= 0 && text ? read(fd, text, 65535) : -1;

	if (fd >= 0)
		close(fd);
	if (done < 0) {
		free(text);
		return NULL;
	}
	if (size)
		*size = done;
	return text;
}

static void mount_all(void)
{
	static const struct {
		bool needed;
		const char *type, *path, *data;
	} mounts[] = {
		{ true, "devtmpfs", "/dev", NULL },
		{ true, "proc", "/proc", NULL },
		{ true, "sysfs", "/sys", NULL },
		{ true, "tmpfs", "/tmp", "mode=1777" },
		{ true, "tmpfs", "/dev/shm", "mode=1777" },
		{ false, "devpts", "/dev/pts", NULL },
		{ true, "cgroup2", "/sys/fs/cgroup", NULL },
		{ false, "debugfs", "/sys/kernel/debug", NULL },
		{ false, "tracefs", "/sys/kernel/tracing", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		mkdir(mounts[i].path, 0755);
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, mounts[i].data) &&
		    mounts[i].needed)
			fail(mounts[i].path);
	}
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		fail("lo");
	close(fd);
}

static void set_limits(void)
{
	struct rlimit files = { 65536, 1048576 };

	if (setrlimit(RLIMIT_NOFILE, &files))
		fail("RLIMIT_NOFILE");
	if (!write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory"))
		fail("cgroup.subtree_control");
	write_file("/proc/sys/kernel/printk_devkmsg", "on");
}

/* The value of a word `name=value` of the kernel command line, or a default. */
static const char *option(const char *name, const char *fallback)
{
	static char *line;
	size_t size = strlen(name);

	if (!line)
		line = read_file("/proc/cmdline", NULL);
	for (char *at = line; at; at = strchr(at, ' ')) {
		at += *at == ' ';
		if (!strncmp(at, name, size) && at[size] == '=')
			return strndup(at + size + 1, strcspn(at + size + 1, " \n"));
	}
	return fallback;
}

/*
 * The kernel patches its own code for the last time when its clock has settled. QEMU 7.2
 * may run a stale translation of code that another processor patches, so the others are
 * started only then (maxcpus=1).
 */
static void start_cpus(void)
{
	long wanted = atoi(option("kevent.cpus", "1"));

	for (int tries = 0; tries < 400; tries++) {
		char *clock = read_file("/sys/devices/system/clocksource/clocksource0/"
					"current_clocksource", NULL);
		bool early = clock && strstr(clock, "early");

		free(clock);
		if (!early)
			break;
		usleep(25000);
	}
	for (long cpu = 1; cpu < wanted; cpu++) {
		char path[100];

		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%ld/online", cpu);
		write_file(path, "1");
	}
	if (sysconf(_SC_NPROCESSORS_ONLN) != wanted)
		fail("processors");
}

static int find_port(const char *wanted)
{
	struct dirent *entry;
	DIR *ports = opendir("/sys/class/virtio-ports");
	int fd = -1;

	while (ports && fd < 0 && (entry = readdir(ports))) {
		char path[300], *name;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		name = read_file(path, NULL);
		if (name)
			name[strcspn(name, "\n")] = 0;
		if (name && !strcmp(name, wanted)) {
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			fd = open(path, O_WRONLY | O_CLOEXEC);
		}
		free(name);
	}
	if (ports)
		closedir(ports);
	return fd;
}

static int open_line(const char *device)
{
	struct termios raw;
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", device);
	fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || tcgetattr(fd, &raw))
		return -1;
	cfmakeraw(&raw);
	return tcsetattr(fd, TCSANOW, &raw) ? -1 : fd;
}

/* The names come from the host a moment after the driver has bound. */
static int open_port(const char *name)
{
	const char *device = option(name, NULL);

	if (device)
		return open_line(device);
	for (int tries = 0; tries < 1000; tries++) {
		int fd = find_port(name);

		if (fd >= 0)
			return fd;
		usleep(10000);
	}
	return -1;
}

/* One output of a program: cut in lines, or copied as it is to `raw`. */
struct stream {
	int fd;
	int raw;
	const char *prefix;	/* "T" or "B" */
	size_t fill;
	char line[4096];
};

static void flush_line(struct stream *stream, const char *program, uint64_t us)
{
	if (!strcmp(stream->prefix, "B"))
		report("B %.*s\n", (int)stream->fill, stream->line);
	else
		report("%s %s %llu %.*s\n", stream->prefix, program, (unsigned long long)us,
		       (int)stream->fill, stream->line);
	stream->fill = 0;
}

static void forward(struct stream *stream, const char *data, size_t size, const char *program,
		    uint64_t start)
{
	if (stream->raw >= 0) {
		write_all(stream->raw, data, size);
		return;
	}
	for (size_t i = 0; i < size; i++) {
		if (data[i] != '\n')
			stream->line[stream->fill++] = data[i];
		if (data[i] == '\n' || stream->fill == sizeof(stream->line))
			flush_line(stream, program, now_us() - start);
	}
}

/* Forwards what is there. False at the end of the stream. */
static bool drain(struct stream *stream, const char *program, uint64_t start)
{
	char data[4096];
	ssize_t size = read(stream->fd, data, sizeof(data));

	if (size < 0)
		return errno == EINTR;
	forward(stream, data, size, program, start);
	if (!size && stream->fill)
		flush_line(stream, program, now_us() - start);
	return size;
}

/* Where each thread of each process stands, for a program that hangs. */
static void report_stacks(const char *program)
{
	struct dirent *process, *thread;
	DIR *processes = opendir("/proc");

	while (processes && (process = readdir(processes))) {
		char path[600], *text;
		DIR *threads;

		if (atoi(process->d_name) <= 1)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", process->d_name);
		text = read_file(path, NULL);
		if (!text || !*text) {
			free(text);	/* a kernel thread */
			continue;
		}
		free(text);
		snprintf(path, sizeof(path), "/proc/%s/task", process->d_name);
		threads = opendir(path);
		while (threads && (thread = readdir(threads))) {
			char *save, *line;

			if (thread->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "/proc/%s/task/%s/stack",
				 process->d_name, thread->d_name);
			text = read_file(path, NULL);
			report("E %s 0 process %s thread %s:\n", program, process->d_name,
			       thread->d_name);
			for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
			     line = strtok_r(NULL, "\n", &save))
				report("E %s 0   %s\n", program, line);
			free(text);
		}
		if (threads)
			closedir(threads);
	}
	if (processes)
		closedir(processes);
}

static pid_t start(char **argv, const char *folder, struct stream *out, struct stream *err)
{
	int out_pipe[2], err_pipe[2];
	pid_t pid;

	if (pipe2(out_pipe, O_CLOEXEC) || pipe2(err_pipe, O_CLOEXEC))
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		int null = open("/dev/null", O_RDONLY);

		setsid();
		dup2(null, STDIN_FILENO);
		dup2(out_pipe[1], STDOUT_FILENO);
		dup2((err ? err_pipe : out_pipe)[1], STDERR_FILENO);
		close(null);
		if (chdir(folder))
			_exit(127);
		execv(argv[0], argv);
		dprintf(STDERR_FILENO, "cannot start %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(out_pipe[1]);
	close(err_pipe[1]);
	out->fd = out_pipe[0];
	if (err)
		err->fd = err_pipe[0];
	else
		close(err_pipe[0]);
	return pid;
}

/*
 * Runs one program to its end, or to `limit` seconds (0: no limit), and kills
 * whatever it leaves behind. Without `err`, both of its outputs go to `out`, in the
 * order in which they were written.
 */
static void run(char **argv, const char *program, const char *folder, struct stream *out,
	       struct stream *err, unsigned int limit)
{
	uint64_t begin = now_us();
	bool out_open = true, err_open = err, running = true, late = false;
	pid_t pid = start(argv, folder, out, err);
	int status = 0, pidfd = syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		fail("pidfd_open");
	while (out_open || err_open || running) {
		struct pollfd fds[] = {
			{ out_open ? out->fd : -1, POLLIN, 0 },
			{ err_open ? err->fd : -1, POLLIN, 0 },
			{ running ? pidfd : -1, POLLIN, 0 },
		};
		int64_t left = begin + limit * 1000000ULL - now_us();
		bool timed = limit && !late;

		if (timed && left <= 0) {
			late = true;
			report_stacks(program);
			kill(-1, SIGKILL);
			continue;
		}
		if (poll(fds, 3, timed ? left / 1000 + 1 : -1) < 0 && errno != EINTR)
			fail("poll");
		if (fds[0].revents)
			out_open = drain(out, program, begin);
		if (fds[1].revents)
			err_open = drain(err, program, begin);
		if (fds[2].revents) {
			running = false;
			waitpid(pid, &status, 0);
			kill(-1, SIGKILL);
		}
	}
	close(out->fd);
	if (err)
		close(err->fd);
	close(pidfd);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;

	begin = now_us() - begin;
	if (late)
		report("X %s timeout=%u us=%llu\n", program, limit, (unsigned long long)begin);
	else if (WIFSIGNALED(status))
		report("X %s signal=%d us=%llu\n", program, WTERMSIG(status),
		       (unsigned long long)begin);
	else
		report("X %s exit=%d us=%llu\n", program, WEXITSTATUS(status),
		       (unsigned long long)begin);
}

static void run_program(const char *program, const char *stdout_prefix, unsigned int limit)
{
	static struct stream out;
	char path[300], *argv[] = { path, NULL };

	snprintf(path, sizeof(path), TESTS "/%s", program);
	out = (struct stream){ .raw = -1, .prefix = stdout_prefix };
	report("S %s\n", program);
	run(argv, program, TESTS, &out, NULL, limit);
}

static int is_program(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && strcmp(entry->d_name, BENCH);
}

/*
 * Has kmemleak tell on the console what nobody can reach. An object counts when it is 5 s old
 * and two scans found it unchanged.
 */
static void find_leaks(void)
{
	FILE *leaks, *console = fopen("/dev/kmsg", "we");
	char line[1000];

	for (int scans = 0; scans < 2; scans++) {
		sleep(6);
		if (!write_file(LEAKS, "scan"))
			fail(LEAKS);
	}
	leaks = fopen(LEAKS, "re");
	if (!leaks || !console)
		fail(LEAKS);
	setlinebuf(console);
	while (fgets(line, sizeof(line), leaks))
		fprintf(console, "<3>kmemleak: %s", line);
	fprintf(console, "<6>kmemleak: all was scanned\n");
	fclose(leaks);
	fclose(console);
}

static void run_tests(void)
{
	unsigned int limit = atoi(option("kevent.limit", "0"));
	struct dirent **entries;
	int count = scandir(TESTS, &entries, is_program, alphasort);

	for (int i = 0; i < count; i++)
		run_program(entries[i]->d_name, "T", limit);
	if (atoi(option("kevent.bench", "0")))
		run_program(BENCH, "B", limit);
	if (atoi(option("kevent.leaks", "0")))
		find_leaks();
}

/* Runs the command that /exec/argv holds: zero-terminated words. */
static void run_exec(void)
{
	struct stream out = { .raw = open_port("kevent.stdout"), .prefix = "T" };
	struct stream err = { .raw = open_port("kevent.stderr"), .prefix = "E" };
	size_t size = 0, count = 0;
	char *words = read_file(ARGV, &size), *argv[256];

	if (!words || out.raw < 0 || err.raw < 0)
		fail(ARGV);
	for (char *at = words; at < words + size && count < 255; at += strlen(at) + 1)
		argv[count++] = at;
	argv[count] = NULL;
	run(argv, "exec", "/tmp", &out, &err, 0);
}

static void run_shell(void)
{
	char *active = read_file("/sys/class/tty/console/active", NULL), path[300];
	pid_t pid;

	if (!active)
		fail("console");
	active[strcspn(active, " \n")] = 0;
	snprintf(path, sizeof(path), "/dev/%s", active);
	if (!fork()) {
		execl("/bin/busybox", "busybox", "--install", "-s", "/bin", NULL);
		_exit(127);
	}
	wait(NULL);
	pid = fork();
	if (!pid) {
		int fd;

		setsid();
		fd = open(path, O_RDWR);
		ioctl(fd, TIOCSCTTY, 0);
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
		if (fd > 2)
			close(fd);
		setenv("PS1", "kevent:\\w# ", 1);
		if (chdir(TESTS))
			_exit(127);
		execl("/bin/busybox", "sh", NULL);
		_exit(127);
	}
	while (wait(NULL) != pid)
		;
}

int main(void)
{
	const char *mode;
	int console;

	mount_all();
	console = open("/dev/console", O_RDWR);
	for (int i = 0; i < 3 && console >= 0; i++)
		dup2(console, i);
	if (console > 2)
		close(console);
	start_cpus();
	set_limits();
	loopback_up();
	setenv("PATH", "/bin:/kevent", 1);
	setenv("HOME", "/tmp", 1);
	setenv("KEVENT_ICOUNT", option("kevent.icount", "0"), 1);
	setenv("KEVENT_PATIENCE", option("kevent.patience", "1"), 1);

	mode = option("kevent.mode", "tests");
	if (!strcmp(mode, "shell")) {
		run_shell();
		power_off();
	}
	results = open_port("kevent.results");
	if (results < 0)
		fail("kevent.results");
	if (!strcmp(mode, "exec"))
		run_exec();
	else
		run_tests();
	report("END\n");
	power_off();
}
