#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The four questions of docs/operating.md, asked of a server of which the answers are known: it runs on
# one core, its queue is full, the job "report" never ends, and its worker is busy. The commands are
# those on the page, one for each question.
#
# usage: operating.sh ROOT DIRECTORY_OF_THE_TOOLS SERVER
set -euo pipefail

root=$1
tools=$2
server=$3

# shellcheck source=tests/lib/verdict.sh
. "$root/tests/lib/verdict.sh" operating
export PATH=$tools:$PATH
pid=
trap 'kill "$pid" 2>/dev/null || true' EXIT
# the page asks for the process by its name
pidof() { echo "$pid"; }
export -f pidof

# started BY...: the server, once its page shows what it is at
started() {
	FILCH_LIVE=1 "$@" "$server" 100 >/dev/null &
	pid=$!
	export pid
	until filch-top --once --pid "$pid" 2>/dev/null | grep -q ' report$'; do
		kill -0 "$pid" 2>/dev/null || fail "$*: the server has ended"
	done
}

# answer QUESTION: what the page's command prints
answer() {
	local command
	command=$(awk -v heading="## $1" '$0 == heading { here = 1; next } /^## / { here = 0 }
		here && /^```sh$/ { inside = 1; next } /^```/ { inside = 0 } here && inside' "$root/docs/operating.md")
	[[ -n $command && $command != *$'\n'* ]] || fail "$1: not one command: $command"
	bash -euc "$command" || fail "$1: $command: status $?"
}

# expect QUESTION EXPRESSION: sooner or later, for a page tells of the moment before
expect() {
	local said
	until said=$(answer "$1") && grep -qE "$2" <<<"$said"; do
		kill -0 "$pid" 2>/dev/null || fail "$1: no $2 in: $said"
	done
	passed=$((passed + 1))
}

core=$(taskset -cp $$ | sed -E 's/.*: ([0-9]+).*/\1/')
started taskset -c "$core"
if (($(nproc) > 1)); then
	expect "Why is one core used?" "usable: 1 core: affinity mask allows 1 of"
fi
expect "Why is one core used?" '^pool 1 "server": 1 of 1 workers may run'
expect "How deep is the queue?" '^ +0 +(9[0-9]|100) +[12] '
expect "Who is slow?" ' [0-9.]+m?s report$'
expect "What did the workers do in the last second?" "^ +0 +$core +busy +(100|9[0-9])%"
kill "$pid"
wait "$pid" 2>/dev/null || true

started env FILCH_WORKERS=1
expect "Why is one core used?" 'workers: 1 from FILCH_WORKERS'
passed_all
