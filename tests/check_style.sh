#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The style of the tree, docs/adr/0015: clang-format would change nothing, no line of C or C++ is wider
# than 100 columns with tabs of 8, codespell and shellcheck find nothing.
#
# usage: check_style.sh [root]
set -euo pipefail

root=${1:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$root"
failed=0

# Words that codespell takes for misspelt ones: the plural of what Chase and Lev made; macros of
# mdoc(7); a word of Fortran.
words=deques,nd,fo,inout

for tool in clang-format codespell shellcheck; do
	command -v $tool >/dev/null || { echo "SKIP: no $tool (apt-get install $tool)"; exit 77; }
done

# complain WHAT LINES...: each line is a finding
complain() {
	local line
	while IFS= read -r line; do
		[[ -n $line ]] || continue
		echo "check_style: $1: $line"
		failed=$((failed + 1))
	done
}

mapfile -t sources < <(find src include tests bench docs packaging \( -name '*.[ch]' -o -name '*.[ch]pp' \) | sort)
mapfile -t scripts < <(find tests bench .ci packaging src -type f -exec grep -lE '^#!.*\bbash$|^# shellcheck shell=bash' {} + | sort)
mapfile -t texts < <(find . -type f -not -path './.git/*' -not -path './build/*' -not -name LICENSE -not -name '*.abixml' | sort)
((${#sources[@]} > 100 && ${#scripts[@]} > 10)) || { echo "check_style: there are ${#sources[@]} sources here"; exit 1; }

complain "wider than 100 columns" < <(for file in "${sources[@]}"; do
	expand -t 8 "$file" | awk -v file="$file" 'length($0) > 100 { print file ":" FNR ", " length($0) " columns" }'
done)

# Releases differ in what they make of a source, so one of them decides.
version=$(clang-format --version | grep -oE 'version [0-9]+' | grep -oE '[0-9]+')
if ((version == 14)); then
	complain "clang-format" < <(printf '%s\n' "${sources[@]}" | xargs -n 20 -P "$(nproc)" clang-format --dry-run 2>&1 |
		grep -F 'warning: code should be clang-formatted' | sort -u || true)
else
	echo "check_style: clang-format $version, not 14: the layout is not compared"
fi

complain "codespell" < <(printf '%s\n' "${texts[@]}" | xargs codespell -q 3 -L "$words" || true)

complain "shellcheck" < <(printf '%s\n' "${scripts[@]}" | xargs -n 4 -P "$(nproc)" shellcheck -x -f gcc || true)

if ((failed)); then
	echo "check_style: $failed complaints"
	exit 1
fi
echo "check_style: ${#sources[@]} sources, ${#scripts[@]} scripts, ${#texts[@]} texts, nothing to complain about"
