#!/bin/sh
# Sees to the programs that pip cannot bring:  tools/need.sh postgresql|firefox|chromium …
# On Debian as root they are installed by apt. Elsewhere it says what is missing and what is left out for that; with
# CI=true, which promises to leave nothing out, it is an error.
set -eu

is_there() {
    case $1 in
        postgresql) command -v initdb || ls /usr/lib/postgresql/*/bin/initdb ;;
        firefox) command -v firefox-esr && command -v dbus-daemon && /sbin/ldconfig -p | grep libnotify.so ;;
        chromium) command -v chromium && command -v dbus-daemon && command -v certutil ;;
    esac >/dev/null 2>&1
}

packages_of() {
    case $1 in
        postgresql) echo postgresql ;;
        firefox) echo firefox-esr dbus-daemon libnotify4 ;; # Firefox loads libnotify, but only suggests it
        chromium) echo chromium dbus-daemon libnss3-tools ;;
    esac
}

left_out() {
    case $1 in
        postgresql) echo "PostgreSQL, so the tests on it" ;;
        firefox) echo "firefox-esr, dbus-daemon or libnotify, so the tests in a real browser" ;;
        chromium) echo "chromium, dbus-daemon or certutil, so the tests in a real Chromium" ;;
    esac
}

missing=
packages=
for need in "$@"; do
    is_there "$need" && continue
    missing="$missing $need"
    packages="$packages $(packages_of "$need")"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && grep -qx 'ID=debian' /etc/os-release 2>/dev/null; then
    echo "Installing$packages"
    apt-get update -q
    # shellcheck disable=SC2086 # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages
fi

for need in $missing; do
    is_there "$need" && continue
    echo "Left out: there is no $(left_out "$need")." >&2
    if [ "${CI:-}" = true ]; then exit 1; fi
done
