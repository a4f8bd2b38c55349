#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The Fortran example is compiled, without a warning, and run.
#
# usage: fortran.sh ROOT LIBRARY_DIRECTORY WORK_DIRECTORY
set -euo pipefail

root=$1
library=$2
work=$3

# shellcheck source=tests/lib/verdict.sh
. "$root/tests/lib/verdict.sh" fortran
command -v gfortran >/dev/null || { echo "SKIP: no gfortran (apt-get install gfortran)"; exit 77; }
rm -rf "$work"
mkdir -p "$work"
cd "$work"
for optimisation in -O0 -O2; do
	# reals are compared where they must be the same bits
	gfortran -std=f2018 -Wall -Wextra -Werror -Wno-compare-reals -g $optimisation -frecursive -fcheck=bounds,pointer \
		"$root"/docs/examples/fortran/{filch,loops}.f90 -L"$library" -lfilch -Wl,-rpath,"$library" -o loops ||
		fail "it does not compile with $optimisation"
	for workers in 1 2; do
		said=$(FILCH_WORKERS=$workers ./loops 2>&1) || fail "$optimisation, $workers workers: status $?: $said"
		[[ $said == *works* ]] || fail "$optimisation, $workers workers: $said"
		passed=$((passed + 1))
	done
done
passed_all
