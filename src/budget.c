/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget: see budget.h for what is read and why.
 *
 * The way through: each line of mountinfo that mounts the v2 hierarchy or the v1 cpu controller is joined with our own path
 * in that hierarchy (own_path), giving a directory below the mount point; from there the walk goes up to the mount point and
 * keeps the smallest limit. A hierarchy may be mounted more than once; the minimum over all mounts is still the right answer,
 * because every directory visited is an ancestor of ours.
 *
 * A mount may show only a part of its hierarchy (a container without a cgroup namespace: root "/docker/id"). Our path is then
 * taken relative to that root. If it does not lie below the root, the mount point itself is read and nothing else: in a
 * container that is our own cgroup seen under another name, and it is the most that can be known.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif

#include "budget.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_ROOM = 4096 + 512 };

/* One hierarchy: how it is found, and where we are in it. */
struct hierarchy {
	bool v2;
	bool known;           /* path is valid */
	char path[PATH_ROOM]; /* from <proc>/self/cgroup: starts with a slash */
};

struct reading {
	const char *proc, *sys;
	struct filchi_budget *budget;
	FILE *notes;
	struct hierarchy v1, v2;
	char dir[PATH_ROOM];  /* scratch: the directory being visited */
	char file[PATH_ROOM]; /* scratch: a file in it */
};

/* Prints @text with control characters replaced, so that a note stays one line. */
static void print_clean(const char *text, FILE *out)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 127 ? '?' : *text, out);
}

/* Notes that @path could not be used because of @error (a positive errno). */
static void note(struct reading *r, const char *path, int error)
{
	const char *name = strerrorname_np(error);

	if (!r->notes)
		return;
	fputs("quota: cannot use ", r->notes);
	print_clean(path, r->notes);
	fprintf(r->notes, " (%s)\n", name ? name : "unknown error");
}

/* Writes @a/@b into @to. False when it does not fit. */
static bool join(char *to, size_t room, const char *a, const char *b)
{
	int n = snprintf(to, room, "%s/%s", a, b);

	return n >= 0 && (size_t)n < room;
}

/*
 * Reads a small file whole into @text (ended with 0, newlines at the end removed). Returns 0 or a positive errno.
 * stdio rather than read(2): it retries short reads, and a directory in place of the file reports EISDIR on both.
 */
static int slurp(const char *path, char *text, size_t room)
{
	FILE *f = fopen(path, "re");
	size_t n;
	int error = 0;

	if (!f)
		return errno;
	errno = 0;
	n = fread(text, 1, room - 1, f);
	if (ferror(f))
		error = errno ? errno : EIO;
	fclose(f);
	text[n] = '\0';
	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	return error;
}

/* Reads a decimal number that fits 63 bits and moves @text behind it. False when there is none. */
static bool number(const char **text, uint64_t *value)
{
	const char *s = *text;
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (v > (INT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*text = s;
	*value = v;
	return true;
}

/* Keeps the limit @quota per @period (microseconds) found at cgroup @path if it is the smallest so far. False if absurd. */
static bool limit(struct reading *r, bool v2, uint64_t quota, uint64_t period, const char *path)
{
	struct filchi_budget *b = r->budget;
	uint64_t milli;

	if (!quota || !period)
		return false;
	if (quota <= UINT64_MAX / 1000)
		milli = quota * 1000 / period;
	else
		milli = quota / period <= UINT64_MAX / 1000 ? quota / period * 1000 : UINT64_MAX;
	if (!milli)
		milli = 1;
	if (b->milli && b->milli <= milli)
		return true;
	b->milli = milli;
	snprintf(b->reason, sizeof(b->reason), "%s=%llu/%llu at %.200s%s", v2 ? "cpu.max" : "cpu.cfs_quota_us",
		(unsigned long long)quota, (unsigned long long)period, path, strlen(path) > 200 ? "..." : "");
	for (char *c = b->reason; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = '?';
	return true;
}

/*
 * Reads the limit of the directory r->dir, known to its reader as cgroup @path. A missing file is normal where the
 * directory exists; a missing directory is noted, because a limit may hide there.
 */
static void visit(struct reading *r, const struct hierarchy *h, const char *path)
{
	char text[128];
	const char *s = text;
	uint64_t quota, period;
	int error;

	if (!join(r->file, sizeof(r->file), r->dir, h->v2 ? "cpu.max" : "cpu.cfs_quota_us")) {
		note(r, path, ENAMETOOLONG);
		return;
	}
	error = slurp(r->file, text, sizeof(text));
	if (error) {
		if (error != ENOENT)
			note(r, r->file, error);
		else if (access(r->dir, F_OK))
			note(r, r->dir, errno);
		return;
	}
	if (h->v2) {
		if (!strncmp(s, "max", 3) && (s[3] == '\0' || s[3] == ' '))
			return;
		if (!number(&s, &quota) || *s++ != ' ' || !number(&s, &period) || *s || !limit(r, true, quota, period, path))
			note(r, r->file, EINVAL);
		return;
	}
	if (!strcmp(s, "-1"))
		return;
	if (!number(&s, &quota) || *s) {
		note(r, r->file, EINVAL);
		return;
	}
	if (!join(r->file, sizeof(r->file), r->dir, "cpu.cfs_period_us"))
		return; /* one character longer than the name that fitted; its directory was noted */
	error = slurp(r->file, text, sizeof(text));
	s = text;
	if (error)
		note(r, r->file, error);
	else if (!number(&s, &period) || *s || !limit(r, false, quota, period, path))
		note(r, r->file, EINVAL);
}

/* Whether @word is one of the comma-separated items of @list. */
static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *s = list; s; s = strchr(s, ',')) {
		if (*s == ',')
			s++;
		if (!strncmp(s, word, n) && (s[n] == ',' || s[n] == '\0'))
			return true;
	}
	return false;
}

/* A file below /proc; NULL, and noted, where it cannot be read. */
static FILE *open_proc(struct reading *r, const char *name)
{
	FILE *f;

	if (!join(r->file, sizeof(r->file), r->proc, name)) {
		note(r, r->proc, ENAMETOOLONG);
		return NULL;
	}
	f = fopen(r->file, "re");
	if (!f)
		note(r, r->file, errno);
	return f;
}

/* Finds our path in each hierarchy: lines "id:controllers:path", v2 being "0::path". */
static void own_paths(struct reading *r)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	FILE *f;

	f = open_proc(r, "self/cgroup");
	if (!f)
		return;
	while ((errno = 0, n = getline(&line, &room, f)) > 0) {
		char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
		struct hierarchy *h;

		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		if (!path || path[1] != '/')
			continue;
		*path++ = '\0';
		names++;
		h = *names == '\0' && !strncmp(line, "0:", 2) ? &r->v2 : listed(names, "cpu") ? &r->v1 : NULL;
		if (!h || h->known || strlen(path) >= sizeof(h->path))
			continue;
		memcpy(h->path, path, strlen(path) + 1);
		h->known = true;
	}
	if (ferror(f) || errno == ENOMEM)
		note(r, r->file, errno ? errno : EIO);
	free(line);
	fclose(f);
}

