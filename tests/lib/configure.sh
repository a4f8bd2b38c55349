# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# configure PRESET DIRECTORY OPTIONS...: prepares the build in DIRECTORY, by ninja where nothing has
# been built there. A directory keeps the generator it has: CMake refuses another one, and README's
# first lines leave the choice to CMake. Sourced by tests/run and bench/run.

configure() {
	local preset=$1 directory=$2
	local -a generator=(-G Ninja)
	shift 2
	[[ ! -e $directory/CMakeCache.txt ]] || generator=()
	cmake --preset "$preset" "${generator[@]}" "$@"
}
