#!/bin/sh
#
# Runs the gateway from the tree, with a demo: a page that is served as a
# file and shows itself asking a small upstream through the proxy.  Port
# 8080 of 127.0.0.1 or the next free one; Ctrl-C stops it.  State lies in
# build/demo-PORT.  Options are passed on to sluiced.

set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
state=$here/build/demo

# is_free PORT: nobody listens there (/proc/net/tcp: state 0A)
is_free()
{
	hex=$(printf '%04X' "$1")
	for f in /proc/net/tcp /proc/net/tcp6; do
		[ -r "$f" ] || continue
		awk -v p=":$hex" '
			$4 == "0A" && substr($2, length($2) - 4) == p { n++ }
			END { exit n > 0 }' "$f" || return 1
	done
}

port=${PORT:-8080}
last=$((port + 100))
until is_free "$port"; do
	port=$((port + 1))
	[ "$port" -lt "$last" ] || { echo "no free port" >&2; exit 4; }
done

state=$state-$port
mkdir -p "$state"
DEMO_DIR=$state DEMO_WWW=$here/contrib/demo/www
DEMO_PORT=$port DEMO_USER=$(id -un)
export DEMO_DIR DEMO_WWW DEMO_PORT DEMO_USER
echo "sluice: http://127.0.0.1:$port/  (Ctrl-C stops it)"
exec "$here/build/sluiced" -f -c "$here/contrib/demo/demo.conf" "$@"
