#!/bin/sh
# Put a Redis 7 at build/redis7/redis-server: the one that is installed, or Debian 12's, unpacked and not installed, so
# that no service starts. REDIS7=/path/to/redis-server names another one.
set -eu
cd "$(dirname "$0")/.."
place=build/redis7
wanted='^Redis server v=7\.'

is_wanted() {
    "$1" --version 2>/dev/null | grep -q "$wanted"
}

missing() {
    echo "a Redis 7 is missing ($1): name one, REDIS7=/path/to/redis-server" >&2
    exit 1
}

put() {
    mkdir -p "$place"
    printf '#!/bin/sh\n%sexec "%s" "$@"\n' "$2" "$1" >"$place/redis-server"
    chmod +x "$place/redis-server"
    is_wanted "$place/redis-server" || missing "$1 is none"
}

if [ -n "${REDIS7:-}" ]; then
    put "$REDIS7" ""
    exit
fi
is_wanted "$place/redis-server" && exit
installed=$(command -v redis-server || true)
if [ -n "$installed" ] && is_wanted "$installed"; then
    put "$installed" ""
    exit
fi

command -v apt-get >/dev/null 2>&1 || missing "no apt-get here"
packages="redis-tools libjemalloc2 liblzf1 libatomic1"
rm -rf "$place"
mkdir -p "$place/packages"
fetch() {
    # shellcheck disable=SC2086
    (cd "$place/packages" && apt-get -qq -o APT::Sandbox::User=root download $packages)
}
echo "fetching Redis 7 for the tests"
if ! fetch 2>/dev/null; then
    # The lists of packages may be missing, or old.
    if [ "$(id -u)" = 0 ]; then apt-get -qq update || true; else sudo -n apt-get -qq update || true; fi
    fetch || missing "apt-get can't fetch $packages"
fi
for package in "$place"/packages/*.deb; do dpkg -x "$package" "$place/root"; done
rm -r "$place/packages"
libraries=$(find "$PWD/$place/root" -name 'lib*.so.*' -exec dirname {} \; | sort -u | paste -sd: -)
# Debian's redis-server is a link to this program, which goes by the name it is called by.
ln -sf redis-check-rdb "$place/root/usr/bin/redis-server"
put "$PWD/$place/root/usr/bin/redis-server" "LD_LIBRARY_PATH=\"$libraries\"; export LD_LIBRARY_PATH
"
