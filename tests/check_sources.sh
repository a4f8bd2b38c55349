#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Rules of the sources that a compiler does not check:
#   - memory operations are named in two places only: src/base/atomic.h and include/filch/detail/
#   - no file of the library is longer than 700 lines
#   - every source opens with its licence, and every one of the library is in CMakeLists.txt
#   - no public name begins with an underscore, none contains two
#   - hwloc, futexes and CK are not seen in a public header
#   - src/README.md lists every file of src/ in its room
#   - a room uses only rooms listed before it, by include and, where compiled objects are given, by call;
#     but for filchi_default_get(), see docs/adr/0030-default-pool.md
#   - includes are written in one form: at the start of a line, by room in quotes, or in angle brackets
#   - a room's header names no function that a later room defines
#   - no two headers have one name in src/ and include/
#
# usage: check_sources.sh [root [objects]]      objects: the directory that holds ROOM/FILE.c.o
set -euo pipefail

root=${1:-$(cd "$(dirname "$0")/.." && pwd)}
objects=${2:+$(cd "$2" && pwd)}
root=$(cd "$root" && pwd)
cd "$root"
failed=0

complain() {
	echo "check_sources: $*"
	failed=$((failed + 1))
}

# what FILES... : one complaint per line of grep's output, read from stdin
complain_lines() {
	local line
	while read -r line; do
		complain "$1: $line"
	done
}

