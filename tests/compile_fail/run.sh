#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Mistakes that speak: each program here has one. It must be refused, or warned of under -Wall, and
# the first error or warning must hold the word that helps. A *.c is compiled as C by gcc and clang
# and as C++ by g++ and clang++, a *.cpp by the latter two. The opening comment of a program says
# what is expected, as extended regular expressions:
#
#	first: REGEX    the line of the first error or warning matches
#	expect: REGEX   that line does, or what belongs to it: notes, quoted source, up to the next
#	run: REGEX      no compiler sees it: it compiles in silence, and FILCH_DEBUG=1 ends it with
#	                a line that matches
#	silent: runs    no mistake: it compiles in silence under many warnings, as C11 to C23 and
#	                C++14 to C++23, with and without FILCH_DEBUG, and returns 0
#
# The words must be there also where the headers are system headers, as those of an imported target
# of CMake and those in /usr/include are. gcc then drops a warning, but not an error, unless it is at
# a token of the program's own. Of filch's words that are warnings, one cannot be had there: compilers
# without the attribute unavailable, gcc before 12, say nothing of a spawn outside of a task body.
#
# Each mistake is mended with -DMENDED and then compiles in silence, with and without FILCH_DEBUG:
# so it is the mistake that is refused. A program that is run returns 0 when mended.
#
# What no compiler sees, and FILCH_DEBUG=1 finds: syncs out of order, a second sync of a handle, a
# path without a sync, frames of arrays that lack their spawn or their sync. What is left:
#
#	- A release build finds none of these. A second sync may wait for ever there; a look would
#	  cost every sync.
#	- Syncs out of order are not found where thieves have all the tasks: there the order is of no
#	  consequence.
#	- A frame of an array without a sync is found when its body was spawned or run, not called.
#	- A task called like a function, fib(1), is refused in the compiler's own words: see
#	  call_forgotten.c.
#	- A struct filch_submit without "struct" is refused by g++ without that word: see
#	  submit_without_struct.cpp.
#
# usage: run.sh DIRECTORY_OF_THE_GENERATED_HEADER LIBRARY [NAME...]
set -euo pipefail

generated=$1
library=$(realpath "$2")
shift 2
root=$(cd "$(dirname "$0")/../.." && pwd)
cases=$root/tests/compile_fail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C
ulimit -c 0

include=(-I"$root/include" -I"$generated" -I"$generated/filch" -I"$cases")
system=(-isystem "$root/include" -isystem "$generated" -isystem "$generated/filch" -I"$cases")
strict=(-Wall -Wextra -Wshadow -Wconversion -pedantic)
passed=0
failed=0

declare -A language=([gcc]=c [clang]=c [g++]=c++ [clang++]=c++)
declare -A standards=([c]="c11 c17 c2x gnu11" [c++]="c++14 c++17 c++20 c++2b")
declare -A usual=([c]=c11 [c++]=c++17)
compilers=()
for compiler in gcc clang g++ clang++; do
	if command -v "$compiler" >/dev/null; then
		compilers+=("$compiler")
	else
		echo "compile_fail: $compiler is not installed: its part is left out"
	fi
done

# key FILE KEY: the regular expressions that FILE states under KEY, one a line
key() { sed -n "/^ \*\/$/q; s/^ \* $2: //p" "$1"; }

# first_diagnostic: of a compiler's output the first error or warning with what belongs to it
first_diagnostic() { awk '/(^|: )(fatal error|error|warning): / && n++ { exit } n'; }

# compile COMPILER STANDARD FILE OPTION...: what the compiler says; its status
compile() {
	local compiler=$1 standard=$2 file=$3
	shift 3
	"$compiler" -x "${language[$compiler]}" -std="$standard" "$@" "$file" 2>&1
}

# build COMPILER STANDARD FILE LEVEL OPTION...: a program at $program, compiled in silence
build() {
	local compiler=$1 standard=$2 file=$3 level=$4 said
	shift 4
	if ! said=$("$compiler" -x "${language[$compiler]}" -std="$standard" "${strict[@]}" \
		-DFILCH_DEBUG="$level" "$@" "${include[@]}" -g0 -o "$program" "$file" -x none "$library" \
		-Wl,-rpath,"$(dirname "$library")" -pthread 2>&1) || [[ -n $said ]]; then
		complain "$compiler -std=$standard -DFILCH_DEBUG=$level $* is not silent" "$said"
		return 1
	fi
}

