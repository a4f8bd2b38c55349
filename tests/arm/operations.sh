#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the memory operations compile to on 64-bit ARM, as docs/memory-model.md says. Every function of
# operations.c is compiled by each compiler that is here: gcc's cross compiler, and clang, which
# needs no more than itself. Of the instructions those that order memory are read, or that access
# it exclusively; they must be the ones below, in this order and no others.
#
# The headers of Concurrency Kit are this machine's. They say what memory model it was built for, and
# no operation may rely on that.
#
# usage: operations.sh WORK_DIRECTORY
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$1
mkdir -p "$work"

# "dmb" stands for a full fence.
modify="dmb load-exclusive store-exclusive dmb"
declare -A expected=(
	[load_relaxed]="load"
	[store_relaxed]="store"
	[store_release_light]="store-release"
	[store_release_full]="store-release dmb"
	[load_acquire]="load-acquire"
	[fence_then_load_acquire]="dmb load-acquire"
	[rmw_fence_then_load_acquire]="dmb load-acquire"
	[store_release]="store-release"
	[store_then_fence]=$modify
	[exchange_acq_rel]=$modify
	[exchange_seq_cst]=$modify
	[fetch_add_acq_rel]=$modify
	[fetch_add_seq_cst]=$modify
	[fetch_sub_acq_rel]=$modify
	[fetch_sub_seq_cst]=$modify
	[cas_acq_rel]=$modify
	[cas_seq_cst]=$modify
	[pause_here]="isb"
)
# The C11 body is the language's: of its read-modify-writes it promises no fence.
c11=(load_relaxed store_relaxed store_release_light load_acquire store_release pause_here)

# The instructions of each function of assembly $1, one function a line.
read_functions() {
	awk '
		{ sub(/^[ \t]*[0-9]+:/, "") } # labels of inline assembly
		/^[a-z][a-z_0-9]*:/ { name = $1; sub(/:.*/, "", name); order[++n] = name; next }
		$1 == "dmb" { text = $2 == "ish" ? "dmb" : "dmb-" $2 }
		$1 ~ /^ldax?r$/ { text = $1 == "ldar" ? "load-acquire" : "load-exclusive-acquire" }
		$1 == "ldapr" { text = "load-acquire-only" }
		$1 == "ldxr" { text = "load-exclusive" }
		$1 == "stxr" { text = "store-exclusive" }
		$1 == "stlxr" { text = "store-exclusive-release" }
		$1 == "stlr" { text = "store-release" }
		# a compare-and-swap reads the expected value, and writes the one it found
		($1 == "ldr" || $1 == "str") && name !~ /^cas_/ { text = $1 == "ldr" ? "load" : "store" }
		$1 ~ /^(isb|yield|dsb|bl|blr|swp|ldadd|ldset|cas)/ { text = $1 }
		text != "" { said[name] = said[name] (said[name] == "" ? "" : " ") text; text = "" }
		END { for (i = 1; i <= n; i++) print order[i] ": " said[order[i]] }
	' "$1"
}

compilers=0
passed=0
failed=0
check() { # COMPILER BODY OPERATION...: the functions of these operations are as expected
	local compiler=$1 body=$2 operation function said seen
	shift 2
	read_functions "$work/operations.s" >"$work/functions"
	for operation in "$@"; do
		seen=0
		while IFS=: read -r function said; do
			[[ $function =~ ^${operation}(_(32|64|ptr))?$ ]] || continue
			seen=$((seen + 1))
			if [[ $said == " ${expected[$operation]}" ]]; then
				passed=$((passed + 1))
			else
				echo "operations: $function, $body, by $compiler: expected ${expected[$operation]}, found$said"
				failed=$((failed + 1))
			fi
		done <"$work/functions"
		((seen)) || { echo "operations: no function of $operation, by $compiler"; failed=$((failed + 1)); }
	done
}

for compiler in "aarch64-linux-gnu-gcc" "clang --target=aarch64-linux-gnu"; do
	command -v "${compiler%% *}" >/dev/null || continue
	compilers=$((compilers + 1))
	for body in shipped -DFILCH_ATOMICS_C11; do
		options=(-std=gnu11 -march=armv8-a -ffreestanding -Wall -Wextra -Werror -I"$root/include" -I"$root/src")
		[[ $body == shipped ]] || options+=("$body")
		# shellcheck disable=SC2086 # clang's has an option
		$compiler -O2 "${options[@]}" -S -o "$work/operations.s" "$root/tests/arm/operations.c"
		if [[ $body == shipped ]]; then
			check "$compiler" "$body" "${!expected[@]}"
		else
			check "$compiler" "$body" "${c11[@]}"
		fi
	done
done
((compilers)) || { echo "SKIP: no compiler for ARM (apt-get install gcc-aarch64-linux-gnu, or clang)"; exit 77; }
echo "operations: $passed passed, $failed failed"
((failed == 0 && passed > 0))
