#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the pages show is what the tests compile, and what they name exists:
#   - a C or C++ snippet (between ```c or ```cpp and ```) under a line <!-- from docs/examples/x.c -->
#     occurs verbatim in that file; no other is longer than three lines
#   - every filch_, FILCH_, filchi_ and FILCHI_ name on a page occurs in the sources or the build files
#   - every relative link leads to a file
#   - every page under docs/ is linked from README.md or docs/README.md, ADRs from their list
#   - README.md has at most 800 words outside code
#
# usage: check_docs.sh [root]
set -euo pipefail

root=${1:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$root"
failed=0
snippets=0

complain() {
	echo "check_docs: $*"
	failed=$((failed + 1))
}

# page line source text: one snippet has ended
check_snippet() {
	local page=$1 line=$2 source=$3 text=$4 lines content
	if [[ -z $source ]]; then
		lines=$(grep -c '' <<<"${text%$'\n'}")
		((lines <= 3)) || complain "$page:$line: a snippet of $lines lines that is taken from no example"
		return
	fi
	snippets=$((snippets + 1))
	if [[ ! -f $source ]]; then
		complain "$page:$line: $source: no such file"
		return
	fi
	content=$'\n'$(<"$source")$'\n'
	[[ -n ${text//[[:space:]]/} ]] || complain "$page:$line: an empty snippet"
	[[ $content == *$'\n'"$text"* ]] || complain "$page:$line: the snippet is not in $source as it stands"
}

# page: its text without snippets and indented code
prose() { awk '/^```/ { code = !code; next } !code && !/^\t/' "$1"; }

mapfile -t pages < <(find . -maxdepth 2 -name '*.md' -not -path './build/*' -not -path './.*/*' | sort
	find docs -mindepth 2 -name '*.md' | sort)
pages=("${pages[@]#./}")
[[ " ${pages[*]} " == *" README.md "* ]] || complain "README.md: not found"

for page in "${pages[@]}"; do
	number=0
	inside=
	source=
	# shellcheck disable=SC2094 # complaints name the page, they do not write it
	while IFS= read -r line || [[ -n $line ]]; do
		number=$((number + 1))
		if [[ -n $inside ]]; then
			if [[ $line == '```'* ]]; then
				[[ $inside != c && $inside != cpp ]] || check_snippet "$page" "$start" "$source" "$text"
				inside=
				source=
			else
				text+=$line$'\n'
			fi
		elif [[ $line =~ ^\<!--\ from\ ([^\ ]+)\ --\>$ ]]; then
			source=${BASH_REMATCH[1]}
		elif [[ $line == '```'* ]]; then
			inside=${line#\`\`\`}
			inside=${inside:-plain}
			start=$number
			text=
		elif [[ -n $line ]]; then
			source=
		fi
	done <"$page"
	[[ -z $inside ]] || complain "$page:$start: a snippet without an end"

	while IFS= read -r target; do
		[[ -e $(dirname "$page")/${target%%#*} ]] || complain "$page: the link to $target leads nowhere"
	done < <(prose "$page" | grep -oE '\]\([^)]+\)' | sed -E 's/^\]\((.*)\)$/\1/' | grep -vE '^(https?:|mailto:|#)' || true)
done

words=$(prose README.md | wc -w)
((words <= 800)) || complain "README.md: $words words outside code, more than 800"

for page in "${pages[@]}"; do
	case $page in
	docs/README.md) from=(README.md) ;;
	docs/adr/README.md) from=(docs/README.md) ;;
	docs/adr/*) from=(docs/adr/README.md) ;;
	docs/*) from=(README.md docs/README.md) ;;
	*) continue ;;
	esac
	linked=
	for index in "${from[@]}"; do
		target=$(realpath -m --relative-to="$(dirname "$index")" "$page")
		if grep -qF "]($target)" "$index"; then
			linked=1
		fi
	done
	[[ -n $linked ]] || complain "$page: no link leads there from ${from[*]}"
done

mapfile -t sources < <(find src include cmake tests bench docs/examples CMakeLists.txt CMakePresets.json -type f -not -name '*.md' \
	-not -name check_docs.sh)
known=$(cat "${sources[@]}" | grep -aoE '\b(filchi?|FILCHI?)_[A-Za-z0-9_]+' | sort -u)
while IFS= read -r name; do
	# a name that ends in an underscore stands for all that begin so
	if [[ $name == *_ ]]; then
		grep -q "^$name" <<<"$known" && continue
	elif grep -qxF -- "$name" <<<"$known"; then
		continue
	fi
	complain "$(grep -lwE -- "$name" "${pages[@]}" | head -n 1): $name exists nowhere in the sources"
done < <(cat "${pages[@]}" | grep -oE '\b(filchi?|FILCHI?)_[A-Za-z0-9_]+' | sort -u)

((snippets > 0)) || complain "no snippet is taken from an example: nothing was compared"

if ((failed)); then
	echo "check_docs: $failed complaints"
	exit 1
fi
echo "check_docs: ${#pages[@]} pages, $snippets snippets as compiled, every name found"
