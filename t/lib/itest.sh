#!/bin/sh
#
# itest.sh COMMAND ...: runs the command, a pytest, for all of t/ but the
# soak, in two processes beside each other: most of what these tests take
# is waiting.  Each has a summary of its own; 1 if one of them failed.

log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT

# what servers are asked takes about as long as all the rest
servers='' rest=''
for f in t/test_*.py; do
	case $f in
	t/test_upstream*|t/test_balance*|t/test_breaker*|t/test_retry*)
		servers="$servers $f" ;;
	*)	rest="$rest $f" ;;
	esac
done
# names of tests have no blanks
# shellcheck disable=SC2086
"$@" $servers >"$log" 2>&1 &
beside=$!
rc=0
# shellcheck disable=SC2086
"$@" $rest || rc=1
wait "$beside" || rc=1
cat "$log"
exit $rc
