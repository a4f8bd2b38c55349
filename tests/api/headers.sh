#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Each installed header compiles alone, twice included, as C11, gnu11 and C++17, with gcc and with clang, without a warning under
# -Wall -Wextra -Wshadow -pedantic; at assertion levels 0 and 1, because macros differ there.
#
# usage: headers.sh DIRECTORY_OF_THE_GENERATED_HEADER
set -euo pipefail

generated=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
passed=0
failed=0

mapfile -t headers < <(cd "$root/include" && find filch -name '*.h' | sort; echo filch/version.h)
for compiler in gcc clang; do
	if ! command -v "$compiler" >/dev/null; then
		echo "$compiler is not installed: its half is left out"
		continue
	fi
	for header in "${headers[@]}"; do
		for standard in c11 gnu11 c++17; do
			language=c
			[[ $standard != c++17 ]] || language=c++
			for level in 0 1; do
				if printf '#include <%s>\n#include <%s>\nint filch_nothing_here;\n' "$header" "$header" |
					"$compiler" -x "$language" -std="$standard" -Wall -Wextra -Wshadow -pedantic -Werror -DFILCH_DEBUG=$level \
						-I"$root/include" -I"$generated" -I"$generated/filch" -fsyntax-only -; then
					passed=$((passed + 1))
				else
					echo "headers: $header does not compile with $compiler -std=$standard -DFILCH_DEBUG=$level"
					failed=$((failed + 1))
				fi
			done
		done
	done
done
echo "headers: $passed passed, $failed failed"
((failed == 0 && passed > 0))
