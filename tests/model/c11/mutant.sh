#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A mutant of a driver must be found: by an assertion of the driver about the algorithm, not by a crash, a hang, a sanitizer, or the
# assertion that the run has met everything it claims to.
#
# usage: mutant.sh program
set -uo pipefail

ulimit -c 0
said=$("$1" 2>&1)
status=$?
# the shell's number for SIGABRT
if ((status == 134)) && [[ $said == *Assertion*failed* && $said != *\"coverage\"* ]]; then
	echo "found: ${said%%$'\n'*}"
	exit 0
fi
echo "mutant.sh: the mutant was not found by an assertion: status $status"
echo "$said" | tail -n 5
exit 1
