#!/usr/bin/env bash
# Builds the wheel, installs it in an empty environment outside of the clone, and uses it there:
# `list`, `sandbox build`, a worker, one call, and pytest with the plugin that the wheel brings, on a
# copy of `examples/testing`. Fails at the first thing that does not work.
#
# Usage: deploy/test-wheel.sh   (after `make image`; needs the package index)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

home=$(mktemp -d /tmp/auxot-wheel.XXXXXX)
worker=
clean_up() {
  [ -z "$worker" ] || { kill "$worker" 2>/dev/null && wait "$worker" || true; }
  rm -rf "$home"
}
trap clean_up EXIT

.venv/bin/python -m build --wheel --no-isolation --outdir "$home/dist" . >"$home/build.log" ||
  { cat "$home/build.log"; exit 1; }
mkdir "$home/examples"
cp -r examples/testing examples/scenarios "$home/examples/"
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet "$home"/dist/*.whl
cd "$home"
auxot=$home/venv/bin/auxot-tools

"$auxot" --version
"$auxot" list
"$auxot" sandbox build

export AUXOT_WORKER__LISTEN="unix:$home/w.sock" AUXOT_ROUTER__WORKER="unix:$home/w.sock"
"$auxot" worker >"$home/worker.out" &
worker=$!
for _ in $(seq 100); do # at most 20 s
  grep -q '^worker ready' "$home/worker.out" && break
  sleep 0.2
done
answer=$("$auxot" call code_executor --input '{"code":"print(6*7)"}')
[ "$answer" = 42 ] || { echo "the call answered: $answer"; exit 1; }
unset AUXOT_WORKER__LISTEN AUXOT_ROUTER__WORKER # the plugin has a worker of its own

# The plugin's own way in: nothing here but pytest and the wheel. `docs/testing-tools.md` says six.
"$home/venv/bin/pip" install --quiet pytest
timeout 300 "$home/venv/bin/pytest" "$home/examples/testing" | tee "$home/pytest.out"
grep -q '^=* 6 passed' "$home/pytest.out" || { echo "these are not the six tests"; exit 1; }
echo "The wheel works: list, sandbox build, a call that answered $answer, and the pytest plugin."
