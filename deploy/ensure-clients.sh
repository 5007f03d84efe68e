#!/usr/bin/env bash
# Makes .state/clients hold exactly what tests/clients/package-lock.json says: the real clients that
# `make test-clients` sends to our router, and the link .state/clients/claude to Claude Code, whose
# program is native and needs no Node.js.
#
# Usage: deploy/ensure-clients.sh [lock]   (`lock` makes package-lock.json anew from package.json)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=.state/clients

# Where npm put the program depends on the machine; there is one for it, or none.
link_claude() {
  local program
  for program in "$target"/node_modules/@anthropic-ai/claude-code-*/claude; do
    if [[ -x $program ]] && "$program" --version >/dev/null 2>&1; then
      ln -sfn "${program#"$target"/}" "$target/claude"
      return
    fi
  done
  printf '%s\n' "clients: no Claude Code in $target that runs on this machine ($(uname -sm))." >&2
  exit 1
}

[[ -d $target/node_modules ]] || echo "clients: they need about 430 MB in $target"
deploy/ensure-npm.sh clients tests/clients "$target" "$@"
[[ ${1:-} == lock || -x $target/claude ]] || link_claude
