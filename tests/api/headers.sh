#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Each installed header compiles alone, twice included, as C11 to C23 and C++14 to C++23, with gcc and
# with clang, without a warning under -Wall -Wextra -Wshadow -Wconversion -pedantic; at assertion
# levels 0 and 1, because macros differ there. What the macros expand to is compiled likewise by
# tests/compile_fail/every_macro.c and .cpp.
#
# usage: headers.sh DIRECTORY_OF_THE_GENERATED_HEADER
set -euo pipefail

generated=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mapfile -t headers < <(cd "$root/include" && find filch -name '*.h' | sort; echo filch/version.h)

# check COMPILER HEADER: in every language and at both levels; "passed" for each that is silent
check() {
	local compiler=$1 header=$2 standard language level
	for standard in c11 gnu11 c17 c2x c++14 c++17 c++20 c++2b; do
		language=c
		[[ $standard != c++* ]] || language=c++
		for level in 0 1; do
			if printf '#include <%s>\n#include <%s>\nint filch_nothing_here;\n' "$header" "$header" |
				"$compiler" -x "$language" -std="$standard" -Wall -Wextra -Wshadow -Wconversion \
					-pedantic -Werror -DFILCH_DEBUG=$level \
					-I"$root/include" -I"$generated" -I"$generated/filch" -fsyntax-only - 2>&1; then
				echo passed
			else
				echo "failed: $header with $compiler -std=$standard -DFILCH_DEBUG=$level"
			fi
		done
	done
}

for compiler in gcc clang; do
	if ! command -v "$compiler" >/dev/null; then
		echo "$compiler is not installed: its half is left out"
		continue
	fi
	for header in "${headers[@]}"; do
		while (($(jobs -rp | wc -l) >= $(nproc))); do
			wait -n
		done
		check "$compiler" "$header" >"$scratch/$compiler.${header////.}" &
	done
done
wait
cat "$scratch"/* | grep -v '^passed$' || true
passed=$(cat "$scratch"/* | grep -c '^passed$' || true)
failed=$(cat "$scratch"/* | grep -c '^failed: ' || true)
echo "headers: $passed passed, $failed failed"
((failed == 0 && passed > 0))
