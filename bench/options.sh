# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Numbers on the command lines of the benchmarks' scripts; filch-bench has bench/number.c.

# whole_number OPTION TEXT LEAST MOST VARIABLE: sets the variable, or ends the script.
whole_number() {
	if [[ ! $2 =~ ^[0-9]{1,15}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
		echo "${0##*/}: $1 takes a whole number from $3 to $4, and not \"$2\"" >&2
		exit 2
	fi
	printf -v "$5" %d "$((10#$2))"
}
