/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget: see budget.h for what is read and why.
 *
 * The way through: each line of mountinfo that mounts the v2 hierarchy or the v1 cpu controller is
 * joined with our own path in that hierarchy (member). That gives a directory below the mount
 * point. From there the walk goes up to the mount point and keeps the smallest limit. A hierarchy
 * may be mounted more than once. The smallest limit over all mounts is still right, because every
 * directory that is visited is an ancestor of ours.
 *
 * A mount may show only a part of its hierarchy: root "/docker/id", in a container without a cgroup
 * namespace. Our path is then taken relative to that root. If it does not lie below the root, the
 * mount point itself is read and nothing else. In a container that is our own cgroup seen under
 * another name, and it is the most that can be known.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "place/budget.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/libc.h"
#include "base/number.h"

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
	char path[PATH_ROOM]; /* scratch: its cgroup */
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
	if (!r->notes)
		return;
	fputs("quota: cannot use ", r->notes);
	print_clean(path, r->notes);
	fprintf(r->notes, " (%s)\n", filchi_error_name(error));
}

/* Writes @a/@b into @to. False when it does not fit. */
static bool join(char *to, size_t room, const char *a, const char *b)
{
	int n = snprintf(to, room, "%s/%s", a, b);

	return n >= 0 && (size_t)n < room;
}

/*
 * Reads a small file whole into @text (ended with 0, newlines at the end removed). Returns 0 or a
 * positive errno. stdio rather than read(2): it retries short reads, and a directory in place of
 * the file reports EISDIR on both.
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

/*
 * Keeps the limit @quota per @period (microseconds) found at cgroup @path if it is the smallest so
 * far. False if absurd.
 */
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
	snprintf(b->reason, sizeof(b->reason), "%s=%llu/%llu at %.200s%s",
		v2 ? "cpu.max" : "cpu.cfs_quota_us", (unsigned long long)quota,
		(unsigned long long)period, path, strlen(path) > 200 ? "..." : "");
	for (char *c = b->reason; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = '?';
	return true;
}

/* A number that may be multiplied by ten: microseconds of three hundred thousand years. */
static bool number(const char **text, uint64_t *value)
{
	return filchi_number(text, INT64_MAX, value);
}

/*
 * Reads file @name of the directory r->dir; false where it cannot be read, which is noted. A
 * missing file is normal for @optional ones where the directory exists; a missing directory is
 * noted, because a limit may hide there.
 */
static bool read_file(struct reading *r, const char *name, bool optional, char *text, size_t room)
{
	int error;

	if (!join(r->file, sizeof(r->file), r->dir, name)) {
		note(r, r->dir, ENAMETOOLONG);
		return false;
	}
	error = slurp(r->file, text, room);
	if (error != ENOENT || !optional) {
		if (error)
			note(r, r->file, error);
	} else if (access(r->dir, F_OK)) {
		note(r, r->dir, errno);
	}
	return !error;
}

/* Version 2: "max" or "200000 100000". @path: the cgroup's name for its reader. */
static void read_v2(struct reading *r, const char *path)
{
	char text[128];
	const char *s = text;
	uint64_t quota, period;

	if (!read_file(r, "cpu.max", true, text, sizeof(text)))
		return;
	if (!strcmp(s, "max") || !strncmp(s, "max ", 4))
		return;
	if (!number(&s, &quota) || *s++ != ' ' || !number(&s, &period) || *s ||
		!limit(r, true, quota, period, path))
		note(r, r->file, EINVAL);
}

