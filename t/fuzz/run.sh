#!/bin/sh
#
# run.sh BUILD FUZZER ...: runs each libFuzzer program for FUZZ_RUNS inputs,
# as many at a time as there are processors.  New inputs go to
# BUILD/corpus/X, which the next run starts from besides t/fuzz/corpus/X;
# findings to BUILD/found/.  A dictionary is t/fuzz/X.dict; t/fuzz/X.max
# has the bytes that an input may have at most.

set -u

one()
{
	prog=$2
	name=${prog##*/fuzz_}
	log=$1/$name.log
	mkdir -p "$1/corpus/$name" "$1/found"
	set -- "-runs=$FUZZ_RUNS" -timeout=10 -rss_limit_mb=4096 \
	    -print_final_stats=1 "-artifact_prefix=$1/found/$name-" \
	    "$1/corpus/$name"
	[ ! -d "t/fuzz/corpus/$name" ] || set -- "$@" "t/fuzz/corpus/$name"
	[ ! -f "t/fuzz/$name.dict" ] || set -- "-dict=t/fuzz/$name.dict" "$@"
	[ ! -f "t/fuzz/$name.max" ] ||
		set -- "-max_len=$(cat "t/fuzz/$name.max")" "$@"
	if "$prog" "$@" >"$log" 2>&1; then
		echo "$name: $(sed -n 's/^Done \([0-9]* runs.*\)/\1/p' "$log")"
		return 0
	fi
	echo "--- $name: a finding, see $log"
	grep -a -m 3 -e ERROR: -e 'runtime error' -e 'Test unit written' "$log"
	return 1
}

if [ "$1" = -1 ]; then
	one "$2" "$3"
	exit $?
fi
build=$1
shift
[ $# -gt 0 ] || { echo 'fuzz: 0 targets'; exit 0; }
printf '%s\n' "$@" |
    xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 1 sh "$0" -1 "$build"
rc=$?
[ $rc -ne 0 ] || echo "fuzz: $# targets, $FUZZ_RUNS inputs each, no finding"
exit $rc
