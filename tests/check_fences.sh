#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every full fence is named, paired and proved. A fence's comment block opens with
#
#	FENCE D1   store bottom -> load top   pairs with: D2 in filchi_deque_steal()
#
# and this script fails when a label is written twice, names no partner, names a partner that is no fence of the sources, or has
# no row "| D1 |" in docs/memory-model.md; and when that page has a row for a label that is gone.
#
# usage: check_fences.sh [root]
set -euo pipefail

root=${1:-$(cd "$(dirname "$0")/.." && pwd)}
page=$root/docs/memory-model.md
failed=0

complain() {
	echo "check_fences: $*"
	failed=$((failed + 1))
}

# file:line label partners: the tokens after "pairs with:", on the label's line or one of the two that follow it
# shellcheck disable=SC2016 # the variables are awk's
fences=$(find "$root/src" "$root/include" -name '*.[ch]' -print0 | sort -z | xargs -0 awk '
	function flush() {
		if (label != "")
			print where, label, (partners == "" ? "none" : partners)
		label = ""
	}
	function look(text,    n, i, word, part) {
		if (!match(text, /pairs with:/))
			return
		text = substr(text, RSTART + RLENGTH)
		n = split(text, word, /[^A-Za-z0-9_]+/)
		for (i = 1; i <= n; i++)
			if (word[i] ~ /^[A-Z][0-9]+$/)
				partners = partners (partners == "" ? "" : ",") word[i]
		left = 0
	}
	FNR == 1 { flush(); left = 0 }
	match($0, /(^|[^A-Za-z0-9_])FENCE [A-Z][0-9]+([^A-Za-z0-9_]|$)/) {
		flush()
		text = substr($0, RSTART)
		sub(/^[^F]*FENCE /, "", text)
		match(text, /^[A-Z][0-9]+/)
		label = substr(text, 1, RLENGTH)
		where = FILENAME ":" FNR
		partners = ""
		left = 3
	}
	label != "" && left > 0 { left--; look($0) }
	END { flush() }')

if [[ -z $fences ]]; then
	complain "no FENCE label in src/ or include/: nothing to check"
fi

declare -A partners_of=() place_of=()
while read -r where label partners; do
	[[ -n $label ]] || continue
	where=${where#"$root"/}
	if [[ -n ${place_of[$label]:-} ]]; then
		complain "$where: FENCE $label is already at ${place_of[$label]}"
	fi
	place_of[$label]=$where
	partners_of[$label]=$partners
done <<<"$fences"

for label in "${!place_of[@]}"; do
	where=${place_of[$label]}
	if [[ ${partners_of[$label]} == none ]]; then
		complain "$where: FENCE $label does not say what it pairs with"
		continue
	fi
	for partner in ${partners_of[$label]//,/ }; do
		if [[ -z ${place_of[$partner]:-} ]]; then
			complain "$where: FENCE $label pairs with $partner, which is no fence of the sources"
		fi
	done
	if ! grep -qE "^\| *$label *\|" "$page" 2>/dev/null; then
		complain "$where: FENCE $label has no row \"| $label |\" in docs/memory-model.md"
	fi
done

if [[ -f $page ]]; then
	while read -r label; do
		if [[ -n $label && -z ${place_of[$label]:-} ]]; then
			complain "docs/memory-model.md: row $label: no such FENCE in the sources"
		fi
	done < <(grep -oE '^\| *[A-Z][0-9]+ *\|' "$page" | grep -oE '[A-Z][0-9]+')
fi

if ((failed)); then
	echo "check_fences: $failed complaints"
	exit 1
fi
echo "check_fences: ${#place_of[@]} fences, each paired and with its row"
