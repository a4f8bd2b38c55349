#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A sanitizer that comes with the flags, as distributions and fuzzers pass it, and not by
# FILCH_SANITIZE: the shared library links, and a program with the sanitizer runs on it.
#
# usage: sanitized.sh ROOT WORK_DIRECTORY CC GENERATOR
set -euo pipefail

root=$1
work=$2
cc=$3
generator=$4

fail() {
	tail -n 30 "$work/log"
	echo "sanitized: $*"
	echo "sanitized: 0 passed, 1 failed"
	exit 1
}
rm -rf "$work"
mkdir -p "$work"
export CFLAGS=-fsanitize=address
cmake -G "$generator" -S "$root" -B "$work/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=Debug >"$work/log" 2>&1 ||
	fail "it does not configure"
cmake --build "$work/build" --parallel --target filch >>"$work/log" 2>&1 || fail "the shared library does not link"
"$cc" -fsanitize=address -I"$root/include" -I"$work/build/include" "$root/tests/package/consumer/program.c" -o "$work/program" \
	-L"$work/build" -lfilch -Wl,-rpath,"$work/build" >>"$work/log" 2>&1 || fail "a program does not link"
said=$("$work/program" 2>&1) || fail "status $?: $said"
[[ $said == *works* ]] || fail "$said"
echo "sanitized: 2 passed, 0 failed"
