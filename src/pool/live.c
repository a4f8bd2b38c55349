/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live pools: the page of this process, and the thread that writes it.
 *
 * One publisher for all live pools of the process, begun with the first and ended with the last. It
 * looks at them ten times a second, and once a second while nothing happens; more seldom where a
 * look takes so long that it would be more than a two-hundredth of one core.
 *
 * Each page is a new file that takes the place of the one before (live_page.h). Compared with
 * memory that is mapped and written in place:
 *   - a reader gets a whole page, without looking twice, and a writer that is stopped leaves one
 *   - nobody can truncate a file under the writer's stores
 *   - no descriptor stays open, which a child would inherit
 *   - the child of a fork has nothing to write to
 *   - a file that was removed, with the directory, comes back with the next page
 *
 * The directory is the user's alone, so that nobody else can read pages or put something in their
 * place. Should its name be taken by another user there is no page.
 *
 * The publisher alone opens files, and has a table of descriptors of its own. A daemon that closes
 * all that it does not know does not close these, and opens none of its own under their numbers.
 *
 * Locks: `life` orders begins and ends, and is held while the publisher writes a page that was
 * asked for, and while it is joined. `lock` is held while pools are looked at; so a pool that is
 * unlinked under it is not looked at any more.
 */
#define _GNU_SOURCE
#include "pool/live.h"

#include <errno.h>
#include <fcntl.h>
#include <filch/version.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/environment.h"
#include "base/libc.h"
#include "base/map.h"
#include "base/park_futex.h"
#include "core/given.h"
#include "core/live_words.h"
#include "pool/thread.h"

#define BUSY_NS UINT64_C(100000000)  /* between two pages */
#define IDLE_NS UINT64_C(1000000000) /* the same, while nothing happens */
#define PART    200u                 /* of the time, at most, looks take */
#define COPIES  64u                  /* of the library with pages, in one process */

static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER, lock = PTHREAD_MUTEX_INITIALIZER;

/* under `life` */
static pthread_t publisher;
static bool has_publisher;
static uint64_t begun; /* pools that have been live */

/* under `lock` */
static struct filchi_live *first;
static struct filchi_page_buffer buffer;
static uint64_t pages;
static bool is_over; /* the process ends */
static struct {
	uid_t uid;
	char directory[64], name[64], next[72]; /* of the page */
	uint32_t copy;
	bool is_there;
} file;

/* what the publisher sleeps on: how many pages were asked for, and in its last bit: end */
static filch_atomic_u32 wake_word;
/* the count that was served last, and with what error */
static filch_atomic_u32 served, served_error;
#define END   1u
#define ASKED 2u

/* --- the page --------------------------------------------------------- */

bool filchi_page_add(struct filchi_page_buffer *page, size_t size, size_t *place)
{
	size_t rounded = filchi_page_round(size), room = page->room ? page->room : 4096;
	char *at;

	while (room - page->size < rounded)
		room *= 2;
	if (room > page->room) {
		at = realloc(page->at, room);
		if (!at)
			return false;
		page->at = at;
		page->room = room;
	}
	*place = page->size;
	memset(page->at + page->size, 0, rounded);
	page->size += rounded;
	return true;
}

/* When this process began, as /proc/PID/stat has it; 0 = it is not told. */
static uint64_t process_started(void)
{
	char text[1024], *at;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		(void)close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strrchr(
		text, ')'); /* behind the name, which may hold anything: the state is field 3 */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static void fill_header(struct filchi_page_header *to, uint32_t pools, uint64_t now)
{
	struct timespec real = { 0 };
	struct stat namespace;
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, to->program, sizeof to->program - 1);

	if (fd >= 0)
		(void)close(fd);
	to->program[n > 0 ? n - 1 : 0] = '\0'; /* without its newline */
	(void)clock_gettime(CLOCK_REALTIME, &real);
	memcpy(to->magic, FILCHI_PAGE_MAGIC, sizeof to->magic);
	to->version = FILCHI_PAGE_VERSION;
	to->header_size = sizeof *to;
	to->pool_size = sizeof(struct filchi_page_pool);
	to->worker_size = sizeof(struct filchi_page_worker);
	to->size = buffer.size;
	to->sum = filchi_page_sum((const char *)to + sizeof *to, buffer.size - sizeof *to);
	to->number = ++pages;
	to->pid = (uint64_t)getpid();
	to->started = process_started();
	to->pid_namespace = stat("/proc/self/ns/pid", &namespace) ? 0 : namespace.st_ino;
	to->uid = geteuid();
	to->realtime = (uint64_t)real.tv_sec * UINT64_C(1000000000) + (uint64_t)real.tv_nsec;
	to->now = now;
	to->pools = pools;
	to->publisher = (uint32_t)syscall(SYS_gettid);
	(void)snprintf(to->library, sizeof to->library, "%s", FILCH_VERSION_STRING);
}

