#!/bin/sh
#
# Configurations that the operator may change.  What was installed is kept
# beside the documentation too; a file that is not the same any more was
# changed, and stays.
#
#	conffiles.sh install FROM TO KEPT	new ones, else as FILE.new
#	conffiles.sh remove  FROM TO KEPT	all that were not changed

set -eu
what=$1 from=$2 to=$3 kept=$4
install=${INSTALL:-install}

put()
{
	# $install may have options of its own
	# shellcheck disable=SC2086
	$install -m 644 "$1" "$2"
	echo "$1 -> $2"
}

install_one()
{
	if [ ! -e "$to/$1" ] || cmp -s "$to/$1" "$from/$1" ||
	    cmp -s "$to/$1" "$kept/$1"; then
		put "$from/$1" "$to/$1"
		rm -f "$to/$1.new"
	else
		put "$from/$1" "$to/$1.new"
	fi
	put "$from/$1" "$kept/$1"
}

remove_one()
{
	rm -f "$to/$1.new"
	if cmp -s "$to/$1" "$kept/$1"; then
		rm -f "$to/$1"
	elif [ -e "$to/$1" ]; then
		echo "$to/$1 was changed: kept"
	fi
	rm -f "$kept/$1"
}

[ "$what" = remove ] || {
	# shellcheck disable=SC2086
	$install -d "$to" "$kept"
}
for f in "$from"/sluice.conf*; do
	"${what}_one" "${f##*/}"
done
[ "$what" = install ] || rmdir "$to" "$kept" 2>/dev/null || :
