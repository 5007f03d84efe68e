#!/usr/bin/env bash
# Makes .venv-bench hold exactly what requirements-bench.lock says: the peers of the benchmark.
#
# One job. An environment of its own, because these packages are for `make bench-peers` alone: the
# product and its tests never see them. Done again only when the lock changed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=.venv-bench/.auxot-stamp

wanted_stamp() {
  printf '%s\n' "$PWD"
  cat requirements-bench.lock | sha256sum
}

main() {
  if [[ -x .venv-bench/bin/python && -f $stamp ]] && [[ $(<"$stamp") == "$(wanted_stamp)" ]]; then
    return
  fi
  # The system's Python: the image holds the same version of it, and gets a copy of these packages.
  local python=${PYTHON:-/usr/bin/python3}
  printf 'bench venv: installing the %s packages of requirements-bench.lock\n' \
    "$(grep -c '==' requirements-bench.lock)"
  rm -rf .venv-bench
  "$python" -m venv .venv-bench
  .venv-bench/bin/python -m pip install -q --disable-pip-version-check \
    --require-hashes --no-deps -r requirements-bench.lock
  wanted_stamp >"$stamp"
}

main
