#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The manual and the site: every exported function, every macro that an example or a page uses, every
# option of each tool and every variable of the environment has its place; mandoc(1) and man(1) find
# nothing to complain about; each link leads somewhere. A new header is picked up, and a link that
# leads nowhere is found.
#
# usage: reference.sh ROOT BUILD_DIRECTORY WORK_DIRECTORY TOOL...
set -euo pipefail

root=$1
build=$2
work=$3
tools=("${@:4}")

# shellcheck source=tests/lib/verdict.sh
. "$root/tests/lib/verdict.sh" reference
for tool in python3 mandoc cmark-gfm; do
	command -v $tool >/dev/null || { echo "SKIP: no $tool (apt-get install $tool)"; exit 77; }
done

rm -rf "$work"
mkdir -p "$work"
header=$build/include/filch/version.h
pages=$work/man
export PYTHONDONTWRITEBYTECODE=1 SOURCE_DATE_EPOCH=1700000000
python3 "$root/docs/reference/man.py" "$root" "$header" "$pages" 1.2.3 2>"$work/log" || { cat "$work/log"; fail "no manual"; }

# What is exported, but for the names that the inlined path calls.
mapfile -t functions < <(awk '/ABI, not API/ { exit } /^\t[a-z_0-9]+;/ { sub(/;/, ""); print $1 }' "$root/src/filch.map")
((${#functions[@]} > 50)) || fail "src/filch.map has ${#functions[@]} functions"
# Macros of the public headers that programs use.
mapfile -t defined < <(cat "$root"/include/filch/*.h "$header" | grep -oE '^#define FILCH_[A-Z_]+' | cut -d ' ' -f 2 | sort -u)
mapfile -t macros < <(comm -12 <(printf '%s\n' "${defined[@]}") \
	<(cat "$root"/README.md "$root"/docs/*.md "$root"/docs/examples/*.c* | grep -oE '\bFILCH_[A-Z_]+\b' | sort -u))
((${#macros[@]} > 40)) || fail "the pages and examples use ${#macros[@]} macros"
for name in "${functions[@]}" "${macros[@]}"; do
	[[ -s $pages/$name.3 ]] || fail "$name has no page"
	grep -q -- "$name" "$pages/$name.3" || fail "the page of $name does not name it"
	passed=$((passed + 1))
done
while read -r page; do
	name=$(sed -nE 's/^\.Nd (.*)/\1/p' "$page")
	[[ ${#name} -gt 5 && $name != *: ]] || fail "${page##*/}: '$name' says nothing"
done < <(find "$pages" -type f)
for tool in "${tools[@]}"; do
	[[ -s $pages/${tool##*/}.1 ]] || fail "${tool##*/} has no page"
	page=$(mandoc -T ascii "$pages/${tool##*/}.1" | col -b)
	for option in $("$tool" --help | sed -nE 's/^  (-[^ ].*)/\1/p' | sed -E 's/ {2,}.*//' | grep -oE -e '--[a-z-]+'); do
		grep -qE -e "^ +([^ ]+ )?$option\b|, $option\b" <<<"$page" || fail "${tool##*/}: $option is not on its page"
		passed=$((passed + 1))
	done
done
while read -r name; do
	grep -qE "^\.It .*\bEv $name( |$)" "$pages/filch.7" || fail "filch(7) does not tell of $name"
	passed=$((passed + 1))
done < <(grep -oE '= "FILCH_[A-Z_]+"' "$root/src/base/environment.c" | grep -oE 'FILCH_[A-Z_]+')

# Every page is written as mandoc and groff want it. Which system it is of it says itself, and whether
# pages of others are installed here is not our matter.
said=$(find "$pages" -type f -exec mandoc -T lint -W style {} + 2>/dev/null |
	grep -vE 'operating system explicitly specified|referenced manual not found' || true)
[[ -z $said ]] || fail "mandoc: $said"
passed=$((passed + 1))
if command -v man >/dev/null && man --version 2>/dev/null | grep -q '^man 2'; then
	while read -r page; do
		said=$(MANROFFOPT='' LC_ALL=C.UTF-8 MANWIDTH=80 man -l --warnings "$page" 2>&1 >/dev/null) || true
		[[ -z $said ]] || fail "man ${page##*/}: $said"
		passed=$((passed + 1))
	done < <(find "$pages" -type f)
else
	echo "man-db is not there: its half is left out"
fi

site() { python3 "$root/docs/reference/site.py" "$1" "$pages" "$work/html" 1.2.3 2>&1; }
said=$(site "$root") || fail "$(tail -n 5 <<<"$said")"
for page in index.html docs/operating.html man/index.html man/filch_submit.3.html docs/examples/index.html; do
	[[ -s $work/html/$page ]] || fail "$page is not in the site"
	passed=$((passed + 1))
done
outside=$(grep -rlE '(src|href)="https?:[^"]*\.(js|css|woff2?)"|<script' "$work/html" | head -n 1 || true)
[[ -z $outside ]] || fail "$outside wants a script or something of the network"
passed=$((passed + 1))

# What is there to be found is found.
mkdir "$work/tree"
cp -r "$root"/{README.md,CHANGELOG.md,CONTRIBUTING.md,SECURITY.md,LICENSE,include,src,docs,tests,bench} "$work/tree"
cat >"$work/tree/include/filch/extra.h" <<'TEXT'
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extras: what was added later.
 */
#ifndef FILCH_EXTRA_H
#define FILCH_EXTRA_H

/*
 * Doubles @x.
 *
 * Callers:  any thread.
 * Returns:  2 @x. Errors:
 *           -EINVAL  too large.
 */
FILCH_API int filch_extra(int x) FILCH_MUST_CHECK;

#endif
TEXT
python3 "$root/docs/reference/man.py" "$work/tree" "$header" "$pages" 1.2.3
grep -qx '.Nd doubles x' "$pages/filch_extra.3" || fail "a new header has no page: $(cat "$pages/filch_extra.3")"
grep -q 'filch_extra.h 3' "$pages/filch.7" || fail "filch(7) does not know of a new header"
passed=$((passed + 2))
refused() {
	printf '\n%s\n' "$1" >>"$work/tree/docs/hpc.md"
	if said=$(site "$work/tree"); then
		fail "$1 is not found: $said"
	fi
	[[ $said == *docs/hpc.html*"$2"* ]] || fail "$1: $said"
	cp "$root/docs/hpc.md" "$work/tree/docs/hpc.md"
	passed=$((passed + 1))
}
refused '[x](nothing.md)' 'leads nowhere'
refused '[x](jobs.md#no-such-heading)' 'no such place'
passed_all
