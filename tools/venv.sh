#!/bin/sh
# Makes .venv with Clarion in it:  tools/venv.sh run|test|check|bench|dev
# `run` is Clarion alone, the others are extras of pyproject.toml. The file .venv/NAME says that it was done.
set -eu
what=$1

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if suits "$candidate"; then echo "$candidate"; return; fi
    done
    echo "Clarion needs Python 3.11 or newer, and there is none in PATH. PYTHON=/path/to/python names one." >&2
    exit 1
}

# Debian keeps the module venv in a package of its own.
need_venv_module() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$package"
    else
        echo "This Python cannot make a virtual environment. On Debian and Ubuntu: sudo apt install $package" >&2
        exit 1
    fi
}

if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    need_venv_module "$python"
    echo "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
if [ "$what" = run ]; then extra=; else extra="[$what]"; fi
.venv/bin/python -m pip install --disable-pip-version-check --no-warn-script-location --editable ".$extra"
touch .venv/run ".venv/$what"
if [ "$what" = dev ]; then touch .venv/test .venv/check .venv/bench; fi
