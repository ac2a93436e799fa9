#!/bin/sh
#
# All of make lint: the house rules, both compilers with -Werror, the
# kqueue file against its header shim, cppcheck, man pages, scripts.
# Each is run even if one before it failed; the last line counts them.

set -u

tmp=$(mktemp -d "${TMPDIR:-/tmp}/lint.XXXXXX") || exit 4
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
cpus=$(getconf _NPROCESSORS_ONLN)

# check NAME COMMAND ...: what it says is shown when it fails
check()
{
	name=$1
	shift
	if "$@" >"$tmp/out" 2>&1; then
		passed=$((passed + 1))
		echo "$name: ok"
	else
		failed=$((failed + 1))
		echo "--- $name"
		cat "$tmp/out"
	fi
}

# the files of the patterns that exist
present()
{
	for f; do
		[ ! -f "$f" ] || printf '%s\n' "$f"
	done
}

# compile CC NAME FILE ...: every file by itself, no object is written
compile()
{
	cc=$1 name=$2
	shift 2
	[ $# -gt 0 ] || return 0
	command -v "$cc" >/dev/null 2>&1 || {
		echo "$name: left out, no $cc"
		return 0
	}
	# shellcheck disable=SC2016	# for the inner shell
	check "$name" sh -c 'cc=$1; shift; printf "%s\n" "$@" |
	    xargs -P "$0" -n 8 "$cc" -std=c11 -D_GNU_SOURCE -I. -Isrc \
	    -DSL_FAULTS=1 -fsyntax-only -Werror -Wall -Wextra -Wshadow \
	    -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2' \
	    "$cpus" "$cc" "$@"
}

# house rules count one by one
/usr/bin/python3 t/lint/lint.py >"$tmp/rules"
cat "$tmp/rules"
if ! last=$(grep '^rules: [0-9]* passed, [0-9]* failed$' "$tmp/rules"); then
	last='rules: 0 passed, 1 failed'
fi
passed=$(echo "$last" | cut -d' ' -f2)
failed=$(echo "$last" | cut -d' ' -f4)

sources=$(find src -name '*.c' ! -name 'ev_kqueue.c' | sort)
tests=$(present t/unit/*.c t/fuzz/*.c contrib/bench/*.c)
# the names hold no blanks
# shellcheck disable=SC2086
compile gcc 'gcc -Werror' $sources $tests
# shellcheck disable=SC2086
compile clang 'clang -Werror' $sources $tests

if [ -d contrib/kqueue-shim ] && [ -f src/os/ev_kqueue.c ]; then
	check 'ev_kqueue.c with the header shim' gcc -std=c11 -D_GNU_SOURCE \
	    -I. -Isrc -Icontrib/kqueue-shim -Wall -Wextra -Werror \
	    -fsyntax-only src/os/ev_kqueue.c
fi

mkdir -p build/cppcheck
check cppcheck cppcheck -q -j"$cpus" --std=c11 --language=c -Isrc -I. \
    -D_GNU_SOURCE -D__linux__ --cppcheck-build-dir=build/cppcheck \
    --enable=warning,portability --inline-suppr --error-exitcode=1 \
    --suppressions-list=t/lint/cppcheck.txt src

# shellcheck disable=SC2046
check 'scripts' shellcheck configure .ci/run \
    $(present contrib/*.sh t/lint/*.sh t/fuzz/*.sh)
pages=$(present man/*.[1-9])
# shellcheck disable=SC2086
[ -z "$pages" ] || check 'man pages' mandoc -T lint -W warning $pages
for prog in build-test/sluiced build/sluiced; do
	[ -x "$prog" ] || continue
	check 'sluice.conf.5 has all rows' env SLUICED="$prog" \
	    sh contrib/manrows.sh --check
	break
done

echo "lint: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
