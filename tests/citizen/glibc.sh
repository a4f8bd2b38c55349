#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The oldest glibc that is assumed: what was built asks for no symbol of a newer one.
#
# usage: glibc.sh NEWEST FILE...    e.g. glibc.sh 2.34 libfilch.so
set -euo pipefail

newest=$1
shift
status=0
for file in "$@"; do
	versions=$(objdump -T "$file" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -Vu)
	if [[ -z $versions ]]; then
		echo "glibc.sh: $file asks for nothing of glibc: nothing was checked"
		status=1
		continue
	fi
	last=$(printf '%s\n' "$versions" | tail -1)
	if [[ $(printf '%s\n%s\n' "$last" "$newest" | sort -V | tail -1) != "$newest" ]]; then
		echo "glibc.sh: $file needs more than glibc $newest:"
		objdump -T "$file" | grep "GLIBC_$last\b"
		status=1
	else
		echo "glibc.sh: $file: glibc $last or later"
	fi
done
exit $status
