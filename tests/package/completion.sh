#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The tools' completion in a bash of its own: the file is installed, loaded as bash-completion loads
# it, by the name of the command, and offers each option of --help, values and processes.
#
# usage: completion.sh ROOT WORK_DIRECTORY TOOL...
set -euo pipefail

root=$1
work=$2
tools=("${@:3}")

# shellcheck source=tests/lib/verdict.sh
. "$root/tests/lib/verdict.sh" completion
library=/usr/share/bash-completion/bash_completion
[[ -r $library ]] || { echo "SKIP: no bash-completion (apt-get install bash-completion)"; exit 77; }

rm -rf "$work"
mkdir -p "$work/bin" "$work/share/bash-completion/completions" "$work/some.d"
for tool in "${tools[@]}"; do
	ln -s "$tool" "$work/bin"
	cp "$root/src/tools/completion.bash" "$work/share/bash-completion/completions/${tool##*/}"
done
cd "$work"

# offered TOOL WORDS...: what is offered for the last word
offered() {
	PATH=$work/bin:$PATH XDG_DATA_DIRS=$work/share XDG_DATA_HOME=$work/none BASH_COMPLETION_USER_DIR=$work/none \
		bash --norc -c '
		. "$0"
		_completion_loader "$1" || [[ $? == 124 ]] || exit 1
		function=$(complete -p "$1" | sed -E "s/.*-F ([^ ]+).*/\1/")
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
		COMP_TYPE=9 COMP_KEY=9
		"$function" "$1" "${!#}" "${@: -2:1}"
		printf "%s\n" "${COMPREPLY[@]}"' "$library" "$@" 2>&1
}

for tool in "${tools[@]}"; do
	name=${tool##*/}
	listed=$("$tool" --help | grep -oE '^ +(-[a-z], )?--[a-z-]+|^ +--[a-z-]+(, --[a-z-]+)*' | grep -oE '\-\-[a-z-]+' | sort -u)
	[[ -n $listed ]] || fail "$name --help lists nothing"
	got=$(offered "$name" --)
	while read -r option; do
		grep -qxF -- "$option" <<<"$got" || fail "$name: $option is not offered, but: $(paste -sd ' ' <<<"$got")"
	done <<<"$listed"
	passed=$((passed + 1))
	got=$(offered "$name" --he)
	[[ $got == --help ]] || fail "$name --he: $got"
	passed=$((passed + 1))
done
if [[ " ${tools[*]##*/} " == *" filch-info "* ]]; then
	got=$(offered filch-info --workload "")
	[[ $got == $'cpu\nio' ]] || fail "filch-info --workload: $got"
	got=$(offered filch-info --proc some)
	[[ $got == some.d ]] || fail "filch-info --proc some: $got"
	passed=$((passed + 2))
fi
passed_all
