#!/usr/bin/env bash
# Makes .venv hold exactly what requirements.lock says, and this project itself.
#
# One job, done again only when something changed: .venv/.auxot-stamp names the folder and a digest
# of the lock, so that a second run costs milliseconds. Every package is checked against its hash.
# As root on Debian or Ubuntu it installs a missing Python with apt-get, after saying so; elsewhere
# it says what to do. PYTHON=... chooses another Python than the system's.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
stamp=.venv/.auxot-stamp

say() { printf '%s\n' "venv: $*"; }

wanted_stamp() {
  printf '%s\n' "$root"
  cat requirements.lock pyproject.toml deploy/ensure-venv.sh | sha256sum
}

is_ready() {
  [[ -x .venv/bin/python && -f $stamp ]] && [[ $(<"$stamp") == "$(wanted_stamp)" ]]
}

# Runs it, because a name on the PATH may be a shim without a Python behind it.
is_usable_python() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-/usr/bin/python3}" python3 python3.13 python3.12 python3.11 python3.14; do
    if is_usable_python "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

install_python() {
  local packages=(python3 python3-venv)
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    say "Python 3.11 or newer with its venv module is needed, and this machine has none." >&2
    say "On Debian or Ubuntu: sudo apt-get install ${packages[*]}; then run this again." >&2
    exit 1
  fi
  say "no Python 3.11 or newer with venv here: installing ${packages[*]} as root with apt-get."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

make_venv() {
  local python
  if ! python=$(find_python); then
    install_python
    if ! python=$(find_python); then
      say "the Python that apt-get installed is older than 3.11; install a newer one." >&2
      exit 1
    fi
  fi
  say "making .venv with $("$python" --version) ($python)"
  rm -rf .venv
  "$python" -m venv .venv
}

# A virtual environment cannot be moved: its programs hold the folder's path.
is_from_elsewhere() {
  [[ -f $stamp ]] && [[ $(head -n 1 "$stamp") != "$root" ]]
}

main() {
  is_ready && return
  mkdir -p .state
  exec 9>.state/venv.lock # two runs at once would write the same files
  flock -w 900 9 || { say "another run has held .state/venv.lock for 15 minutes." >&2; exit 1; }
  is_ready && return

  local start=$SECONDS
  if is_from_elsewhere || [[ ! -x .venv/bin/python ]] || ! is_usable_python .venv/bin/python; then
    make_venv
  fi
  say "installing the $(grep -c '==' requirements.lock) packages of requirements.lock"
  .venv/bin/python -m pip install -q --disable-pip-version-check \
    --require-hashes --no-deps --no-compile -r requirements.lock # Python compiles what it imports
  .venv/bin/python -m pip install -q --disable-pip-version-check \
    --no-deps --no-build-isolation -e .
  wanted_stamp >"$stamp"
  say "ready after $((SECONDS - start)) s"
}

main
