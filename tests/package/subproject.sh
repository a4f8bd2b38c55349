#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# filch inside another project, by FetchContent and by add_subdirectory, in a project of C alone and
# in one of C++ alone. Each links the shared and the static library in a directory that is not the one
# that added filch, and the programs run. The library comes without tests, tools and installation.
#
# usage: subproject.sh ROOT WORK_DIRECTORY CC CXX GENERATOR
set -euo pipefail

root=$1
work=$2
cc=$3
cxx=$4
generator=$5
here=$(cd "$(dirname "$0")" && pwd)

# shellcheck source=tests/lib/verdict.sh
. "$(dirname "$0")/../lib/verdict.sh" subproject

# parent LANGUAGE METHOD OPTIONS...: configures one, in $work/LANGUAGE-METHOD
parent() {
	local directory=$work/$1-$2 log=$work/$1-$2.log
	local -a compiler=(-DCMAKE_C_COMPILER="$cc")
	[[ $1 == C ]] || compiler+=(-DCMAKE_CXX_COMPILER="$cxx")
	cmake -G "$generator" -S "$here/parent" -B "$directory" -DLANGUAGE="$1" -DMETHOD="$2" -DFILCH_ROOT="$root" \
		-DCMAKE_BUILD_TYPE=Debug "${compiler[@]}" "${@:3}" >"$log" 2>&1 || { cat "$log"; fail "$1, $2: not configured"; }
	! grep -A 5 'CMake.*Warning' "$log" || fail "$1, $2: CMake warns"
	passed=$((passed + 1))
}

# builds LANGUAGE METHOD: compiles it, runs its programs, installs it
builds() {
	local directory=$work/$1-$2 log=$work/$1-$2.log library output
	cmake --build "$directory" --parallel >>"$log" 2>&1 || { tail -n 40 "$log"; fail "$1, $2: it does not build"; }
	for library in filch filch_static; do
		output=$("$directory/app/with_$library" 2>&1) || fail "$1, $2, $library: status $?: $output"
		[[ $output == *works* ]] || fail "$1, $2, $library: $output"
	done
	cmake --install "$directory" --prefix "$directory/prefix" >>"$log" 2>&1 || fail "$1, $2: it is not installed"
	[[ $(cd "$directory/prefix" && find . -type f | sort | paste -sd ' ') == "./bin/with_filch ./bin/with_filch_static" ]] ||
		fail "$1, $2: this was installed: $(find "$directory/prefix" -type f)"
	passed=$((passed + 3))
}

rm -rf "$work"
mkdir -p "$work"
# Projects may ask for unity builds of everything inside; ours must not mind.
parent CXX fetch -DCMAKE_UNITY_BUILD=ON
builds CXX fetch
parent C subdirectory
builds C subdirectory
parent C fetch
parent CXX subdirectory -DFILCH_INSTALL=ON
grep -q filch-config.cmake "$work/CXX-subdirectory/third_party/filch/cmake_install.cmake" || fail "FILCH_INSTALL=ON installs nothing"
grep -q filch-config.cmake "$work/C-subdirectory/third_party/filch/cmake_install.cmake" && fail "FILCH_INSTALL is on in a project inside another"
passed_all
