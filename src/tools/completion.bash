# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Completion for filch's tools in bash, all from what --help prints: options, and for each what its
# value is. It is installed once under the name of each tool, and completes the command whose name
# the file has.

_filch_tool() {
	# shellcheck disable=SC2034 # _init_completion sets all four
	local cur prev words cword
	_init_completion || return
	local help value commands
	help=$("$1" --help 2>/dev/null | sed -nE 's/^  (-[^ ].*)/\1/p' | sed -E 's/ {2,}.*//')
	value=$(sed -nE "s/^(-[a-z], )?$prev ([^ ]+)$/\2/p" <<<"$help")
	case $value in
	'')
		# a tool may have commands, in front of which and behind which options stand
		commands=$("$1" --help 2>/dev/null | sed -nE 's/^  ([a-z]+)  .*/\1/p')
		if [[ $cur == -* || -z $commands ]]; then
			commands=$(grep -oE -e '--[a-z-]+' <<<"$help")
		elif ((cword > 1)); then
			_filedir
			return
		fi
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
		;;
	N)
		# processes with live pools, where a process is asked for
		if [[ $prev == --pid ]]; then
			value=$(filch-info --running 2>/dev/null | sed -nE 's/^.* ([0-9]+), filch .*/\1/p')
			mapfile -t COMPREPLY < <(compgen -W "$value" -- "$cur")
		fi
		;;
	*\|*) mapfile -t COMPREPLY < <(compgen -W "${value//|/ }" -- "$cur") ;;
	DIR) _filedir -d ;;
	FILE*) _filedir ;;
	esac
} &&
	complete -F _filch_tool "${BASH_SOURCE[0]##*/}"
