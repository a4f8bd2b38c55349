#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A mutant of a driver must be found: by an assertion of the driver about the algorithm, not by a crash, a hang, a sanitizer, or the
# assertion that the run has met everything it claims to.
#
# A race needs the threads to meet, which a busy machine may put off: the program is run until it is found out, 30 times at most. A run
# that hangs, as a driver may whose ring has lost a value, is ended and proves nothing: the next one may be found out. The test's timeout
# is longer than the 90 s after which no run begins and the 35 s that the last may take.
#
# usage: mutant.sh [emulator] program
set -uo pipefail

ulimit -c 0
for ((run = 1; run <= 30 && SECONDS < 90; run++)); do
	said=$(timeout -k 5 30 "$@" 2>&1)
	status=$?
	# the shell's number for SIGABRT
	if ((status == 134)) && [[ $said == *Assertion*failed* && $said != *\"coverage\"* ]]; then
		echo "found: ${said%%$'\n'*}"
		exit 0
	fi
	((status == 0 || status == 124 || status == 137)) || [[ $said == *\"coverage\"* ]] || break # found out by something else
done
echo "mutant.sh: the mutant was not found by an assertion in $((run > 30 ? 30 : run)) runs: status $status of the last"
echo "$said" | tail -n 5
exit 1
