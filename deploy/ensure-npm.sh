#!/usr/bin/env bash
# Makes TARGET/node_modules hold exactly what SOURCE/package-lock.json says; the two may be the same.
#
# One job, done again only when something changed: the stamp in node_modules names the folder and a
# digest of the lock, so that a second run costs milliseconds. Every package is checked against its
# hash, and no package's script is run. As root on Debian or Ubuntu it installs a missing Node.js
# with apt-get, after saying so; elsewhere it says what to do.
#
# Usage: deploy/ensure-npm.sh NAME SOURCE TARGET [lock]   (NAME: in front of what it says;
#   `lock` makes package-lock.json anew from package.json)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=$1 source=$2 target=$3
stamp=$target/node_modules/.auxot-stamp

say() { printf '%s\n' "$name: $*"; }

wanted_stamp() {
  printf '%s\n' "$PWD"
  cat "$source/package.json" "$source/package-lock.json" deploy/ensure-npm.sh | sha256sum
}

is_ready() {
  has_node && [[ -f $stamp ]] && [[ $(<"$stamp") == "$(wanted_stamp)" ]]
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
  cp "$source/package.json" "$scratch/"
  (cd "$scratch" && npm install --package-lock-only --omit-lockfile-registry-resolved \
    --ignore-scripts --no-audit --no-fund --loglevel=error)
  node - "$scratch/package-lock.json" "$source/package-lock.json" <<'JS'
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
  say "made $source/package-lock.json"
}

main() {
  if [[ ${1:-} == lock ]]; then
    ensure_node
    make_lock
    return
  fi
  is_ready && return
  local lock=.state/${name// /-}.lock # two runs at once would write the same files
  mkdir -p .state "$target"
  exec 9>"$lock"
  flock -w 900 9 || { say "another run has held $lock for 15 minutes." >&2; exit 1; }
  ensure_node
  is_ready && return

  local start=$SECONDS
  say "installing the $(grep -c '"integrity"' "$source/package-lock.json") packages of" \
    "$source/package-lock.json that fit this machine"
  [[ $source == "$target" ]] || cp "$source/package.json" "$source/package-lock.json" "$target/"
  (cd "$target" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  wanted_stamp >"$stamp"
  say "ready after $((SECONDS - start)) s"
}

main "${@:4}"
