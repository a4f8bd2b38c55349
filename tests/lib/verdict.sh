# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The verdict of a script that is a test, in the words that ctest's properties look for. Sourced with the
# name of the test: . verdict.sh NAME. It counts in passed; fail TEXT... ends it at the first that failed.
verdict_of=$1
passed=0

fail() {
	echo "$verdict_of: $*"
	echo "$verdict_of: $passed passed, 1 failed"
	exit 1
}

passed_all() {
	echo "$verdict_of: $passed passed, 0 failed"
}
