/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live processes seen from others: by one of the same user, and not by another user's; after a
 * kill, while stopped, after a fork; whole pages while they are written without a pause; filch-top
 * as a program, in a pipe and on a terminal.
 * timeout: 300
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "pools.h"
#include "tools/live_read.h"

#define OTHER_UID 65534u

/* A process with a live pool, that says when it has one and then waits for its end. */
struct other {
	pid_t pid;
	int end; /* closed: it ends */
};

static _Atomic bool sleeps;

static int sleep_for_ever(void *arg)
{
	(void)arg;
	sleeps = true;
	for (;;)
		pause();
	return 0;
}

/* What the other process does, with the pipes as its descriptors 3 and 4. */
static int be_other(bool with_job)
{
	struct filch_pool *pool = pool_open(2, 0);
	struct filch_submit how = FILCH_SUBMIT_INIT;
	char c;

	how.name = "for-ever";
	if (filch_pool_live(pool, 1) ||
		(with_job && filch_submit(pool, sleep_for_ever, NULL, &how) < 0))
		_exit(1);
	while (with_job && !sleeps)
		sched_yield();
	if (filch_pool_live(pool, 1) || write(4, "x", 1) != 1)
		_exit(1);
	(void)!read(3, &c, 1);
	_exit(with_job ? 0 : filch_pool_destroy(pool) != 0);
}

/* This program once more: under ThreadSanitizer the child of a fork starts no threads. */
static struct other start_other(bool with_job)
{
	struct other o;
	int up[2], down[2];
	char c;

	CHECK_EQ(pipe2(up, O_CLOEXEC), 0);
	CHECK_EQ(pipe2(down, O_CLOEXEC), 0);
	fflush(NULL);
	o.pid = fork();
	CHECK(o.pid >= 0, "%d", errno);
	if (!o.pid) {
		/* above both, so that neither is overwritten */
		int from = fcntl(down[0], F_DUPFD, 10), to = fcntl(up[1], F_DUPFD, 10);

		if (dup2(from, 3) != 3 || dup2(to, 4) != 4 || close(from) || close(to))
			_exit(1);
		execl("/proc/self/exe", "live", with_job ? "--job" : "--idle", (char *)NULL);
		_exit(127);
	}
	close(up[1]);
	close(down[0]);
	CHECK(read(up[0], &c, 1) == 1, "the other process has no live pool");
	close(up[0]);
	o.end = down[1];
	return o;
}

