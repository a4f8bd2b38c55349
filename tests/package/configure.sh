#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What configuring needs, and what comes of it: with packages and compilers hidden, with directories
# given in unusual ways, for another machine's programs. Next to nothing is compiled.
#
# usage: configure.sh ROOT WORK_DIRECTORY
set -euo pipefail

root=$1
work=$2

# shellcheck source=tests/lib/verdict.sh
. "$(dirname "$0")/../lib/verdict.sh" configure

# with_packages NAME PC...: a directory with these .pc files alone; "all" is every one there is, and
# -PC is one less
with_packages() {
	local directory=$work/$1 name from
	shift
	mkdir -p "$directory"
	for name in "$@"; do
		if [[ $name == -* ]]; then
			rm "$directory/${name#-}.pc"
			continue
		fi
		[[ $name != all ]] || name='*'
		while IFS=: read -rd : from; do
			# shellcheck disable=SC2086 # the name may be the pattern of all
			cp -Lf "$from"/$name.pc "$directory" 2>/dev/null || true
		done < <(pkg-config --variable pc_path pkg-config | tr '\n' ':')
	done
	echo "$directory"
}

# configure NAME OPTIONS...: into $work/NAME; quiet unless it fails. Warnings are failures. CMake's
# path is tools_path where that is set.
tools_path=
configure() {
	local log=$work/$1.log
	PATH=${tools_path:-$PATH} cmake -S "$root" -B "$work/$1" "${@:2}" >"$log" 2>&1 || { cat "$log"; return 1; }
	! grep -A 5 'CMake.*Warning' "$log"
}

rm -rf "$work"
mkdir -p "$work"

# README's first line under "Build and install", with what README names: no C++ compiler is in the
# path, and of the libraries only two are found. It prepares the library and the tools alone.
mkdir -p "$work/bin"
for tool in bash sh env gcc cc make cmake pkg-config as ld ar ranlib nm strip objcopy objdump readelf uname; do
	ln -s "$(command -v "$tool")" "$work/bin/$tool"
done
minimal=$(with_packages minimal hwloc ck)
[[ $(find "$minimal" -name '*.pc' | wc -l) == 2 ]] || fail "hwloc.pc or ck.pc was not found: $(ls "$minimal")"
(cd "$root" && tools_path=$work/bin PKG_CONFIG_LIBDIR=$minimal configure release --preset release -G 'Unix Makefiles') ||
	fail "the preset release needs more than README names"
! grep -q '^CMAKE_CXX_COMPILER' "$work/release/CMakeCache.txt" || fail "the preset release looks for a C++ compiler"
targets=$(cmake --build "$work/release" --target help | sed -nE 's/^\.\.\. ([^ ]*).*/\1/p' | grep -v '\.[ios]$' | sort | paste -sd ' ')
wanted="all clean depend docs edit_cache filch filch-info filch-top filch-trace filch_objects filch_static filch_static_objects filch_tools install install/local install/strip"
wanted+=" list_install_components rebuild_cache uninstall"
[[ $targets == "$wanted" ]] || fail "the preset release makes $targets"
passed=$((passed + 1))

# CK is asked for where its atomics are used, and only there.
hwloc=$(with_packages hwloc hwloc)
! PKG_CONFIG_LIBDIR=$hwloc configure without-ck >/dev/null || fail "it configures without ck.pc: nothing was hidden"
PKG_CONFIG_LIBDIR=$hwloc configure c11 -DFILCH_ATOMICS_C11=ON || fail "FILCH_ATOMICS_C11 asks for CK"
passed=$((passed + 1))

# What only examples and single benchmarks need may be missing, with the tests and without them.
some=$(with_packages some all -libmicrohttpd -zlib -libuv -liburing -glib-2.0 -openblas)
for tests in ON OFF; do
	(cd "$root" && PKG_CONFIG_LIBDIR=$some configure "some-$tests" --preset dev -DFILCH_BUILD_TESTS=$tests) ||
		fail "FILCH_BUILD_TESTS=$tests: it does not configure without optional packages"
	grep -q 'No libmicrohttpd' "$work/some-$tests.log" || fail "libmicrohttpd.pc was not hidden"
	passed=$((passed + 1))
