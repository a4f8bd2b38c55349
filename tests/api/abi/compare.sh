#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The ABI of the shared library is the one that libfilch.abixml keeps: exported functions, and every
# type that a public header defines and one of them reaches, the layout of the inlined path among
# them. What programs cannot see (struct filch_pool, the rooms of src/) is left out.
#
#   compare.sh LIBRARY HEADERS STORED WORK_DIRECTORY CC VERSION_H
#                                               compares; then shows that changes are seen
#   compare.sh --update LIBRARY HEADERS STORED  stores what is there
#
# LIBRARY is compiled with -g -O0: a structure of its own, independent of what optimisers leave of
# types. Where a change is meant: cmake --build build/release --target abi_update, a line in
# CHANGELOG.md, and another minor version if the last one was released.
set -euo pipefail

command -v abidiff >/dev/null || { echo "SKIP: no abidiff (apt-get install abigail-tools)"; exit 77; }

# describe LIBRARY HEADERS
describe() {
	abidw --headers-dir "$2" --drop-private-types --exported-interfaces-only --no-show-locs --no-comp-dir-path \
		--no-corpus-path "$1" | sed "/<elf-needed>/,/<\/elf-needed>/d; s| path='[^']*/src/| path='src/|"
}

if [[ $1 == --update ]]; then
	describe "$2" "$3" >"$4"
	echo "abi: $(grep -c '<function-decl .*elf-symbol-id' "$4") functions stored"
	exit
fi

library=$1
headers=$2
stored=$3
work=$4
cc=$5
version_h=$6
here=$(cd "$(dirname "$0")" && pwd)

# shellcheck source=tests/lib/verdict.sh
. "$(dirname "$0")/../../lib/verdict.sh" abi

# same STORED LIBRARY HEADERS: status 0 if nothing differs; says what does
same() {
	describe "$2" "$3" >"$work/now.abixml"
	abidiff "$1" "$work/now.abixml"
}

rm -rf "$work"
mkdir -p "$work"
for needed in filch_config filch_completion filch_submit filch_stats filch_task filch_worker filch_loop; do
	grep -q "<class-decl name='$needed' size-in-bits" "$stored" || fail "struct $needed is not in $stored: made without -g?"
done
same "$stored" "$library" "$headers" || fail "the ABI has changed: $0 says what to do"
passed=$((passed + 1))

# A difference between what is stored and the library itself.
size=$(sed -nE "s/.*<class-decl name='filch_completion' size-in-bits='([0-9]+)'.*/\1/p" "$stored")
sed "/<class-decl name='filch_completion'/s/'$size'/'$((size + 64))'/" "$stored" >"$work/other.abixml"
! said=$(same "$work/other.abixml" "$library" "$headers") || fail "another size of struct filch_completion is not seen"
[[ $said == *"filch_completion"* ]] || fail "another size of struct filch_completion: $said"
sed "/<function-decl name='filch_wait'/,/<\/function-decl>/d; /<elf-symbol name='filch_wait'/d" "$stored" >"$work/other.abixml"
! said=$(same "$work/other.abixml" "$library" "$headers") || fail "a function that is new is not seen"
[[ $said == *"1 Added function"*"filch_wait"* ]] || fail "a function that is new: $said"
passed=$((passed + 2))

# A member more in a public structure, from the header to the verdict. The stub's functions have
# the library's names and types; only the headers are changed.
stub() {
	"$cc" -std=gnu11 -g -O0 -shared -fPIC -fvisibility=hidden -DFILCH_BUILDING -I"$1" "$here/stub.c" -o "$2"
}
cp -r "$(dirname "$headers")" "$work/include"
cp "$version_h" "$work/include/filch/"
stub "$work/include" "$work/stub.so"
describe "$work/stub.so" "$work/include/filch" >"$work/stub.abixml"
same "$work/stub.abixml" "$work/stub.so" "$work/include/filch" || fail "the same headers are said to differ"
passed=$((passed + 1))
for name in filch_config filch_submit filch_completion filch_stats filch_task filch_worker; do
	rm -rf "$work/changed"
	cp -r "$work/include" "$work/changed"
	file=$(grep -rlE "^struct $name \{" "$work/changed")
	sed -i "/^struct $name {/s/\$/ unsigned long inserted;/" "$file"
	stub "$work/changed" "$work/changed.so"
	! said=$(same "$work/stub.abixml" "$work/changed.so" "$work/changed/filch") || fail "another member of struct $name is not seen"
	[[ $said == *"$name"* ]] || fail "another member of struct $name: $said"
	passed=$((passed + 1))
done
passed_all
