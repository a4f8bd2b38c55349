#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The benchmarks' page, as a browser shows it: every row of the results, a mark for each that has a
# ratio, and the other revisions where some were compared. It is one file, and asks for no other.
#
# usage: check_page.sh ROOT FILCH_BENCH
set -euo pipefail

root=$1
bench=$2
# shellcheck source=tests/lib/verdict.sh
. "$(dirname "$0")/lib/verdict.sh" check_page

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bench" --check --workers 1,2 --contestants serial,baseline,filch --report "$work" >"$work/table"
rows=$(grep -c '^{"bench":' "$work/results.json")
((rows > 50)) || fail "only $rows results"
page=$work/index.html
! grep -nE '(src|href)=|@import|url\(|fetch\(' "$page" || fail "the page asks for other files"
! grep -n '/\*[A-Z]*\*/' "$page" || fail "a place was not filled"
passed=$((passed + 2))

browser=$(command -v chromium || command -v chromium-browser || true)
[[ -n $browser ]] || { echo "SKIP: what a browser makes of the page: no chromium (apt-get install chromium)"; exit 77; }

# shown NAME: what the page becomes
shown() {
	HOME=$work "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
		--user-data-dir="$work/profile" --virtual-time-budget=5000 --dump-dom "file://$page" \
		>"$work/$1" 2>"$work/said" || fail "the browser: $(tail -n 3 "$work/said")"
	# what it makes stands behind the texts that it is made from
	sed -i '/<script type=/,/<\/script>/d; /<script>/,/<\/script>/d' "$work/$1"
}
# rows_of FILE ID: of the table in the element
rows_of() { tr '\n' ' ' <"$work/$1" | sed "s/.*id=\"$2\">//; s/<\/table>.*//" | grep -o '<tr>' | wc -l; }
count() { grep -oE "$2" "$work/$1" | wc -l; }

shown plain
! grep -nE 'NaN|undefined|Infinity' "$work/plain" || fail "a figure was not there"
lines=$(rows_of plain all)
[[ $lines == $((rows + 1)) ]] || fail "$lines lines for $rows results"
ratios=$(grep '"workers":2,' "$work/results.json" | grep -c '"ratio_to_baseline":[0-9]')
marks=$(count plain 'class="mark"')
((ratios >= 15 && marks > ratios)) || fail "$marks marks for $ratios ratios"
tens=$(rows_of plain ten)
[[ $tens == 11 ]] || fail "$tens lines in the first table"
! grep -q 'Revisions' "$work/plain" || fail "revisions that nobody compared"
passed=$((passed + 5))

cat >"$work/compare.json" <<'JSON'
[
{"bench":"fib 5","contestant":"filch","workers":1,"revision":"older","unit":"s","here":0.5,"there":0.75,"disturbed":false,"ratio":1.5,"ratio_min":1.4,"ratio_max":1.6},
{"bench":"fib 5","contestant":"filch","workers":1,"revision":"</script>","unit":"s","here":0.5,"there":1,"disturbed":false,"ratio":2,"ratio_min":2,"ratio_max":2}
]
JSON
"$root/bench/page/make" "$work"
shown compared
for text in 'Revisions' 'older' '750 ms' '500 ms' '&lt;/script&gt;' '<polyline'; do
	grep -q -- "$text" "$work/compared" || fail "no $text among the revisions"
	passed=$((passed + 1))
done
passed_all