done
PKG_CONFIG_LIBDIR=$(with_packages no-ck all -ck) configure bench-c11 -DFILCH_ATOMICS_C11=ON -DFILCH_BUILD_BENCH=ON ||
	fail "FILCH_ATOMICS_C11 asks for CK where benchmarks are built"
passed=$((passed + 1))

# Either directory of an installation may be absolute. The .pc file lies where it would be installed.
# pc NAME PLACE INCLUDEDIR LIBDIR OPTIONS...
pc() {
	local name=$1 place=$2 variable value
	local -A expected=([includedir]=$3 [libdir]=$4)
	configure "$name" "${@:5}" -DCMAKE_INSTALL_PREFIX="$work/prefix" || fail "$name: not configured"
	mkdir -p "$place"
	cp "$work/$name/filch.pc" "$place"
	for variable in includedir libdir; do
		value=$(PKG_CONFIG_LIBDIR=$place pkg-config --variable="$variable" filch)
		[[ $(realpath -m "$value") == "${expected[$variable]}" ]] || fail "$name: $variable is $value, not ${expected[$variable]}"
	done
	passed=$((passed + 1))
}
pc pc-none "$work/moved/lib/pkgconfig" "$work/moved/include" "$work/moved/lib" -DCMAKE_INSTALL_LIBDIR=lib
pc pc-libdir "$work/abs/pkgconfig" "$work/prefix/include" "$work/abs" -DCMAKE_INSTALL_LIBDIR="$work/abs"
pc pc-include "$work/moved/lib/x/pkgconfig" /nonexistent/include "$work/moved/lib/x" -DCMAKE_INSTALL_LIBDIR=lib/x \
	-DCMAKE_INSTALL_INCLUDEDIR=/nonexistent/include
pc pc-both "$work/abs/pkgconfig" /nonexistent/include "$work/abs" -DCMAKE_INSTALL_LIBDIR="$work/abs" \
	-DCMAKE_INSTALL_INCLUDEDIR=/nonexistent/include

# For another machine: one small driver, run by ctest, goes through the emulator. Every program of ours does.
cat >"$work/board" <<EOF
#!/bin/bash
echo "\$*" >>"$work/emulated"
shift
exec "\$@"
EOF
chmod +x "$work/board"
configure emulator -DFILCH_BUILD_TESTS=ON -DCMAKE_CROSSCOMPILING_EMULATOR="$work/board;--fast" || fail "emulator: not configured"
cmake --build "$work/emulator" --target test.c11.join >"$work/emulator.log" 2>&1 || { cat "$work/emulator.log"; fail "test.c11.join"; }
# so few rounds may not meet all that the driver wants to have met: how it was called is what counts
(cd "$work/emulator" && FILCH_TEST_SCALE=0.001 ctest -R '^c11\.join$' --no-tests=error >"$work/emulator.log" 2>&1) || true
[[ -f $work/emulated ]] || { cat "$work/emulator.log"; fail "c11.join goes past the emulator"; }
[[ $(<"$work/emulated") == "--fast $work/emulator/"*join ]] || fail "the emulator was called with: $(<"$work/emulated")"
bare=$(find "$work/emulator" -name CTestTestfile.cmake -exec cat {} + | grep -E "^add_test\(\S+ \"$work/emulator/" || true)
[[ -z $bare ]] || fail "these go past the emulator: $bare"
passed=$((passed + 1))

# Ubuntu 22.04 has CMake 3.22 and hwloc 2.7.
for file in CMakeLists.txt tests/package/consumer/CMakeLists.txt tests/package/consumer/cxx_only/CMakeLists.txt cmake/uninstall.cmake; do
	grep -qx 'cmake_minimum_required(VERSION 3\.22)' "$root/$file" || fail "$file asks for another CMake than 3.22"
done
grep -q '"version": 3,' "$root/CMakePresets.json" || fail "CMake 3.22 reads presets of version 3"
! grep -rhoE 'hwloc>=[0-9.]+' "$root/CMakeLists.txt" "$root/cmake" | grep -vx 'hwloc>=2.7' || fail "another hwloc than 2.7"
passed=$((passed + 1))

passed_all
