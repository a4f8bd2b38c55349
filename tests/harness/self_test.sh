#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The harness tests itself: builds cases/ once per sanitizer, with the flags and the ctest properties of the real tests, and fails
# if a case that must fail passes, if one that must pass fails, or if the totals that tests/run prints do not say so.
#
# usage: self_test.sh WORK_DIRECTORY GENERATOR
set -euo pipefail

work=$1
generator=$2
here=$(cd "$(dirname "$0")" && pwd)
totals=$here/../lib/totals.awk
wrong=0
right=0

complain() {
	echo "self_test: $*"
	wrong=$((wrong + 1))
}

# run NAME COMPILER SANITIZER GOOD BAD SKIPPED: builds and runs the cases, which must be that many, and compares each one's fate
# with what its name says. FILCH_TEST_SCALE and the like do not reach them.
run() {
	local name=$1 build=$work/$1 entry fate good=0 bad=0 skipped=0 passed failed left_out
	rm -rf "$build"
	mkdir -p "$build"
	if ! cmake -G "$generator" -S "$here/cases" -B "$build" -DCMAKE_C_COMPILER="$2" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DFILCH_SANITIZE="$3" -DFILCH_WERROR=ON >"$build/build.log" 2>&1 ||
		! cmake --build "$build" --parallel 2 >>"$build/build.log" 2>&1; then
		cat "$build/build.log"
		complain "$name does not build"
		return
	fi
	(cd "$build" && ctest --no-tests=error >ctest.log 2>&1) || true
	while read -r entry fate; do
		case $entry:$fate in
		good.*:passed) good=$((good + 1)) ;;
		bad.*:failed) bad=$((bad + 1)) ;;
		skip.*:skipped) skipped=$((skipped + 1)) ;;
		*) complain "$name: $entry has $fate" ;;
		esac
	done < <(awk -v list=1 -f "$totals" "$build/ctest.log" "$build/Testing/Temporary/LastTest.log")
	if ((good != $4 || bad != $5 || skipped != $6)); then
		cat "$build/ctest.log"
		complain "$name: $good good, $bad bad and $skipped skipped entries came out right, not $4, $5 and $6"
	fi
	read -r passed failed left_out < <(awk -f "$totals" "$build/ctest.log" "$build/Testing/Temporary/LastTest.log")
	if ((failed != $5 || passed < $4 || left_out != $6)); then
		complain "$name: the totals say $passed passed, $failed failed, $left_out skipped"
	fi
	right=$((right + good + bad + skipped))
}

mkdir -p "$work"
run plain gcc "" 2 7 1
run asan gcc address,undefined 2 8 1
run tsan gcc thread 1 4 1
if command -v clang >/dev/null; then
	run tsan-clang clang thread 1 4 1
else
	echo "clang is not installed: its ThreadSanitizer is left out"
fi

echo "self_test: $right passed, $wrong failed"
((wrong == 0))
