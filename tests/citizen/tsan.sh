#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A program compiled with -fsanitize=thread, on the ordinary shared library: a right one gets no report, and each race of a wrong one
# gets its report. With each compiler that has a ThreadSanitizer.
#
# usage: tsan.sh BUILD_DIRECTORY ROOT WORK_DIRECTORY CC...
set -euo pipefail

build=$1
root=$2
work=$3
shift 3
here=$root/tests/citizen/tsan
passed=0
failed=0

mkdir -p "$work"
# the sanitizer's memory map may collide with the kernel's address randomisation
alone=(setarch -R)
"${alone[@]}" true 2>/dev/null || alone=()
# The names of a file's parts, from its table.
parts() {
	grep -oE '\{ "[a-z_]+",' "$1" | grep -oE '[a-z_]+'
}
# clang's runtime looks for a symbolizer of LLVM's own, which comes with neither clang nor its runtime. The other names functions alone,
# so what a report is about is told by its address.
options=exitcode=66
command -v llvm-symbolizer >/dev/null || options+=:allow_addr2line=1:external_symbolizer_path=$(command -v addr2line)
run() {
	TSAN_OPTIONS=$options LD_LIBRARY_PATH=$build timeout 120 "${alone[@]}" "$@" >"$work/out" 2>&1
}
fail() {
	failed=$((failed + 1))
	echo "tsan: $*"
	head -n 40 "$work/out"
}

for cc in "$@"; do
	name=$(basename "$cc")
	if ! echo 'int main(void) { return 0; }' | "$cc" -fsanitize=thread -x c - -o "$work/probe" 2>/dev/null || ! run "$work/probe"; then
		echo "tsan: $cc has no ThreadSanitizer that works here"
		continue
	fi
	for program in right wrong; do
		"$cc" -g -O1 -std=gnu11 -fsanitize=thread -I"$root/include" -I"$build/include" "$here/$program.c" -o "$work/$program.$name" \
			-L"$build" -lfilch
	done
	for part in $(parts "$here/right.c"); do
		status=0
		run "$work/right.$name" "$part" 40 || status=$?
		if ((status)); then
			fail "$name: $part, which is right, ends with $status"
		else
			passed=$((passed + 1))
		fi
	done
	raced=$(nm "$work/wrong.$name" | awk '$3 == "raced" { sub(/^0*/, "", $1); print $1 }')
	for part in $(parts "$here/wrong.c"); do
		status=0
		run "$work/wrong.$name" "$part" || status=$?
		# exactly that race: every report is of that variable
		reports=$(grep -c 'WARNING: ThreadSanitizer: data race' "$work/out" || true)
		named=$(grep -cE "Location is global .*\(wrong\.$name\+0x$raced\)" "$work/out" || true)
		if ((status == 66 && reports > 0 && reports == named)); then
			passed=$((passed + 1))
		else
			fail "$name: $part: status $status, $reports reports, $named of the race that is there"
		fi
	done
done
((passed + failed)) || exit 77
echo "tsan: $passed passed, $failed failed"
((failed == 0))