/* --- the file --------------------------------------------------------- */

/* The user's directory of pages, made if it is not there: a descriptor, or -errno. */
static int open_directory(void)
{
	struct stat is;
	int fd, error = 0;

	if (mkdir(file.directory, 0700) && errno != EEXIST)
		return -errno;
	fd = open(file.directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &is))
		error = -errno;
	else if (is.st_uid != file.uid || is.st_mode & 077)
		error = -EPERM;
	if (!error)
		return fd;
	(void)close(fd);
	return error;
}

static int write_all(int fd, const char *at, size_t size)
{
	while (size) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

static void name_file(uint32_t copy)
{
	struct filchi_page_header *header = (void *)buffer.at;
	int n = snprintf(file.name, sizeof file.name, "%llu-%llu", (unsigned long long)header->pid,
		(unsigned long long)header->started);

	header->copy = file.copy = copy;
	if (copy)
		(void)snprintf(file.name + n, sizeof file.name - (size_t)n, "-%u", (unsigned)copy);
	(void)snprintf(file.next, sizeof file.next, "%s.new", file.name);
}

/* @is_new: under a name that no file has, or -EEXIST. */
static int put_file(int directory, bool is_new)
{
	int fd, error;

	if (!is_new)
		(void)unlinkat(directory, file.next, 0); /* another copy looked for a name */
	fd = openat(
		directory, file.next, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	error = write_all(fd, buffer.at, buffer.size);
	(void)close(fd);
	if (!error && (is_new ? linkat(directory, file.next, directory, file.name, 0)
			      : renameat(directory, file.next, directory, file.name)))
		error = -errno;
	if (error || is_new)
		(void)unlinkat(directory, file.next, 0);
	return error;
}

/* Whether nobody writes the page of that name any more: the program that did has called exec(). */
static bool is_left_behind(int directory)
{
	struct filchi_page_header header;
	char task[48];
	int fd = openat(directory, file.name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool whole = fd >= 0 && read(fd, &header, sizeof header) == (ssize_t)sizeof header;

	if (fd >= 0)
		(void)close(fd);
	if (!whole)
		return false;
	(void)snprintf(task, sizeof task, "/proc/self/task/%u", (unsigned)header.publisher);
	return access(task, F_OK) && errno == ENOENT;
}

/* Other copies of the library in the process have names of their own. */
static int put_first_file(int directory)
{
	int error = -EEXIST;

	for (uint32_t copy = 0; error == -EEXIST && copy < COPIES; copy++) {
		name_file(copy);
		error = put_file(directory, true);
		if (error == -EEXIST && is_left_behind(directory))
			error = put_file(directory, false);
	}
	return error;
}

static int try_to_write(void)
{
	int directory, error;

	directory = open_directory();
	if (directory < 0)
		return directory;
	if (file.is_there) {
		name_file(file.copy);
		error = put_file(directory, false);
	} else {
		error = put_first_file(directory);
	}
	(void)close(directory);
	return error;
}

/*
 * Puts what is in the buffer in the place of the page before: 0 or -errno. Once more where the
 * directory went with another process' page just then.
 */
static int write_file(void)
{
	int error;

	file.uid = geteuid();
	(void)snprintf(file.directory, sizeof file.directory, FILCHI_PAGE_ROOT "/filch-%u",
		(unsigned)file.uid);
	error = try_to_write();
	if (error == -ENOENT)
		error = try_to_write();
	file.is_there |= !error;
	return error;
}

/* By its name: no descriptor is needed. The directory goes with the last page in it. */
static void remove_file(void)
{
	char path[sizeof file.directory + sizeof file.name];

	if (!file.is_there)
		return;
	(void)snprintf(path, sizeof path, "%s/%s", file.directory, file.name);
	(void)unlink(path);
	(void)rmdir(file.directory);
	file.is_there = false;
}

/* --- the publisher ---------------------------------------------------- */

/* Under `lock`: looks at all live pools and writes a page; 0 or -errno. *@next: until another. */
static int publish(uint64_t *next)
{
	uint64_t now = filchi_now(), took;
	bool active = false, ok = true;
	uint32_t pools = 0;
	size_t header;

	*next = IDLE_NS;
	if (is_over)
		return 0;
	buffer.size = 0;
	ok = filchi_page_add(&buffer, sizeof(struct filchi_page_header), &header);
	for (struct filchi_live *live = first; ok && live; live = live->next) {
		ok = filchi_live_look(live, &buffer, now);
		active |= live->active;
		pools++;
	}
	if (!ok)
		return -ENOMEM;
	took = (filchi_now() - now) * PART;
	*next = active ? BUSY_NS : IDLE_NS;
	if (*next < took)
		*next = took;
	((struct filchi_page_header *)(void *)buffer.at)->interval = *next;
	fill_header((struct filchi_page_header *)(void *)buffer.at, pools, now);
	return write_file();
}

/*
 * Where the kernel can: descriptors of its own. The first three are taken, so that what is opened
 * later is none of them; but not by what the program has there, for it may close that. To
 * ThreadSanitizer a process has one table, and what two threads do with one number is a race.
 */
static void leave_descriptors(void)
{
#if defined(SYS_close_range) && !defined(FILCH_SANITIZED)
	if (filch_tsan_present())
		return;
	if (syscall(SYS_close_range, 0u, UINT32_MAX, 2u /* CLOSE_RANGE_UNSHARE */))
		return;
	for (int i = 0; i < 3; i++)
		(void)!open("/dev/null", O_RDWR | O_CLOEXEC);
#endif
}

static void *publisher_main(void *arg)
{
	uint32_t word;

	(void)arg;
	leave_descriptors();
	while (!((word = filchi_load_acquire(&wake_word)) & END)) {
		struct timespec until;
		uint64_t next;
		int error;

		pthread_mutex_lock(&lock);
		error = publish(&next); /* what is in the way now may be gone the next time */
		pthread_mutex_unlock(&lock);
		filch_store_relaxed(&served_error, (uint32_t)-error);
		filchi_store_release(&served, word);
		filchi_futex_wake(&served, 1);
		until = filch_after(next);
		(void)filchi_futex_wait(&wake_word, word, &until);
	}
	return NULL;
}

/* Under `life`, with a publisher: another page is due. */
static uint32_t wake_publisher(void)
{
	uint32_t word = filchi_fetch_add_acq_rel(&wake_word, ASKED) + ASKED;

	filchi_futex_wake(&wake_word, 1);
	return word;
}

/* The same, and waits for it: 0 or -errno. */
static int ask_for_page(void)
{
	uint32_t word = wake_publisher(), is;

	while ((is = filchi_load_acquire(&served)) != word)
		(void)filchi_futex_wait(&served, is, NULL);
	return -(int)filch_load_relaxed(&served_error);
}

/* Under `life`. 0 or -errno. */
static int start_publisher(const struct filch_pool *pool)
{
	/* a job may make a pool live: the thread is not to get its worker's one CPU */
	const struct filchi_plan *pinned;
	pthread_attr_t attr;
	sigset_t signals;
	int error;

	if (has_publisher)
		return 0;
	error = pthread_attr_init(&attr);
	if (error)
		return -error;
	filch_store_relaxed(&wake_word, 0);
	filch_store_relaxed(&served, 0);
	filchi_thread_signals(pool, FILCHI_THREAD_OWN, &signals);
	pinned = filchi_pin_lift();
	error = filchi_thread_create(&publisher, &attr, &signals, publisher_main, NULL);
	filchi_pin_restore(pinned);
	pthread_attr_destroy(&attr);
	has_publisher = !error;
	if (!error)
		(void)pthread_setname_np(publisher, "filch/live");
	return -error;
}

/* Under `life`, with no live pool left. */
static void stop_publisher(void)
{
	if (has_publisher) {
		(void)filchi_fetch_add_acq_rel(&wake_word, END);
		filchi_futex_wake(&wake_word, 1);
		pthread_join(publisher, NULL);
	}
	has_publisher = false;
	pthread_mutex_lock(&lock);
	remove_file();
	free(buffer.at);
	buffer = (struct filchi_page_buffer){ .at = NULL };
	pthread_mutex_unlock(&lock);
}

/* --- pools ------------------------------------------------------------ */

int filchi_live_prepare(struct filch_pool *pool)
{
	const size_t size = pool->workers * sizeof(struct filchi_live_words);
	struct filchi_live_words *words = filchi_load_acquire(&pool->live_words);

	if (!words) {
		words = filchi_map(size);
		if (!words)
			return -ENOMEM;
		filchi_store_release(&pool->live_words, words);
	}
	/* searches that were under way when it was live before */
	for (uint32_t i = 0; i < pool->workers; i++) {
		filchi_store_release(&words[i].search_since, 0);
		filchi_store_release(&filchi_worker_at(pool, i)->live, &words[i]);
	}
	(void)filchi_fetch_add_acq_rel(&pool->heeds, FILCHI_HEEDS_LIVE);
	for (uint32_t i = 0; i < pool->workers; i++)
		filchi_heed_from(filchi_worker_at(pool, i), FILCHI_HEED_NEXT);
	return 0;
}

static void link_pool(struct filch_pool *pool, struct filchi_live *live)
{
	pthread_mutex_lock(&lock);
	live->next = first;
	first = pool->live = live;
	pthread_mutex_unlock(&lock);
}

static void unlink_pool(struct filch_pool *pool)
{
	struct filchi_live *live = pool->live, **at = &first;

	(void)filchi_fetch_sub_acq_rel(&pool->heeds, FILCHI_HEEDS_LIVE);
	pthread_mutex_lock(&lock);
	while (*at != live)
		at = &(*at)->next;
	*at = live->next;
	pool->live = NULL;
	pthread_mutex_unlock(&lock);
	free(live);
	if (first)
		(void)wake_publisher();
	else
		stop_publisher();
}

/* Under `life`: the pool, which is prepared, is on the page when this returns 0. */
static int begin(struct filch_pool *pool)
{
	struct filchi_live *live = calloc(1, sizeof *live + pool->running * sizeof live->worker[0]);
	int error = live ? start_publisher(pool) : -ENOMEM;

	if (error) {
		free(live);
		(void)filchi_fetch_sub_acq_rel(&pool->heeds, FILCHI_HEEDS_LIVE);
		return error;
	}
	live->pool = pool;
	live->number = ++begun;
	link_pool(pool, live);
	error = ask_for_page();
	if (error)
		unlink_pool(pool);
	return error;
}

/* Under `life`. */
static int make_live(struct filch_pool *pool)
{
	int error;

	if (!pool->live) {
		error = filchi_live_prepare(pool);
		return error ? error : begin(pool);
	}
	pthread_mutex_lock(&lock);
	/* all of it of now, also what is else looked at more seldom */
	pool->live->lanes_next = pool->live->seats_next = 0;
	pthread_mutex_unlock(&lock);
	return ask_for_page();
}

static int set_live(struct filch_pool *pool, bool on)
{
	int error = 0;

	pthread_mutex_lock(&life);
	if (on)
		error = make_live(pool);
	else if (pool->live)
		unlink_pool(pool);
	pthread_mutex_unlock(&life);
	return error;
}

void filchi_live_begin(struct filch_pool *pool, FILE *notes)
{
	int error;

	if (!filchi_is_live(pool))
		return;
	pthread_mutex_lock(&life);
	error = begin(pool);
	if (error)
		fprintf(notes, "%s=1: no page could be written: %s\n",
			filchi_env_name(FILCHI_ENV_LIVE), filchi_error_text(-error));
	pthread_mutex_unlock(&life);
}

void filchi_live_end(struct filch_pool *pool)
{
	(void)set_live(pool, false);
}

int filch_pool_live(struct filch_pool *pool, int on)
{
	int before, error = filchi_given(&pool);

	if (error)
		return error;
	if (filchi_forked(pool))
		return -ECHILD;
	if (filchi_this_thread_forks())
		return -EDEADLK;
	/* a thread that is cancelled in here would leave the locks held */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	error = set_live(pool, on != 0);
	(void)pthread_setcancelstate(before, &before);
	return error;
}

/* --- the process ------------------------------------------------------ */

void filchi_live_before_fork(void)
{
	pthread_mutex_lock(&life);
	pthread_mutex_lock(&lock);
}

void filchi_live_after_fork(void)
{
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&life);
}

void filchi_live_in_child(void)
{
	first = NULL;
	has_publisher = false;
	file.is_there = false; /* it is the parent's */
	buffer = (struct filchi_page_buffer){ .at = NULL };
	pages = 0;
	filchi_live_after_fork();
}

/*
 * The program ends with live pools: its page goes. The publisher may hold the lock, for a moment;
 * or the very thread that ends may, in a handler.
 */
__attribute__((destructor(101))) static void leave(void)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	for (int i = 0; i < 100; i++) {
		if (!pthread_mutex_trylock(&lock)) {
			is_over = true;
			remove_file();
			pthread_mutex_unlock(&lock);
			return;
		}
		(void)nanosleep(&moment, NULL);
	}
}
