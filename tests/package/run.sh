#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs a build into a scratch prefix and uses it from there as a stranger would: with pkg-config
# and with find_package, shared and static, in C11 and in C++17, and from a project of C++ alone; then
# with the prefix moved to another place, since packages are. At last uninstall leaves nothing of it.
#
# usage: run.sh BUILD_DIRECTORY WORK_DIRECTORY CC CXX GENERATOR
set -euo pipefail

build=$1
work=$2
cc=$3
cxx=$4
generator=$5
here=$(cd "$(dirname "$0")" && pwd)
consumer=$here/consumer
passed=0

# try WHAT COMMAND...: the command must succeed and print that filch works.
try() {
	local what=$1 output
	shift
	if ! output=$("$@" 2>&1) || [[ $output != *works* ]]; then
		echo "package: $what failed: $output"
		echo "package: $passed passed, 1 failed"
		exit 1
	fi
	passed=$((passed + 1))
}

rm -rf "$work"
mkdir -p "$work"
# The list of a true installation from this build, which may be root's, is put back at the end.
manifest=$build/install_manifest.txt
if [[ -e $manifest ]]; then
	mv "$manifest" "$work/manifest"
	trap 'mv -f "$work/manifest" "$manifest"' EXIT
fi
cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
for file in include/filch/filch.h include/filch/version.h include/filch/detail/words.h; do
	[[ -f $work/prefix/$file ]] || { echo "package: $file is not installed"; exit 1; }
done
library=$(dirname "$(find "$work/prefix" -name libfilch.a)")
# Before 1.0 a minor release may break programs, so they ask for theirs by name.
read -r version < <(sed -n 's/^#define FILCH_VERSION_STRING "\(.*\)"$/\1/p' "$work/prefix/include/filch/version.h")
soname=libfilch.so.${version%%.*}
[[ $version != 0.* ]] || soname=libfilch.so.${version%.*}
for name in libfilch.so "$soname" "libfilch.so.$version"; do
	[[ -e $library/$name ]] || { echo "package: $name is not installed"; exit 1; }
done
readelf -d "$library/libfilch.so" | grep -qF "Library soname: [$soname]" || { echo "package: the soname is not $soname"; exit 1; }
export PKG_CONFIG_PATH=$library/pkgconfig

# What the README has a stranger type: without the loader's cache renewed, a program in the next line of it would not start.
awk '/cmake --install build\/release/ { installs = NR } /^\t?sudo ldconfig$/ { if (installs && NR == installs + 1) found = 1 } END { exit !found }' \
	"$here/../../README.md" || { echo "package: the README's installation does not end with ldconfig"; exit 1; }

# The shared library names itself and must be found at run time; the static one needs what --static adds and no libfilch.so.
warnings=(-Wall -Wextra -pedantic -Werror -O2)
read -ra cflags < <(pkg-config --cflags filch)
read -ra libs < <(pkg-config --libs filch)
read -ra static_libs < <(pkg-config --static --libs filch | sed 's/-lfilch\b/-l:libfilch.a/')
"$cc" -std=c11 "${warnings[@]}" "${cflags[@]}" "$consumer/program.c" -o "$work/pc-c" "${libs[@]}"
"$cxx" -std=c++17 "${warnings[@]}" "${cflags[@]}" "$consumer/program.cpp" -o "$work/pc-cpp" "${libs[@]}"
"$cc" -std=c11 "${warnings[@]}" "${cflags[@]}" "$consumer/program.c" -o "$work/pc-static-c" "${static_libs[@]}"
"$cxx" -std=c++17 "${warnings[@]}" "${cflags[@]}" "$consumer/program.cpp" -o "$work/pc-static-cpp" "${static_libs[@]}"
try "pkg-config, C11" env LD_LIBRARY_PATH="$library" "$work/pc-c"
try "pkg-config, C++17" env LD_LIBRARY_PATH="$library" "$work/pc-cpp"
try "pkg-config --static, C11" "$work/pc-static-c"
try "pkg-config --static, C++17" "$work/pc-static-cpp"
if readelf -d "$work/pc-static-c" | grep -q 'NEEDED.*libfilch'; then
	echo "package: the statically linked program needs libfilch.so"
	exit 1
fi
if readelf -d "$library/libfilch.so" "$work/pc-c" "$work/pc-static-c" | grep -q 'NEEDED.*libck'; then
	echo "package: something needs libck, of which only headers are used"
	exit 1
fi

# found in the prefix, then in the place it was moved to
for prefix in "$work/prefix" "$work/moved"; do
	[[ -d $prefix ]] || cp -a "$work/prefix" "$prefix"
	[[ $prefix != "$work/moved" ]] || mv "$work/prefix" "$work/away"
	rm -rf "$work/consumer"
	if ! cmake -G "$generator" -S "$consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
		-DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release >"$work/consumer.log" 2>&1 ||
		! cmake --build "$work/consumer" >>"$work/consumer.log" 2>&1; then
		cat "$work/consumer.log"
		echo "package: the find_package project does not build with $prefix"
		exit 1
	fi
	for program in filch-c filch-cpp filch_static-c filch_static-cpp; do
		try "find_package, $program" "$work/consumer/$program"
	done
done
if ! cmake -G "$generator" -S "$consumer/cxx_only" -B "$work/cxx_only" -DCMAKE_PREFIX_PATH="$work/moved" -DCMAKE_CXX_COMPILER="$cxx" \
	>"$work/consumer.log" 2>&1 || ! cmake --build "$work/cxx_only" >>"$work/consumer.log" 2>&1; then
	cat "$work/consumer.log"
	echo "package: the project of C++ alone does not build"
	exit 1
fi
try "find_package, C++ alone" "$work/cxx_only/cxx_only"

if [[ -x $work/moved/bin/filch-top ]]; then
	"$work/moved/bin/filch-top" --once --json >"$work/top.log" 2>&1 || { cat "$work/top.log"; echo "package: filch-top failed"; exit 1; }
fi
if [[ -x $work/moved/bin/filch-info ]]; then
	"$work/moved/bin/filch-info" >"$work/info.log" 2>&1 || { cat "$work/info.log"; echo "package: filch-info failed"; exit 1; }
	passed=$((passed + 1))
fi

# Back where it was installed: uninstall takes it all, and nothing of others.
mv "$work/away" "$work/prefix"
touch "$work/prefix/include/other.h" "$library/libother.so"
cmake --build "$build" --target uninstall >"$work/uninstall.log" 2>&1 || { cat "$work/uninstall.log"; echo "package: uninstall failed"; exit 1; }
left=$(cd "$work/prefix" && find . ! -type d | sort | paste -sd ' ')
[[ $left == "./include/other.h .${library#"$work/prefix"}/libother.so" && ! -e $work/prefix/include/filch ]] || {
	echo "package: uninstall has left $left $(ls -d "$work/prefix/include/filch" 2>/dev/null)"
	exit 1
}
if cmake --build "$build" --target uninstall >"$work/uninstall.log" 2>&1; then
	echo "package: a second uninstall finds something"
	exit 1
fi
passed=$((passed + 2))
echo "package: $passed passed, 0 failed"
