#!/bin/sh
# Checks the web SDK: its types with the TypeScript compiler, its behaviour with node's test runner.
set -eu

PATH=$PWD/.venv/bin:$PATH
tools/need.sh node
if [ "$(node -p 'process.versions.node.split(".")[0] >= 20' 2>/dev/null)" != true ]; then exit 0; fi

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
