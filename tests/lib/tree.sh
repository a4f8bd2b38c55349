# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# copy_tree ROOT TO: the sources as a release has them, without what was built in them. Sourced.
copy_tree() {
	mkdir -p "$2"
	tar -C "$1" --exclude-vcs --exclude=./build --exclude=./.cache --exclude=__pycache__ -cf - . | tar -C "$2" -xf -
}
