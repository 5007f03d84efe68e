#!/usr/bin/env bash
# Makes examples/node/node_modules hold exactly what examples/node/package-lock.json says.
#
# One job, done again only when something changed: .state/node-example-stamp names the folder and a
# digest of the lock, so that a second run costs milliseconds. Every package is checked against its
# hash, and no package's script is run. As root on Debian or Ubuntu it installs a missing Node.js
# with apt-get, after saying so; elsewhere it says what to do.
#
# Usage: deploy/ensure-node-example.sh [lock]   (`lock` makes package-lock.json from package.json)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
example=examples/node
stamp=.state/node-example-stamp

say() { printf '%s\n' "node example: $*"; }

wanted_stamp() {
  printf '%s\n' "$PWD"
  cat "$example/package.json" "$example/package-lock.json" deploy/ensure-node-example.sh | sha256sum
}

is_ready() {
  has_node && [[ -d $example/node_modules && -f $stamp ]] && [[ $(<"$stamp") == "$(wanted_stamp)" ]]
}

has_node() {
  command -v node >/dev/null && command -v npm >/dev/null
}

is_usable_node() {
  node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 18 ? 1 : 0)' >/dev/null 2>&1
}

ensure_node() {
  if ! has_node; then
    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
      say "Node.js 18 or newer with npm is needed, and this machine has none." >&2
      say "On Debian or Ubuntu: sudo apt-get install nodejs npm; then run this again." >&2
      exit 1
    fi
    say "no Node.js with npm here: installing nodejs and npm as root with apt-get."
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null
  fi
  if ! is_usable_node; then
    say "$(command -v node) is older than Node.js 18; install a newer one." >&2
    exit 1
  fi
}

# npm would write where each package came from, and who may be paid for it. Names, versions and
# hashes are enough, and are the same for everybody.
make_lock() {
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  cp "$example/package.json" "$scratch/"
  (cd "$scratch" && npm install --package-lock-only --omit-lockfile-registry-resolved \
    --ignore-scripts --no-audit --no-fund --loglevel=error)
  node - "$scratch/package-lock.json" "$example/package-lock.json" <<'JS'
const fs = require("fs");
const [, , from, to] = process.argv;
const lock = JSON.parse(fs.readFileSync(from, "utf8"));
for (const entry of Object.values(lock.packages)) {
  delete entry.resolved;
  delete entry.funding;
}
const text = JSON.stringify(lock, null, 2) + "\n";
if (text.includes("://")) throw new Error("the lock names an address");
fs.writeFileSync(to, text);
JS
  say "made $example/package-lock.json"
}

main() {
  if [[ ${1:-} == lock ]]; then
    ensure_node
    make_lock
    return
  fi
  is_ready && return
  mkdir -p .state
  exec 9>.state/node-example.lock # two runs at once would write the same files
  flock -w 300 9 || { say "another run has held .state/node-example.lock for 5 minutes." >&2; exit 1; }
  ensure_node
  is_ready && return

  local start=$SECONDS
  say "installing the $(grep -c '"integrity"' "$example/package-lock.json") packages of" \
    "$example/package-lock.json"
  (cd "$example" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  wanted_stamp >"$stamp"
  say "ready after $((SECONDS - start)) s"
}

main "$@"
