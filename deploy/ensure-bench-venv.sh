#!/usr/bin/env bash
# Makes a virtual environment hold exactly what a lock says: the peers of a benchmark.
#
#   ensure-bench-venv.sh VENV LOCK
#
# One job. Environments of their own, because these packages are for benchmarks alone: the product
# and its tests never see them. Done again only when the lock changed. It says so on stderr: what is
# on stdout belongs to the program that is run afterwards.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=$1
lock=$2
stamp=$venv/.auxot-stamp

wanted_stamp() {
  printf '%s\n' "$PWD"
  sha256sum <"$lock"
}

main() {
  if [[ -x $venv/bin/python && -f $stamp ]] && [[ $(<"$stamp") == "$(wanted_stamp)" ]]; then
    return
  fi
  # The system's Python: the sandbox image holds the same version, and gets a copy of some of these.
  local python=${PYTHON:-/usr/bin/python3}
  printf 'bench venv: installing the %s packages of %s\n' "$(grep -c '==' "$lock")" "$lock" >&2
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check \
    --require-hashes --no-deps -r "$lock" >&2
  wanted_stamp >"$stamp"
}

main
