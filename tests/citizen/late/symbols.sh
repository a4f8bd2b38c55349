#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What the loader sees. The shared library takes less than 256 bytes of the memory that it keeps for
# thread-locals of libraries loaded late. A plugin with the static library neither exports nor wants
# one of filch's names.
#
# usage: symbols.sh LIBFILCH.SO PLUGIN_WITH_STATIC PLUGIN_WITH_SHARED
set -eu

limit=256
size=$(readelf -lW "$1" | awk '$1 == "TLS" { print $6 }')
[ -n "$size" ] || { echo "symbols: $1 has no thread-locals: the test is blind"; exit 1; }
size=$((size))
[ "$size" -lt $limit ] || { echo "symbols: $size bytes of static TLS, the limit is $limit"; exit 1; }
readelf -dW "$1" | grep -q NODELETE || { echo "symbols: $1 may be unloaded"; exit 1; }

# the one with the shared library wants some: nm sees what it should
nm -D "$3" | grep -q ' U filch_pool_create' || { echo "symbols: the test is blind"; exit 1; }
names=$(nm -D "$2" | grep -E ' filchi?_' || true)
[ -z "$names" ] || { echo "symbols: $2 has"; echo "$names"; exit 1; }
nm -D "$2" | grep -q 'T plugin_use' || { echo "symbols: $2 exports nothing"; exit 1; }
echo "symbols: $size bytes of static TLS; no name of filch in the plugin"
