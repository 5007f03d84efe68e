#!/usr/bin/env bash
# Makes auxot_tools/v1/ from proto/, or, with --check, fails when the two differ.
# Usage: proto/generate.sh [--check]     (PYTHON=... chooses the interpreter; default: the venv's)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
python=${PYTHON:-$root/.venv/bin/python}
PATH="$(dirname "$python"):$PATH" # protoc finds mypy-protobuf's plugins beside the interpreter
export PATH

generate() { # generate FOLDER
  "$python" -m grpc_tools.protoc --proto_path=proto \
    --python_out="$1" --grpc_python_out="$1" --mypy_out="quiet:$1" --mypy_grpc_out="quiet:$1" \
    auxot_tools/v1/tools.proto
}

case "${1:-}" in
"")
  generate .
  echo "auxot_tools/v1/ is made from proto/"
  ;;
--check)
  fresh=$(mktemp -d)
  trap 'rm -rf "$fresh"' EXIT
  generate "$fresh"
  # __init__.py is ours; what Python compiled is nobody's.
  if ! diff -r --exclude=__init__.py --exclude=__pycache__ "$fresh/auxot_tools/v1" auxot_tools/v1; then
    echo "auxot_tools/v1/ differs from proto/: run proto/generate.sh and commit the result" >&2
    exit 1
  fi
  ;;
*)
  echo "usage: proto/generate.sh [--check]" >&2
  exit 2
  ;;
esac
