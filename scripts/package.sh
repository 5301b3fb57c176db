#!/bin/sh
# package.sh PACKAGE... -- COMMAND...: install Debian's packages, which tests want, unless one of the commands is there
# already, if apt-get may do it. Where it can't, those tests fail and say what is missing; all others run.
packages=
while [ "$1" != -- ]; do
    packages="$packages $1"
    shift
done
shift
for name in "$@"; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done

missing() {
    echo "$1 is missing ($2): install$packages, or the tests that use it fail" >&2
    exit 0
}

command -v apt-get >/dev/null 2>&1 || missing "$1" "no apt-get here"
if [ "$(id -u)" = 0 ]; then
    root="env"
elif sudo -n true 2>/dev/null; then
    root="sudo -n env"
else
    missing "$1" "installing it needs root"
fi
echo "installing$packages for the tests"
$root DEBIAN_FRONTEND=noninteractive apt-get -qq update || missing "$1" "apt-get update failed"
# At run level 1 nothing that is installed is started.
# shellcheck disable=SC2086
$root DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y --no-install-recommends $packages \
    </dev/null >/dev/null || missing "$1" "apt-get install failed"