mapfile -t library < <(find src include -name '*.[ch]' | sort)
mapfile -t all < <(find src include tests bench docs -name '*.[ch]' -o -path 'tests/*.cpp' -o -path 'bench/*.cpp' | sort)
mapfile -t public < <(find include/filch -maxdepth 1 -name '*.h' | sort)
((${#library[@]} > 0)) || complain "no sources found"

# Comments may name an operation; code may not. Strips comments, keeps line numbers.
code_of() {
	awk '{
		line = $0; out = ""
		while (line != "") {
			if (inside) {
				i = index(line, "*/")
				if (!i) break
				line = substr(line, i + 2); inside = 0
			} else {
				i = index(line, "/*")
				if (!i) { out = out line; break }
				out = out substr(line, 1, i - 1); line = substr(line, i + 2); inside = 1
			}
		}
		print FILENAME ":" FNR ": " out
	}' "$1"
}

operations='__atomic_|__sync_|atomic_(load|store|exchange|compare|fetch|thread_fence|signal_fence|flag)|ck_pr_'
for file in "${library[@]}"; do
	case $file in
	src/base/atomic.h | include/filch/detail/*) ;;
	*) complain_lines "a memory operation outside the two files that name them" < <(code_of "$file" | grep -E "$operations" || true) ;;
	esac
	lines=$(wc -l <"$file")
	((lines <= 700)) || complain "$file: $lines lines, 700 are the limit"
	complain_lines "wider than 140 columns" < <(expand "$file" | awk -v f="$file" 'length($0) > 140 { print f ":" NR }')
done

for file in src/*/*.c; do
	[[ $file != src/tools/* ]] || continue
	grep -qw "$file" CMakeLists.txt || complain "$file: not among the sources in CMakeLists.txt"
done

for file in "${all[@]}"; do
	head -n 1 "$file" | grep -qE '^(/\*|//) SPDX-License-Identifier: Apache-2\.0' ||
		complain "$file: the first line is not its licence"
done

for file in "${public[@]}"; do
	complain_lines "a public header names what users must not see" < \
		<(code_of "$file" | grep -E 'hwloc|futex|(^|[^a-z_])ck_[a-z]' || true)
	complain_lines "a reserved or unprefixed macro" < \
		<(code_of "$file" | grep -E '#[ 	]*define' | grep -vE 'define[ 	]+(FILCH|filch)_' || true)
done

# The rooms of the map, in their order; a file of room r is listed in the section of r.
declare -A room_of number_of
rooms=0
while read -r room file; do
	if [[ -z $file ]]; then
		rooms=$((rooms + 1))
		number_of[$room]=$rooms
	else
		[[ -f src/$room/$file ]] || complain "src/README.md: src/$room/$file: no such file"
		room_of[$room/$file]=$room
	fi
done < <(awk '/^## / { room = $2 == "Room" ? $3 : ""; sub(/:$/, "", room); if (room) print room }
	room && /^\| `/ { split($0, cell, "|"); n = split(cell[2], name, "`"); for (i = 2; i <= n; i += 2) print room, name[i] }' \
	src/README.md)
((rooms > 1)) || complain "src/README.md: no rooms found"
while read -r file; do
	file=${file#src/}
	if [[ -z ${room_of[$file]-} ]]; then
		complain "src/$file: not in the map, src/README.md"
		continue
	fi
	while read -r included; do
		if [[ -z ${room_of[$included]-} ]]; then
			complain "src/$file: includes $included, which is not in the map"
		elif ((number_of[${included%%/*}] > number_of[${file%%/*}])); then
			complain "src/$file: includes $included, whose room comes later"
		fi
	done < <(sed -nE 's/^#include "([^"]+)".*/\1/p' "src/$file")
done < <(find src -name '*.[ch]' | sort)

# An include in another form would be one that nobody above has seen. Lines are judged as they stand,
# comments and strings too: whatever looks like a directive and is not plain is refused.
hash='(#|%:|\?\?=)'
name='[A-Za-z0-9_]+'
for file in "${library[@]}"; do
	plain="^#include <$name(/$name)*\.h>( +/\*.*\*/)?\$"
	if [[ $file == src/* ]]; then
		plain="$plain|^#include \"$name/$name\.h\"( +/\*.*\*/)?\$"
	else
		plain="$plain|^#include \"(detail/)?$name\.h\"\$"
	fi
	complain_lines "$file: an include in a form that is not checked" < \
		<(grep -nE "${hash}.*\<(include|include_next|import|embed)\>" "$file" | grep -vE "^[0-9]+:(${plain//^})" || true)
	complain_lines "$file: a directive that may be an include, in pieces" < \
		<(grep -nE "(^|\*/)[ 	]*${hash}.*(\\\\|\?\?/)\$|${hash}[ 	]*/\*" "$file" | grep -vE '^[0-9]+:[ 	]*#[ 	]*(define|if|elif)[ 	].*\\$' || true)
	complain_lines "$file: a room in angle brackets" < \
		<(sed -nE 's/^#include <([a-z]+)\/.*/\1/p' "$file" | while read -r room; do [[ -z ${number_of[$room]-} ]] || echo "$room"; done)
done
while read -r name; do
	complain "$name: a file of this name is in src/ and in include/"
done < <(find src include -name '*.h' -printf '%f\n' | sort | uniq -d)

# Calls: what an object of a room needs of ours is defined in its room or in one before it.
calls=0
ups=0
if [[ -n $objects ]]; then
	while read -r from name to; do
		calls=$((calls + 1))
		if [[ -z ${number_of[$from]-} || -z ${number_of[$to]-} ]]; then
			complain "$objects: an object of no room: $from, $to"
		elif [[ $name == filchi_default_get ]]; then
			ups=$((ups + 1))
		elif ((number_of[$to] > number_of[$from])); then
			complain "a call from room $from goes up: $name is in room $to"
		fi
	done < <(cd "$objects" && while read -r object; do
			# an older tree may have left objects of sources that are gone
			[[ ! -f $root/src/${object%.o} ]] || nm -A "$object"
		done < <(find . -name '*.o' -printf '%P\n') | awk '{
			path = $1; sub(/:.*/, "", path); sub(/^\.\//, "", path); room = path; sub(/\/.*/, "", room)
			name = $NF; kind = $(NF - 1)
			if (kind ~ /^[Uvw]$/) need[room " " name] = 1
			else if (kind ~ /^[TDBRVW]$/) defined[name] = room
		}
		END { for (pair in need) { split(pair, p, " "); if (p[2] in defined) print p[1], p[2], defined[p[2]] } }')

	# A declaration is a promise of its room: it stands in that room, or in a later one.
	declared=0
	while read -r file name to; do
		declared=$((declared + 1))
		from=${file#src/}
		((number_of[$to] <= number_of[${from%%/*}])) || [[ $name == filchi_default_get ]] ||
			complain "$file: names $name, which room $to defines"
	done < <(awk 'NR == FNR { room[$1] = $2; next }
		{
			line = $0; file = $1; sub(/:.*/, "", file)
			while (match(line, /filchi?_[a-z0-9_]+\(/)) {
				name = substr(line, RSTART, RLENGTH - 1); line = substr(line, RSTART + RLENGTH)
				if (name in room) print file, name, room[name]
			}
		}' <(cd "$objects" && find . -name '*.o' -printf '%P\n' | while read -r object; do
		[[ ! -f $root/src/${object%.o} ]] || nm "$object" | awk -v room="${object%%/*}" '$2 == "T" { print $3, room }'
	done) <(find src -name '*.h' | while read -r file; do code_of "$file"; done) | sort -u)
	((declared > 100)) || complain "$objects: $declared functions are declared: nothing was checked"
	((calls > 0)) || complain "$objects: no object calls another: nothing was checked"
	((ups == 1)) || complain "$objects: $ups objects want the default pool made, one is allowed to"
fi

if ((failed)); then
	echo "check_sources: $failed complaints"
	exit 1
fi
echo "check_sources: ${#all[@]} files, $calls calls between objects, nothing to complain about"