complaint=
complain() { complaint+="	$1"$'\n'$(head -n 12 <<<"$2" | sed 's/^/		/')$'\n'; }

# check_words COMPILER FILE STANDARD INCLUDE...: what it says first has the words
check_words() {
	local compiler=$1 file=$2 standard=$3 form=${4:0:8} said first pattern
	shift 3
	said=$(compile "$compiler" "$standard" "$file" "$@" -Wall -fsyntax-only || true)
	first=$(first_diagnostic <<<"$said")
	while read -r pattern; do
		head -n 1 <<<"$first" | grep -qE -e "$pattern" ||
			complain "$compiler $form does not begin with: $pattern" "${said:-(nothing)}"
	done < <(key "$file" first)
	while read -r pattern; do
		grep -qE -e "$pattern" <<<"$first" ||
			complain "$compiler $form does not say first: $pattern" "${said:-(nothing)}"
	done < <(key "$file" expect)
}

# A mistake that compilers see.
check_refused() {
	local compiler=$1 file=$2 standard=${usual[${language[$1]}]} said level
	check_words "$compiler" "$file" "$standard" "${include[@]}"
	check_words "$compiler" "$file" "$standard" "${system[@]}"
	for level in 0 1; do
		if ! said=$(compile "$compiler" "$standard" "$file" "${strict[@]}" "${include[@]}" \
			-fsyntax-only -DFILCH_DEBUG=$level -DMENDED) || [[ -n $said ]]; then
			complain "$compiler -DMENDED -DFILCH_DEBUG=$level is not silent" "$said"
		fi
	done
}

# A mistake that FILCH_DEBUG=1 sees.
check_stopped() {
	local compiler=$1 file=$2 standard=${usual[${language[$1]}]} said status=0 pattern
	build "$compiler" "$standard" "$file" 1 -O1 || return 0
	said=$(timeout 20 "$program" 2>&1) || status=$?
	((status == 134)) || complain "$compiler: not ended by SIGABRT, but with status $status" "$said"
	while read -r pattern; do
		grep -qE -e "^filch: $pattern" <<<"$said" || complain "$compiler: does not say: $pattern" "$said"
	done < <(key "$file" run)
	check_runs "$compiler" "$file" "$standard" -DMENDED
}

# check_runs COMPILER FILE STANDARD OPTION...: it compiles in silence and returns 0
check_runs() {
	local compiler=$1 file=$2 standard=$3 level said
	shift 3
	for level in 0 1; do
		build "$compiler" "$standard" "$file" $level -O1 "$@" || continue
		said=$(timeout 20 "$program" 2>&1) || complain "$compiler $*: returns $?" "$said"
	done
}

# check FILE: by every compiler of its language; "passed" for each that is content, else complaints
check() {
	local file=$1 compiler standard
	for compiler in "${compilers[@]}"; do
		[[ $file == *.c || ${language[$compiler]} == c++ ]] || continue
		complaint=
		if [[ -n $(key "$file" silent) ]]; then
			for standard in ${standards[${language[$compiler]}]}; do
				check_runs "$compiler" "$file" "$standard"
			done
		elif [[ -n $(key "$file" run) ]]; then
			check_stopped "$compiler" "$file"
		elif [[ -n $(key "$file" first) ]]; then
			check_refused "$compiler" "$file"
		else
			complain "it does not say what is expected" ""
		fi
		if [[ -z $complaint ]]; then
			echo "passed"
		else
			printf 'failed: %s\n%s' "$(basename "$file")" "$complaint"
		fi
	done
}

# As many files at once as there are processors: compilers are all that runs long.
files=()
for file in "$cases"/*.c "$cases"/*.cpp; do
	name=$(basename "$file")
	(($# == 0)) || [[ " $* " == *" $name "* ]] || continue
	while (($(jobs -rp | wc -l) >= $(nproc))); do
		wait -n
	done
	files+=("$name")
	program=$scratch/$name.program
	check "$file" >"$scratch/$name.said" &
done
wait
for name in "${files[@]}"; do
	grep -v '^passed$' "$scratch/$name.said" || true
	passed=$((passed + $(grep -c '^passed$' "$scratch/$name.said" || true)))
	failed=$((failed + $(grep -c '^failed: ' "$scratch/$name.said" || true)))
done
echo "compile_fail: ${#files[@]} programs; $passed passed, $failed failed"
((failed == 0 && passed > 0))