static int end_other(struct other o)
{
	int status;

	close(o.end);
	CHECK_EQ(waitpid(o.pid, &status, 0), o.pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* How many pages of @pid there are; all of them whole. */
static size_t pages_of(pid_t pid)
{
	struct live_list list;
	size_t n;

	CHECK_EQ(live_read(&list, NULL, pid), 0);
	CHECK(!list.refused, "%s", list.why);
	n = list.count;
	live_free(&list);
	return n;
}

/* The name of the file of @pid's page; false: there is none. */
static bool find_file(pid_t pid, char *path, size_t room)
{
	char directory[64], begin[32];
	struct dirent *entry;
	bool found = false;
	DIR *d;

	snprintf(directory, sizeof directory, FILCHI_PAGE_ROOT "/filch-%u", (unsigned)geteuid());
	snprintf(begin, sizeof begin, "%d-", (int)pid);
	d = opendir(directory);
	while (d && (entry = readdir(d))) {
		if (strncmp(entry->d_name, begin, strlen(begin)) || strstr(entry->d_name, ".new"))
			continue;
		snprintf(path, room, "%s/%.100s", directory, entry->d_name);
		found = true;
	}
	if (d)
		closedir(d);
	return found;
}

static void the_same_user_reads(void)
{
	struct other o = start_other(false);

	CHECK_EQ(pages_of(o.pid), 1);
	CHECK_EQ(end_other(o), 0);
	CHECK_EQ(pages_of(o.pid), 0);
}

static void another_user_does_not(void)
{
	struct other o;
	char path[200];
	int status;
	pid_t reader;

	if (geteuid()) {
		printf("    not shown: only root can become another user\n");
		return;
	}
	o = start_other(false);
	CHECK(find_file(o.pid, path, sizeof path), "no file");
	fflush(NULL);
	reader = fork();
	if (!reader) {
		struct live_list list;

		if (setgid(OTHER_UID) || setuid(OTHER_UID))
			_exit(1);
		if (open(path, O_RDONLY) >= 0 || errno != EACCES)
			_exit(2);
		if (live_read(&list, NULL, o.pid) || list.count)
			_exit(3);
		/* also where it is told the directory */
		*strrchr(path, '/') = '\0';
		_exit(live_read(&list, path, o.pid) < 0 && !list.count ? 0 : 4);
	}
	CHECK_EQ(waitpid(reader, &status, 0), reader);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "%x", (unsigned)status);
	CHECK_EQ(end_other(o), 0);
}

static void the_page_of_a_killed_process_goes_with_the_next_reader(void)
{
	struct other o = start_other(true);
	struct live_list list;
	char path[200];

	CHECK_EQ(kill(o.pid, SIGKILL), 0);
	CHECK_EQ(end_other(o), -SIGKILL);
	CHECK(find_file(o.pid, path, sizeof path), "a killed process has removed its page");
	CHECK_EQ(live_read(&list, NULL, o.pid), 0);
	CHECK_EQ(list.count, 0);
	CHECK(list.removed >= 1, "%zu", list.removed);
	live_free(&list);
	CHECK(!find_file(o.pid, path, sizeof path), "it is still there");
}

static void a_stopped_process_has_a_whole_page(void)
{
	struct other o = start_other(true);
	struct live_list list;
	int status;

	for (int i = 0; i < 20; i++) {
		CHECK_EQ(kill(o.pid, SIGSTOP), 0);
		CHECK_EQ(waitpid(o.pid, &status, WUNTRACED), o.pid);
		CHECK_EQ(pages_of(o.pid), 1);
		CHECK_EQ(kill(o.pid, SIGCONT), 0);
		CHECK_EQ(waitpid(o.pid, &status, WCONTINUED), o.pid);
	}
	/* and one that is stopped for long does not answer */
	CHECK_EQ(kill(o.pid, SIGSTOP), 0);
	CHECK_EQ(waitpid(o.pid, &status, WUNTRACED), o.pid);
	do {
		bool answers;

		CHECK_EQ(live_read(&list, NULL, o.pid), 0);
		CHECK_EQ(list.count, 1);
		answers = list.process[0].answers;
		live_free(&list);
		if (!answers)
			break;
		sched_yield();
	} while (true);
	CHECK_EQ(kill(o.pid, SIGKILL), 0);
	CHECK_EQ(end_other(o), -SIGKILL);
}

static void the_child_of_a_fork_leaves_the_parents_page_alone(void)
{
	struct filch_pool *pool = pool_open(2, 0);
	char before[200], after[200];
	int status;
	pid_t child;

	CHECK_EQ(filch_pool_live(pool, 1), 0);
	CHECK(find_file(getpid(), before, sizeof before), "no file");
	fflush(NULL);
	child = fork();
	if (!child) {
		struct filch_pool *own;
		char path[200];

		if (filch_pool_live(pool, 1) != -ECHILD || find_file(getpid(), path, sizeof path))
			_exit(1);
#if defined(TEST_THREAD_SANITIZER) /* it starts no threads in here */
		_exit(0);
#endif
		own = pool_open(1, 0);
		if (filch_pool_live(own, 1) || !find_file(getpid(), path, sizeof path) ||
			pages_of(getpid()) != 1 || pages_of(getppid()) != 1)
			_exit(2);
		if (filch_pool_destroy(own) || find_file(getpid(), path, sizeof path))
			_exit(3);
		quick_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "%x", (unsigned)status);
	/* also one that ends in the usual way, by exit(3) */
	fflush(NULL);
	child = fork();
	if (!child)
		execl("/bin/true", "true", (char *)NULL);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(find_file(getpid(), after, sizeof after), "the parent's page is gone");
	CHECK(!strcmp(before, after), "%s %s", before, after);
	CHECK_EQ(pages_of(getpid()), 1);
	pool_close(pool);
	CHECK(!find_file(getpid(), after, sizeof after), "it stays");
}

/* --- whole pages ------------------------------------------------------ */

static _Atomic bool done;
static _Atomic uint64_t reads, numbers;

static void *read_on(void *arg)
{
	uint64_t last = 0;

	(void)arg;
	while (!done) {
		struct live_list list;

		CHECK_EQ(live_read(&list, NULL, getpid()), 0);
		CHECK(!list.refused, "%s", list.why);
		if (list.count) {
			uint64_t number = list.process[0].header->number;

			CHECK_EQ(list.count, 1);
			CHECK(number >= last, "page %llu after %llu", (unsigned long long)number,
				(unsigned long long)last);
			numbers += number != last;
			last = number;
			reads++;
		}
		live_free(&list);
	}
	return NULL;
}

static int little(void *arg)
{
	(void)arg;
	return 0;
}

static void pages_are_whole_while_they_are_written(void)
{
	struct filch_submit how = FILCH_SUBMIT_INIT;
	const uint64_t wanted = test_scaled(500);
	struct filch_pool *pool, *second;
	pthread_t reader[2];

	done = false;
	reads = numbers = 0;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&reader[i], NULL, read_on, NULL), 0);
	how.flags = FILCH_JOB_DETACHED;
	how.name = "little";
	/* pools come and go, so that pages have many sizes */
	while (reads < wanted || numbers < wanted) {
		pool = pool_open(2, 0);
		second = pool_open(3, 0);
		CHECK_EQ(filch_pool_live(pool, 1), 0);
		for (int i = 0; i < 20; i++) {
			CHECK_EQ(filch_pool_live(second, i % 4 != 3), 0);
			for (int j = 0; j < 20; j++)
				CHECK(filch_submit(pool, little, NULL, &how) > 0, "refused");
			CHECK_EQ(filch_pool_live(pool, 1), 0);
		}
		CHECK_EQ(filch_pool_drain(pool, NULL), 0);
		pool_close(pool);
		pool_close(second);
	}
	done = true;
	for (int i = 0; i < 2; i++)
		pthread_join(reader[i], NULL);
	printf("    %llu whole pages read, %llu of them new\n", (unsigned long long)reads,
		(unsigned long long)numbers);
}