/* Undoes the octal escapes of mountinfo (\040 for a blank) in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Walks from our cgroup in @h up to the directory where the part @root of it is mounted, @point. */
static void walk(struct reading *r, const struct hierarchy *h, const char *root, const char *point)
{
	char path[PATH_ROOM]; /* our cgroup, cut shorter on the way up */
	size_t skip = strcmp(root, "/") ? strlen(root) : 0;
	bool outside = !strncmp(h->path, "/..", 3) && (h->path[3] == '/' || h->path[3] == '\0'); /* of our cgroup namespace */
	bool below = !outside && !strncmp(h->path, root, skip) && (h->path[skip] == '/' || h->path[skip] == '\0');
	int n;

	memcpy(path, below ? h->path : root, strlen(below ? h->path : root) + 1);
	if (!below)
		skip = strlen(path);
	if (strncmp(point, "/sys", 4) || (point[4] && point[4] != '/')) {
		if (strcmp(r->sys, "/sys"))
			return; /* a recorded machine whose mount point was not recorded */
		n = snprintf(r->dir, sizeof(r->dir), "%s", point);
	} else {
		n = snprintf(r->dir, sizeof(r->dir), "%s%s", r->sys, point + 4);
	}
	if (n < 0 || (size_t)n + strlen(path + skip) >= sizeof(r->dir)) {
		note(r, point, ENAMETOOLONG);
		return;
	}
	memcpy(r->dir + n, path + skip, strlen(path + skip) + 1);
	for (;;) {
		size_t at = strlen(path), end = strlen(r->dir);

		while (at > skip && path[at - 1] == '/') { /* "/" and a trailing slash name the level above */
			path[--at] = '\0';
			r->dir[--end] = '\0';
		}
		visit(r, h, at ? path : "/");
		if (at <= skip)
			return;
		while (at > skip && path[at - 1] != '/') {
			path[--at] = '\0';
			r->dir[--end] = '\0';
		}
	}
}

/*
 * One line of mountinfo, cut up in place:
 *   36 35 98:0 /root /mount/point rw,noatime master:1 - type source superoptions
 * Any number of optional fields may stand before the dash.
 */
static void mounted(struct reading *r, char *line)
{
	char *field[6], *save = NULL, *type, *super;
	char *dash = strstr(line, " - ");
	const struct hierarchy *h = NULL;

	if (!dash)
		return;
	*dash = '\0';
	for (int i = 0; i < 6; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return;
	}
	type = strtok_r(dash + 3, " ", &save);
	if (!type)
		return;
	super = strtok_r(NULL, " ", &save) ? strtok_r(NULL, " \n", &save) : NULL;
	if (!strncmp(type, "cgroup2", 7))
		h = &r->v2;
	else if (!strcmp(type, "cgroup") && super && listed(super, "cpu"))
		h = &r->v1;
	if (!h || !h->known)
		return;
	unescape(field[3]);
	unescape(field[4]);
	if (field[3][0] == '/' && strlen(field[3]) < PATH_ROOM)
		walk(r, h, field[3], field[4]);
}

/* Visits every mounted hierarchy that can hold a limit. */
static void all_mounts(struct reading *r)
{
	char *line = NULL;
	size_t room = 0;
	FILE *f;

	f = open_proc(r, "self/mountinfo");
	if (!f)
		return;
	while (errno = 0, getline(&line, &room, f) > 0)
		mounted(r, line);
	if (ferror(f) || errno == ENOMEM)
		note(r, "mountinfo", errno ? errno : EIO);
	free(line);
	fclose(f);
}

void filchi_budget_read(const struct filchi_roots *roots, struct filchi_budget *budget, FILE *notes)
{
	struct reading r; /* 20 KiB of stack: too much only for a thread that could not load hwloc either */

	*budget = (struct filchi_budget){ .reason = "no cgroup quota" };
	r.proc = roots && roots->proc ? roots->proc : "/proc";
	r.sys = roots && roots->sys ? roots->sys : "/sys";
	r.budget = budget;
	r.notes = notes;
	r.v1.v2 = r.v1.known = r.v2.known = false;
	r.v2.v2 = true;
	own_paths(&r);
	if (r.v1.known || r.v2.known)
		all_mounts(&r);
}
