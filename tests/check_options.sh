#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The command lines of the benchmarks. A number is a number or it is refused, in every program and script.
# bench/run --help needs neither packages nor a build, and has all that the programs offer.
#
# usage: check_options.sh ROOT FILCH_BENCH RINGS SIM
set -euo pipefail

root=$1
bench=$2
rings=$3
sim=$4
cd "$root"

# shellcheck source=tests/lib/verdict.sh
. "$(dirname "$0")/lib/verdict.sh" check_options

# refused COMMAND...: status 2, and the last word is named
refused() {
	local said status=0
	said=$("$@" 2>&1 >/dev/null) || status=$?
	[[ $status == 2 && $said == *"\"${!#}\""* ]] || fail "status $status of: $* ($said)"
	passed=$((passed + 1))
}
taken() {
	"$@" >/dev/null 2>&1 || fail "status $? of: $*"
	passed=$((passed + 1))
}

for wrong in abc 5x '' ' 5' +5 -1 0 1.5 0x10 1e1 10001 99999999999999999999; do
	refused "$bench" --list --rounds "$wrong"
done
taken "$bench" --list --rounds 10000
for wrong in abc 5s '' ' 5' -1 0 1.2.3 . inf nan 0x10 1000001; do
	refused "$bench" --list --seconds "$wrong"
done
taken "$bench" --list --seconds 0.5
for wrong in abc '' 0 -1 257 1.5 2x; do
	refused "$bench" --list --workers "$wrong"
done
for wrong in 1,,2 '1,' ',1' 1,x '1;2' 1,257; do
	! "$bench" --list --workers "$wrong" >/dev/null 2>&1 || fail "--workers $wrong is taken"
	passed=$((passed + 1))
done
! "$bench" --list --workers "$(seq -s , 17)" >/dev/null 2>&1 || fail "--workers takes more than it can hold"
taken "$bench" --list --workers "$(seq -s , 16)"
for wrong in abc 0 102 1.5 ''; do
	refused "$rings" "$wrong"
done
for wrong in abc '' 0 -1 1.5 4097 2x; do
	refused "$sim" --workers "$wrong"
	refused "$sim" --seeds "$wrong"x
done
refused "$sim" --rounds 0
refused "$sim" --set look=5
refused "$sim" --set look_near=
refused "$sim" --policy loud
taken "$sim" --set look_near=5 --policy chain --list
for wrong in abc '' 0 -1 1.5 0x10 99999999999999999999; do
	refused bench/server/run --rounds "$wrong"
	refused bench/pzip/compare --mib "$wrong"
done
refused bench/server/run --seconds 2s
refused bench/server/run --workers two
refused bench/server/run --n 1e6
refused bench/pzip/compare --rounds three
for wrong in abc '' 0 1001; do
	refused bench/compare HEAD --turns "$wrong"
done
refused bench/compare no-such-revision

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Refused before anything is installed or built: there is no compiler on this path, and no dpkg.
mkdir "$work/few"
for tool in bash env dirname cat sed grep tr nproc awk date; do
	ln -s "$(command -v "$tool")" "$work/few"
done
refused_early() { PATH=$work/few refused bash "$@"; }
for wrong in --bogus --quik extra '--rounds abc' '--rounds 0' --rounds '--seconds abc' '--workers x' '--workers 1,x' \
	'--contestants nope' '--contestants filch,nope' '--instructions --bogus' '--compare --bogus' '--server --bogus' \
	'--server --rounds x' '--pzip --bogus' '--pzip --mib x' '--rings x' '--crowded 5 x'; do
	read -ra words <<<"$wrong"
	case $wrong in
	*,*) # of a list the wrong word alone is named
		status=0
		said=$(PATH=$work/few bash bench/run "${words[@]}" 2>&1) || status=$?
		[[ $status == 2 && $said == *"\"${wrong##*,}\""* ]] || fail "status $status of: bench/run $wrong ($said)"
		;;
	*) refused_early bench/run "${words[@]}" ;;
	esac
	passed=$((passed + 1))
done
refused_early bench/instructions --bogus
refused_early bench/compare --bogus
refused_early tests/run --bogus
refused_early tests/run -j abc
refused "$bench" --list --contestants nope
taken "$bench" --list --contestants serial,filch

# A path with less than the build needs, and no dpkg to ask.
for tool in bash env dirname cat sed; do
	ln -s "$(command -v "$tool")" "$work/$tool"
done
PATH=$work bash bench/run --help >"$work/help" 2>"$work/said" || fail "bench/run --help needs more: $(<"$work/said")"
[[ ! -s $work/said ]] || fail "bench/run --help says $(<"$work/said")"
while IFS= read -r line; do
	[[ $line == "  "* ]] || continue
	grep -qxF -- "$line" "$work/help" || fail "bench/run --help lacks: $line"
	passed=$((passed + 1))
done < <("$bench" --help && "$sim" --help)
# every long option that the sources know
for option in $(grep -ohE '^	(--[a-z]+)( \| --[a-z]+)*\)' bench/run bench/server/run bench/pzip/compare bench/instructions bench/compare |
	grep -oE -- '--[a-z]+' | sort -u) $(sed -nE 's/^.*\{ "([a-z]+)", (no|required)_argument.*/--\1/p' bench/options.c bench/sim/main.c); do
	grep -qE -- "(^| )$option( |$)" "$work/help" || fail "bench/run --help lacks $option"
	passed=$((passed + 1))
done
wide=$(awk 'length($0) > 80' "$work/help")
[[ -z $wide ]] || fail "wider than 80 columns: $wide"
((passed > 70)) || fail "only $passed checks were made"
passed_all