/* A fork while another thread writes: nothing hangs, in neither process. */
static void *write_on(void *arg)
{
	while (!done)
		CHECK_EQ(filch_pool_live(arg, 1), 0);
	return NULL;
}

static void forks_and_pages_do_not_hold_each_other_up(void)
{
	const int forks = (int)test_scaled(100);
	struct filch_pool *pool = pool_open(2, 0);
	pthread_t writer;
	int status;

	done = false;
	CHECK_EQ(filch_pool_live(pool, 1), 0);
	CHECK_EQ(pthread_create(&writer, NULL, write_on, pool), 0);
	for (int i = 0; i < forks; i++) {
		pid_t child = fork();

		if (!child)
			_exit(filch_pool_live(pool, 1) == -ECHILD ? 0 : 1);
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "%x", (unsigned)status);
	}
	done = true;
	pthread_join(writer, NULL);
	pool_close(pool);
}

/* --- filch-top -------------------------------------------------------- */

#if defined(FILCH_TOP)
static int shell_of(const char *program, const char *format, int pid)
{
	char command[1024];
	int status;

	snprintf(command, sizeof command, format, program, pid);
	fflush(NULL);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int shell(const char *format, int pid)
{
	return shell_of(FILCH_TOP, format, pid);
}

static void filch_info_tells_where_workers_of_a_process_sit(void)
{
	struct other o = start_other(true);
	int pid = (int)o.pid;

	CHECK_EQ(shell_of(FILCH_INFO, "%s --running | grep -q ' %d, filch '", pid), 0);
	CHECK_EQ(shell_of(FILCH_INFO, "%s --pid %d | grep -q '^  workers: '", pid), 0);
	CHECK_EQ(shell_of(FILCH_INFO,
			 "test $(%s --pid %d | awk '/^seats/ { on = 1 } /^changes/ { on = 0 }"
			 " on && $1 ~ /^[0-9]+$/' | wc -l) = 2",
			 pid),
		0);
	if (!system("jq --version >/dev/null 2>&1"))
		CHECK_EQ(
			shell_of(FILCH_INFO,
				"%s --json --pid %d | jq -e '.pools[0] | (.seats | length == 2) and"
				" (.reasons | length > 2) and has(\"changes\")' >/dev/null",
				pid),
			0);
	CHECK_EQ(kill(o.pid, SIGKILL), 0);
	CHECK_EQ(end_other(o), -SIGKILL);
	CHECK_EQ(shell_of(FILCH_INFO, "%s --pid %d 2>/dev/null", pid), 1);
	CHECK_EQ(shell_of(FILCH_INFO, "%s --pid 0 >/dev/null 2>&1 # %d", pid), 2);
}

static void filch_top_is_read_by_programs(void)
{
	struct other o;

	if (system("jq --version >/dev/null 2>&1")) {
		printf("    not shown: there is no jq\n");
		return;
	}
	o = start_other(true);
	CHECK_EQ(shell("%s --once --json --pid %d | jq -e '.processes | length == 1 and"
		       " (.[0].pools[0] | .workers == 2 and .counters.jobs == 1 and"
		       " .lanes[0].running == 1 and (.worker | length == 2) and"
		       " ([.worker[].job.name] | index(\"for-ever\") != null) and"
		       " ([.worker[] | .time | add] | min > 0))' >/dev/null",
			 (int)o.pid),
		0);
	CHECK_EQ(shell("%s --prometheus --pid %d |"
		       " awk '!/^#/ && !/^filch_[a-z_]+\\{[^}]*\\} [0-9.e+]+$/ { bad = 1; print }"
		       " /^filch_jobs_total/ { jobs = $2 } /_bucket.*le=\"\\+Inf\"/ { n++ }"
		       " END { exit bad || jobs != 1 || n != 2 }'",
			 (int)o.pid),
		0);
	CHECK_EQ(shell("%s --once --pid %d | grep -q 'for-ever$'", (int)o.pid), 0);
	CHECK_EQ(shell("test $(%s --once --pid %d | wc -L) -le 80", (int)o.pid), 0);
	CHECK_EQ(kill(o.pid, SIGKILL), 0);
	CHECK_EQ(end_other(o), -SIGKILL);
	CHECK_EQ(shell("%s --once --json --pid %d 2>/dev/null", (int)o.pid), 1);
	CHECK_EQ(shell("%s --json --prometheus >/dev/null 2>&1 # %d", 0), 2);
	CHECK_EQ(shell("%s --interval 0 >/dev/null 2>&1 # %d", 0), 2);
	CHECK_EQ(shell("%s --help | grep -q filch_pool_live # %d", 0), 0);
}

/* Reads what comes from the terminal until @text was there. */
static void expect(int terminal, const char *text)
{
	static char seen[1 << 16];
	size_t used = 0;

	for (;;) {
		ssize_t n = read(terminal, seen + used, sizeof seen - 1 - used);

		CHECK(n > 0, "'%s' did not come: %s", text, strerror(errno));
		used += (size_t)n;
		seen[used] = '\0';
		if (memmem(seen, used, text, strlen(text)))
			return;
		if (used > sizeof seen / 2) { /* the end of it may be half of the text */
			memmove(seen, seen + used - 200, 200);
			used = 200;
		}
	}
}

/* filch-top on a terminal of 80 columns, ended by @keys or a signal: the terminal is as before. */
static void on_a_terminal(const char *keys, int number)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct other o = start_other(true);
	struct termios before, after;
	int terminal, status;
	char pid[16];
	pid_t top;

	snprintf(pid, sizeof pid, "%d", (int)o.pid);
	fflush(NULL);
	top = forkpty(&terminal, NULL, NULL, &size);
	CHECK(top >= 0, "%d", errno);
	if (!top) {
		raise(SIGSTOP); /* until the parent has looked at the terminal */
		execl(FILCH_TOP, "filch-top", "--interval", "0.1", "--pid", pid, (char *)NULL);
		_exit(127);
	}
	CHECK_EQ(waitpid(top, &status, WUNTRACED), top);
	CHECK_EQ(tcgetattr(terminal, &before), 0);
	CHECK_EQ(kill(top, SIGCONT), 0);
	expect(terminal, "\033[?1049h");
	expect(terminal, "for-ever");
	CHECK_EQ(tcgetattr(terminal, &after), 0);
	CHECK(!(after.c_lflag & (ECHO | ICANON)), "it reads no single keys");
	if (number)
		CHECK_EQ(kill(top, number), 0);
	for (const char *k = keys; *k; k++)
		CHECK_EQ(write(terminal, k, 1), 1);
	expect(terminal, "\033[?1049l");
	CHECK_EQ(waitpid(top, &status, 0), top);
	if (number)
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == number, "%x", (unsigned)status);
	else
		CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "%x", (unsigned)status);
	CHECK_EQ(tcgetattr(terminal, &after), 0);
	CHECK_EQ(after.c_lflag, before.c_lflag);
	CHECK_EQ(after.c_cc[VMIN], before.c_cc[VMIN]);
	close(terminal);
	CHECK_EQ(kill(o.pid, SIGKILL), 0);
	CHECK_EQ(end_other(o), -SIGKILL);
}

