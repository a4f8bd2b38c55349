#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# children.sh ARRAY SETS LIMIT: a task of n-queens whose children are a set takes at most LIMIT times the instructions of one whose
# children stand in an array of frames, counted by callgrind. Two sizes are counted and the difference taken, so that nothing but the
# tasks is in it. Both programs print, for argument n, how many tasks n queens take.
set -euo pipefail

count() {
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" "$2" 2>&1 >/dev/null |
		awk '/Collected :/ { print $4; found = 1 } END { exit !found }'
}

array=$(($(count "$1" 12) - $(count "$1" 6)))
sets=$(($(count "$2" 12) - $(count "$2" 6)))
tasks=$(($("$1" 12) - $("$1" 6)))
(($("$2" 12) - $("$2" 6) == tasks))
awk -v a="$array" -v s="$sets" -v t="$tasks" -v limit="$3" 'BEGIN {
	printf "instructions per task of n-queens: %.2f with an array, %.2f with a set, %.3f times; at most %s\n",
		a / t, s / t, s / a, limit
	good = a / t > 20 && s / a > 0.5 && s / a <= limit
	print good ? "1 passed, 0 failed" : "0 passed, 1 failed"
	exit !good
}'
