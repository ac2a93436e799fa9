#!/bin/sh
#
# deps.sh WHAT ...: installs the Debian packages that building (build),
# testing (check), make lint (lint), fuzz, cover and bench need.  As root
# it installs what is missing and says so in one line; as anybody else it
# prints the command and exits 4.  On other systems it does nothing:
# configure then names what is missing.  The servers that tests and bench
# use are not started as services, neither now nor at the next boot.

set -u
# where servers are, which is on root's path alone
PATH=$PATH:/usr/sbin:/sbin

command -v dpkg-query >/dev/null 2>&1 || exit 0
command -v apt-get >/dev/null 2>&1 || exit 0

want=
for what; do
	case $what in
	build)	want="$want make pkg-config libssl-dev zlib1g-dev"
		want="$want libpcre2-dev libinih-dev libjansson-dev"
		want="$want libc-ares-dev libnghttp2-dev"
		command -v "${CC:-cc}" >/dev/null 2>&1 ||
			want="$want gcc libc6-dev" ;;
	check)	want="$want check python3 python3-pytest python3-pytest-xdist"
		want="$want python3-pytest-timeout"
		want="$want goaccess"
		want="$want python3-websockets nodejs node-ws"
		want="$want python3-cryptography openssl"
		want="$want dnsmasq-base nginx-light haproxy curl strace"
		want="$want python3-h2 nghttp2-client chromium"
		want="$want python3-grpcio npm testssl.sh"
		want="$want valgrind systemd zsh" ;;
	lint)	want="$want python3 mandoc shellcheck cppcheck" ;;
	fuzz)	want="$want clang libclang-rt-dev" ;;
	cover)	want="$want gcovr" ;;
	bench)	want="$want python3 nginx-light h2o lighttpd haproxy"
		want="$want strace valgrind" ;;
	*)	echo "deps.sh: unknown set $what" >&2
		exit 2 ;;
	esac
done

# pkg-config is a virtual package in some releases: the command counts
missing=
# shellcheck disable=SC2086	# a list of names
have=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' $want \
    2>/dev/null) "
for pkg in $want; do
	case $have in
	*" $pkg=installed "*) continue ;;
	esac
	case $pkg in
	make|pkg-config|mandoc|shellcheck|cppcheck|clang|gcovr|nginx-light|\
	haproxy|curl|strace|valgrind|zsh|npm)
		command -v "${pkg%-light}" >/dev/null 2>&1 && continue ;;
	esac
	case " $missing " in
	*" $pkg "*) ;;
	*) missing="$missing $pkg" ;;
	esac
done
[ -n "$missing" ] || exit 0

cmd="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" != 0 ]; then
	echo "missing:$missing" >&2
	echo "as root: $cmd" >&2
	exit 4
fi

log=$(mktemp "${TMPDIR:-/tmp}/deps.XXXXXX") || exit 4
policy=
trap 'rm -f "$log" $policy' EXIT
case " $missing " in
*" nginx-light "*|*" h2o "*|*" lighttpd "*|*" haproxy "*)
	# what Debian's packages ask before they start a service
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi ;;
esac
echo "installing$missing" >&2
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
$cmd -qq >"$log" 2>&1 ||
	{ apt-get update -qq >>"$log" 2>&1; $cmd -qq >>"$log" 2>&1; } || {
	tail -n 20 "$log" >&2
	echo "deps.sh: that failed; try: apt-get update && $cmd" >&2
	exit 4
}
if command -v systemctl >/dev/null 2>&1; then
	for pkg in $missing; do
		case $pkg in
		nginx-light|h2o|lighttpd|haproxy)
			systemctl disable -q "${pkg%-light}" 2>/dev/null ;;
		esac
	done
fi
exit 0