static void filch_top_gives_the_terminal_back(void)
{
	on_a_terminal("npstlwtlwjk  +-xq", 0);
	on_a_terminal("", SIGTERM);
	on_a_terminal("", SIGINT);
}
#endif

/* Pages of those that were killed above. */
static void remove_what_is_left(void)
{
	struct live_list list;

	CHECK_EQ(live_read(&list, NULL, 0), 0);
	live_free(&list);
}

int main(int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "--job") || !strcmp(argv[1], "--idle")))
		return be_other(!strcmp(argv[1], "--job"));
	test_watchdog(250);
	test_case("a process of the same user reads a page", the_same_user_reads);
	test_case("one of another user does not", another_user_does_not);
	test_case("the page of a killed process goes with the next reader",
		the_page_of_a_killed_process_goes_with_the_next_reader);
	test_case("a stopped process has a whole page", a_stopped_process_has_a_whole_page);
	test_case("the child of a fork leaves its parent's page alone",
		the_child_of_a_fork_leaves_the_parents_page_alone);
	test_case("pages are whole while they are written", pages_are_whole_while_they_are_written);
	test_case("forks and pages do not hold each other up",
		forks_and_pages_do_not_hold_each_other_up);
#if defined(FILCH_TOP)
	test_case("filch-info tells where workers of a process sit",
		filch_info_tells_where_workers_of_a_process_sit);
	test_case("filch-top is read by programs", filch_top_is_read_by_programs);
	test_case("filch-top gives the terminal back", filch_top_gives_the_terminal_back);
#endif
	remove_what_is_left();
	return test_finish("citizen.live");
}
