#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The library with another C library: every source compiles with musl-gcc, and drivers run on musl.
# Debian has musl, and nothing built for it: beside.c stands in for hwloc and for a part of the
# unwinder.
#
# usage: musl.sh SOURCE_DIR GENERATED_INCLUDE_DIR WORK_DIR "SOURCE..." DRIVER...
# SOURCE... are relative to SOURCE_DIR; a DRIVER is tests/DRIVER.c. The first runs, at a hundredth of its counts; with
# FILCH_TEST_SCALE from 10 on (tests/run --long) all do, at a tenth of CI's.
set -euo pipefail

source=$1 generated=$2 work=$3 sources=$4
shift 4
if ! command -v musl-gcc >/dev/null; then
	echo "skipped: there is no musl-gcc (Debian: musl-tools)"
	exit 77
fi
rm -rf "$work"
mkdir -p "$work/include"

# Headers of the kernel, of hwloc and of Concurrency Kit, and none of glibc's.
triple=$(gcc -print-multiarch)
for name in linux asm-generic ck_pr.h ck_cc.h ck_md.h ck_stdint.h ck_stdbool.h ck_stddef.h ck_limits.h ck_elide.h ck_f_pr.h gcc hwloc.h; do
	[[ -e /usr/include/$name ]] && ln -s "/usr/include/$name" "$work/include/$name"
done
ln -s "/usr/include/$triple/asm" "$work/include/asm"
mkdir "$work/include/hwloc"
for part in /usr/include/hwloc/* "/usr/include/$triple/hwloc"/*; do
	[[ -e $part ]] && ln -sf "$part" "$work/include/hwloc/"
done

flags=(-std=gnu11 -O2 -D__x86_64__ -fexceptions -Wall -Werror "-I$source/include" "-I$generated" "-I$source/src"
	"-I$source/tests/support" "-DFILCH_TEST_SOURCE_DIR=\"$source\"" -idirafter "$work/include")
for file in $sources; do
	printf '%s\0-o\0%s\0' "$source/$file" "$work/$(basename "$file" .c).o"
done | xargs -0 -n 3 -P "$(nproc)" musl-gcc "${flags[@]}" -DFILCH_BUILDING -c
objects=("$work"/*.o)
compiled=${#objects[@]}
ar rcs "$work/libfilch.a" "$work"/*.o
echo "musl.sh: $compiled sources compiled"
musl-gcc "${flags[@]}" -Wno-builtin-declaration-mismatch -c "$source/tests/citizen/musl/beside.c" -o "$work/beside.obj"
musl-gcc "${flags[@]}" -D_GNU_SOURCE -c "$source/tests/support/test.c" -o "$work/test.obj"
if awk -v scale="${FILCH_TEST_SCALE:-1}" 'BEGIN { exit !(scale < 10) }'; then
	set -- "$1"
	export FILCH_TEST_SCALE=0.01
else
	export FILCH_TEST_SCALE=0.1
fi
ran=0
for driver in "$@"; do
	name=$(basename "$driver")
	musl-gcc "${flags[@]}" "$source/tests/$driver.c" "$work/test.obj" "$work/libfilch.a" "$work/beside.obj" \
		-Wl,--eh-frame-hdr -o "$work/$name"
	"$work/$name"
	ran=$((ran + 1))
done
echo "musl.sh: $ran drivers ran on $(readlink -f /lib/ld-musl-*.so.1)"
((compiled > 30 && ran > 0))
