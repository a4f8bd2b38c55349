#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Rules of the sources that a compiler does not check:
#   - memory operations are named in two places only: src/atomic.h and include/filch/detail/
#   - no file of the library is longer than 700 lines, and none wider than 140 columns (130 is the aim, comments may overshoot)
#   - every source opens with its licence, and every one of the library is in CMakeLists.txt
#   - no public name begins with an underscore, none contains two
#   - hwloc, futexes and CK are not seen in a public header
#   - src/README.md lists every file of src/, and a file includes only files of its own row or of rows above it
#
# usage: check_sources.sh [root]
set -euo pipefail

root=${1:-$(cd "$(dirname "$0")/.." && pwd)}
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
	src/atomic.h | include/filch/detail/*) ;;
	*) complain_lines "a memory operation outside the two files that name them" < <(code_of "$file" | grep -E "$operations" || true) ;;
	esac
	lines=$(wc -l <"$file")
	((lines <= 700)) || complain "$file: $lines lines, 700 are the limit"
	complain_lines "wider than 140 columns" < <(expand "$file" | awk -v f="$file" 'length($0) > 140 { print f ":" NR }')
done

for file in src/*.c; do
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

# The rows of the map below layer 0, which is include/filch/detail/.
declare -A row_of
row=0
while IFS= read -r line; do
	row=$((row + 1))
	for file in $(grep -oE '`[^`]+`' <<<"$line" | tr -d '`'); do
		[[ -f src/$file ]] || complain "src/README.md: src/$file: no such file"
		row_of[$file]=$row
	done
done < <(awk -F '|' '/^## / { on = /^## Layer [1-9]/ } on && /^\| `/ { print $2 }' src/README.md)
((row > 0)) || complain "src/README.md: no layers found"
for file in src/*.[ch] src/tools/*.[ch]; do
	[[ -e $file ]] || continue
	if [[ -z ${row_of[${file#src/}]-} ]]; then
		complain "$file: not in the map, src/README.md"
		continue
	fi
	for included in $(sed -nE 's/^[ 	]*#[ 	]*include[ 	]+"([^"]+)".*/\1/p' "$file"); do
		if [[ -z ${row_of[$included]-} ]]; then
			complain "$file: includes $included, which is not in the map"
		elif ((row_of[$included] > row_of[${file#src/}])); then
			complain "$file: includes $included, which lies above it"
		fi
	done
done

if ((failed)); then
	echo "check_sources: $failed complaints"
	exit 1
fi
echo "check_sources: ${#all[@]} files, nothing to complain about"
