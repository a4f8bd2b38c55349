# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The command lines of the benchmarks' scripts, and of what they have not built yet; filch-bench has bench/options.c.

# whole_number OPTION TEXT LEAST MOST VARIABLE: sets the variable, or ends the script.
whole_number() {
	if [[ ! $2 =~ ^[0-9]{1,15}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
		echo "${0##*/}: $1 takes a whole number from $3 to $4, and not \"$2\"" >&2
		exit 2
	fi
	printf -v "$5" %d "$((10#$2))"
}

# no_option WORD: ends the script.
no_option() {
	echo "${0##*/}: \"$1\" is not among the options, see --help" >&2
	exit 2
}

# filch_bench_judges OPTIONS: ends the script if filch-bench would refuse them. It needs no build.
filch_bench_judges() {
	# shellcheck disable=SC2034 # number is set by its name
	local number word
	local -a words
	local known
	known=" $(sed -nE '/ contestant_names\[\] = /,/;/p' bench/options.c | grep -oE '"[a-z]+"' | tr -d '"' | tr '\n' ' ')"
	while (($#)); do
		case $1 in
		--*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
		esac
		case $1 in
		--list | --busy | --quick | --check | --help) ;;
		--only | --json | --report | --rounds | --seconds | --workers | --contestants)
			(($# > 1)) || { echo "${0##*/}: \"$1\" takes a value" >&2 && exit 2; }
			IFS=, read -ra words <<<"$2,"
			((${#words[@]})) || words=('')
			case $1 in
			--rounds) whole_number "$1" "$2" 1 10000 number ;;
			--workers) for word in "${words[@]}"; do whole_number "$1" "$word" 1 256 number; done ;;
			--seconds)
				[[ $2 =~ ^([0-9]+\.?[0-9]*|\.[0-9]+)$ ]] || { echo "${0##*/}: $1 takes a number, and not \"$2\"" >&2 && exit 2; }
				;;
			--contestants)
				for word in "${words[@]}"; do
					[[ $known == *" $word "* ]] || { echo "${0##*/}: $1 takes${known}and not \"$word\"" >&2 && exit 2; }
				done
				;;
			esac
			shift
			;;
		*) no_option "$1" ;;
		esac
		shift
	done
}