/* Version 1: "-1", or a number, and then another in the file beside it. */
static void read_v1(struct reading *r, const char *path)
{
	char text[128];
	const char *s = text;
	uint64_t quota, period;

	if (!read_file(r, "cpu.cfs_quota_us", true, text, sizeof(text)) || !strcmp(s, "-1"))
		return;
	if (!number(&s, &quota) || *s) {
		note(r, r->file, EINVAL);
		return;
	}
	if (!read_file(r, "cpu.cfs_period_us", false, text, sizeof(text)))
		return;
	s = text;
	if (!number(&s, &period) || *s || !limit(r, false, quota, period, path))
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

/* One line of our membership, cut up in place: "id:controllers:path", v2 being "0::path". */
static void member(struct reading *r, char *line)
{
	char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
	struct hierarchy *h = NULL;

	if (!path || path[1] != '/')
		return;
	*path++ = '\0';
	*names++ = '\0';
	if (!*names && !strcmp(line, "0"))
		h = &r->v2;
	else if (listed(names, "cpu"))
		h = &r->v1;
	if (!h || h->known || strlen(path) >= sizeof(h->path))
		return;
	memcpy(h->path, path, strlen(path) + 1);
	h->known = true;
}

/* Calls @line for every line of a file below /proc, without its newline. */
static void each_line(
	struct reading *r, const char *name, void (*line)(struct reading *r, char *text))
{
	FILE *f = open_proc(r, name);
	char *text = NULL;
	size_t room = 0;
	ssize_t n;

	if (!f)
		return;
	while (errno = 0, (n = getline(&text, &room, f)) > 0) {
		if (text[n - 1] == '\n')
			text[n - 1] = '\0';
		line(r, text);
	}
	if (ferror(f) || errno == ENOMEM)
		note(r, name, errno ? errno : EIO);
	free(text);
	fclose(f);
}

/* Undoes the octal escapes of mountinfo (\040 for a blank) in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
			s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Whether cgroup @path lies at or below @root, or the root is that of all, whose @skip is 0. */
static bool lies_below(const char *path, const char *root, size_t skip)
{
	/* "/..": it lies outside of our cgroup namespace */
	if (!strncmp(path, "/..", 3) && (path[3] == '/' || path[3] == '\0'))
		return false;
	return !strncmp(path, root, skip) && (path[skip] == '/' || path[skip] == '\0');
}

/* Sets r->dir to where mount point @point is looked up. Returns its length, 0 if it is not. */
static size_t place_of(struct reading *r, const char *point)
{
	bool below_sys = !strncmp(point, "/sys", 4) && (point[4] == '/' || point[4] == '\0');
	int n;

	if (below_sys)
		n = snprintf(r->dir, sizeof(r->dir), "%s%s", r->sys, point + 4);
	else if (!strcmp(r->sys, "/sys"))
		n = snprintf(r->dir, sizeof(r->dir), "%s", point);
	else
		return 0; /* a recorded machine whose mount point was not recorded */
	return n > 0 ? (size_t)n : 0;
}

/*
 * One step up: cuts the last name of @path, which is longer than @skip, and as much of r->dir. "/"
 * and a slash at the end name the level above. Returns how much of @path is left.
 */
static size_t cut(struct reading *r, char *path, size_t skip, bool name)
{
	size_t at = strlen(path), end = strlen(r->dir);

	while (at > skip && (path[at - 1] != '/') == name) {
		at--;
		end--;
	}
	path[at] = '\0';
	r->dir[end] = '\0';
	return at;
}

/*
 * Reads every level from our cgroup in @h up to the directory where the part @root of it is
 * mounted, @point. All levels are prefixes of the first, by directory as by the cgroup's name.
 */
static void walk(struct reading *r, const struct hierarchy *h, const char *root, const char *point)
{
	char *const path = r->path;
	size_t skip = strcmp(root, "/") ? strlen(root) : 0, n, at;
	bool below = lies_below(h->path, root, skip);

	snprintf(path, sizeof(r->path), "%s", below ? h->path : root);
	if (!below)
		skip = strlen(path); /* the mount point alone */
	n = place_of(r, point);
	if (!n)
		return;
	if (n + strlen(path + skip) >= sizeof(r->dir)) {
		note(r, point, ENAMETOOLONG);
		return;
	}
	strcpy(r->dir + n, path + skip);
	do {
		at = cut(r, path, skip, false);
		(h->v2 ? read_v2 : read_v1)(r, at ? path : "/");
		(void)cut(r, path, skip, true);
	} while (at > skip);
}

/* What a file system of @type with options @super shows; NULL: neither hierarchy. */
static const struct hierarchy *hierarchy_of(
	const struct reading *r, const char *type, const char *super)
{
	if (!strncmp(type, "cgroup2", 7))
		return &r->v2;
	return !strcmp(type, "cgroup") && super && listed(super, "cpu") ? &r->v1 : NULL;
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
	const struct hierarchy *h;

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
	super = strtok_r(NULL, " ", &save) ? strtok_r(NULL, " ", &save) : NULL;
	h = hierarchy_of(r, type, super);
	if (!h || !h->known)
		return;
	unescape(field[3]);
	unescape(field[4]);
	if (field[3][0] == '/' && strlen(field[3]) < PATH_ROOM)
		walk(r, h, field[3], field[4]);
}

int filchi_budget_read(const struct filchi_roots *roots, struct filchi_budget *budget, FILE *notes)
{
	/* not on the stack, of which the caller may have little */
	struct reading *r = malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	*budget = (struct filchi_budget){ .reason = "no cgroup quota" };
	r->proc = roots && roots->proc ? roots->proc : "/proc";
	r->sys = roots && roots->sys ? roots->sys : "/sys";
	r->budget = budget;
	r->notes = notes;
	r->v1.v2 = r->v1.known = r->v2.known = false;
	r->v2.v2 = true;
	each_line(r, "self/cgroup", member);
	if (r->v1.known || r->v2.known)
		each_line(r, "self/mountinfo", mounted);
	free(r);
	return 0;
}
