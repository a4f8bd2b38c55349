#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# instructions.sh PROGRAM LIMIT [WHAT]: the instructions that one call of fib takes, or WHAT else PROGRAM repeats, counted by
# callgrind, are at most LIMIT. Two sizes are counted and the difference divided by the difference in calls, so that nothing but the
# calls is in it. PROGRAM prints, for argument n, how many calls it makes: of fib(n), or of what it repeats.
set -euo pipefail

count() {
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" "$2" 2>&1 >/dev/null |
		awk '/Collected :/ { print $4; found = 1 } END { exit !found }'
}

program=$1
limit=$2
what=${3:-call of fib}
small=$(count "$program" 16)
large=$(count "$program" 22)
calls=$(($("$program" 22) - $("$program" 16)))
awk -v i="$((large - small))" -v c="$calls" -v limit="$limit" -v what="$what" 'BEGIN {
	per = i / c
	printf "%.2f instructions per %s, at most %s\n", per, what, limit
	print (per > 5 && per <= limit ? "1 passed, 0 failed" : "0 passed, 1 failed")
	exit !(per > 5 && per <= limit)
}'
