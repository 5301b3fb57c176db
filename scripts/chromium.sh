#!/bin/sh
# Install Chromium, which the tests of rq-dashboard open its pages in, if there is none and apt-get may do it.
# Where it can't, those tests fail and say what is missing; all others run.
for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done

missing() {
    echo "chromium is missing ($1): install the package chromium, or the tests that open a browser fail" >&2
    exit 0
}

command -v apt-get >/dev/null 2>&1 || missing "no apt-get here"
if [ "$(id -u)" = 0 ]; then
    root="env"
elif sudo -n true 2>/dev/null; then
    root="sudo -n env"
else
    missing "installing it needs root"
fi
echo "installing chromium for the tests of the dashboard"
$root DEBIAN_FRONTEND=noninteractive apt-get -qq update || missing "apt-get update failed"
$root DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium </dev/null >/dev/null ||
    missing "apt-get install failed"
