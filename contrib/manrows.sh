#!/bin/sh
#
# Writes the reference part of man/sluice.conf.5, keys and failures, anew
# from the tables in the code; --check only says whether it is up to date
# (make lint).

set -eu
cd "$(dirname "$0")/.."
prog=${SLUICED:-build/sluiced}
page=man/sluice.conf.5
tmp=$(mktemp)
trap 'rm -f "$tmp" "$tmp.rows"' EXIT

# place NAME: what configure chose; the page shows what it is without options
place()
{
	sed -n "s/^#define $1 \"\\(.*\\)\"\$/\\1/p" config.h | sed 's/-/\\\\-/g'
}

# a sentence begins a line, and lines have 80 columns
"$prog" --dump-mdoc >"$tmp"
awk -v state="$(place SL_STATEDIR)" -v run="$(place SL_RUNDIR)" '
	function put(s, i)
	{
		while (length(s) > 79) {
			for (i = 79; i > 1 && substr(s, i, 2) !~ / [^ .\047]/;)
				i--
			if (i == 1)
				break
			print substr(s, 1, i - 1)
			s = substr(s, i + 1)
		}
		print s
	}
	$0 == ".Ql \\&" state " ." { $0 = ".Ql \\&/usr/local/var/lib/sluice ." }
	$0 == ".Ql \\&" run " ." { $0 = ".Ql \\&/run/sluice ." }
	/^\./ { print; next }
	{
		while (match($0, /[.!?] +[A-Z0-9]/)) {
			put(substr($0, 1, RSTART))
			$0 = substr($0, RSTART + RLENGTH - 1)
		}
		put($0)
	}
' "$tmp" >"$tmp.rows"

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
