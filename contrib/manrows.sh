#!/bin/sh
#
# Writes the reference part of man/sluice.conf.5 anew from the tables in
# the code; --check only says whether it is up to date (make lint).

set -eu
cd "$(dirname "$0")/.."
prog=${SLUICED:-build/sluiced}
page=man/sluice.conf.5
tmp=$(mktemp)
trap 'rm -f "$tmp" "$tmp.rows"' EXIT

"$prog" --dump-mdoc >"$tmp.rows"
awk -v rows="$tmp.rows" '
	/^\.\\" BEGIN ROWS/ {
		print
		while ((getline line < rows) > 0)
			print line
		skip = 1
	}
	/^\.\\" END ROWS/ { skip = 0 }
	!skip && !/^\.\\" BEGIN ROWS/ { print }
' "$page" >"$tmp"
if [ "${1-}" = --check ]; then
	cmp -s "$tmp" "$page" || {
		echo "$page: is not what the tables say: run $0" >&2
		exit 1
	}
else
	cat "$tmp" >"$page"
fi
