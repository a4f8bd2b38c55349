#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The shared library exports what src/filch.map lists, all of it and nothing else, each name under its version.
#
# usage: check_exports.sh libfilch.so
set -euo pipefail

library=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "name@@node" from the map: names end in ";", a node opens with "NAME {"
sed -e 's@/\*.*\*/@@' "$root/src/filch.map" | awk '
	/^[ \t]*\/\*/ { comment = 1 }
	comment { if (/\*\//) comment = 0; next }
	/^FILCH_[0-9.]+ *\{/ { node = $1; next }
	/^[ \t]*local:/ { local = 1 } /^[ \t]*global:/ { local = 0 }
	/^[ \t]*[a-z_0-9]+;/ && !local { name = $1; sub(/;/, "", name); print name "@@" node }' | sort >"$work/listed"
nm -D --defined-only --with-symbol-versions "$library" | awk '$2 != "A" { print $3 }' | sort >"$work/exported"

[[ -s $work/listed ]] || { echo "check_exports: src/filch.map lists nothing"; exit 1; }
missing=$(comm -23 "$work/listed" "$work/exported")
extra=$(comm -13 "$work/listed" "$work/exported")
# shellcheck disable=SC2086 # one line for each name
[[ -z $missing ]] || printf 'check_exports: listed but not exported: %s\n' $missing
# shellcheck disable=SC2086
[[ -z $extra ]] || printf 'check_exports: exported but not listed: %s\n' $extra
[[ -z $missing && -z $extra ]] || exit 1
echo "check_exports: $(wc -l <"$work/listed") names, exported and listed alike"
