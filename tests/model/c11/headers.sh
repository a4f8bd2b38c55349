#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What model checkers read: each of these headers compiles alone, with a C11 compiler and no extension, and includes nothing but
# the standard headers that checkers know.
#
# usage: headers.sh SOURCE_DIR C_COMPILER...
set -euo pipefail

root=$1
shift
known=' stdatomic.h pthread.h assert.h stdint.h stdbool.h stddef.h stdlib.h '
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
passed=0

for compiler in "$@"; do
	command -v "$compiler" >/dev/null || continue
	for header in deque crew scq idle heavy policy join notify deferred after graph_ready group_word share limit; do
		cat >"$work/alone.c" <<TEXT
#define FILCHI_PARK(word, expected, deadline) ((void)(word), (void)(expected), (void)(deadline), 0)
#define FILCHI_UNPARK(word) ((void)(word))
#define FILCHI_HEAVY_TURNS 1u
#define FILCHI_HEAVY_WAIT(turn) ((void)(turn))
#define FILCHI_NOTIFY_WRITE_FD(b) ((void)(b))
#define FILCHI_NOTIFY_CLEAR_FD(b) ((void)(b))
#include "struct/$header.h"
int main(void) { return 0; }
TEXT
		flags=(-std=c11 -Wall -Wextra -pedantic -Werror -DFILCH_ATOMICS_C11 -DFILCH_MODEL "-I$root/include" "-I$root/src")
		if ! "$compiler" "${flags[@]}" -c "$work/alone.c" -o "$work/alone.o"; then
			echo "headers.sh: $compiler: $header.h does not compile alone"
			failed=$((failed + 1))
			continue
		fi
		# -H lists one line for each file read, with a dot for each level: what our own files include is one level below them
		"$compiler" "${flags[@]}" -H -fsyntax-only "$work/alone.c" 2>&1 | awk -v ours="$root/" '
			$1 ~ /^\.+$/ {
				depth = length($1)
				own[depth] = index($2, ours) == 1
				if (!own[depth] && (depth == 1 || own[depth - 1])) {
					sub(/.*\//, "", $2)
					print $2
				}
			}' | sort -u >"$work/included"
		while read -r name; do
			[[ $known == *" $name "* ]] && continue
			echo "headers.sh: $compiler: $header.h reaches <$name>"
			failed=$((failed + 1))
		done <"$work/included"
		grep -q . "$work/included" || failed=$((failed + 1)) # -H said nothing: nothing was checked
		passed=$((passed + 1))
	done
done
echo "headers.sh: $passed compiled alone, $failed complaints"
((failed == 0 && passed > 0))
