#!/usr/bin/env bash
# Examines LiteLLM's proxy with `auxot-tools roundtrip`: the second table of docs/roundtrip.md.
#
#   roundtrip-litellm.sh [OPTION...]     options of `auxot-tools roundtrip`, such as --json
#
# One job: start the proxy on loopback with the scripted upstream for its model, examine it, stop it.
# It needs no network: the proxy's lists of models, prices and headers are those in its package.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly START_S=120
readonly PROXY_PORT=${PROXY_PORT:-4080}
readonly UPSTREAM_PORT=${UPSTREAM_PORT:-4081}
readonly venv=.venv-bench-router

main() {
  deploy/ensure-bench-venv.sh "$venv" requirements-bench-router.lock
  home=$(mktemp -d)
  trap 'stop' EXIT
  write_config "$home/config.yaml"
  start_proxy
  wait_for_proxy
  ANTHROPIC_API_KEY=sk-roundtrip .venv/bin/auxot-tools roundtrip \
    --url "http://127.0.0.1:$PROXY_PORT" --model roundtrip \
    --upstream-listen "127.0.0.1:$UPSTREAM_PORT" "$@"
}

write_config() {
  cat >"$1" <<END
model_list:
  - model_name: roundtrip
    litellm_params:
      model: anthropic/roundtrip
      api_base: http://127.0.0.1:$UPSTREAM_PORT
      api_key: none
general_settings:
  master_key: sk-roundtrip
litellm_settings:
  telemetry: false
END
}

start_proxy() {
  local proxy=$PWD/$venv/bin/litellm
  cd "$home"
  env LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True \
    DISABLE_ADMIN_UI=True LITELLM_LOG=ERROR no_proxy=127.0.0.1 \
    "$proxy" --config config.yaml --host 127.0.0.1 --port "$PROXY_PORT" --telemetry False \
    >"$home/log" 2>&1 </dev/null &
  pid=$!
  cd - >/dev/null
}

wait_for_proxy() {
  local deadline=$((SECONDS + START_S))
  until (exec 3<>"/dev/tcp/127.0.0.1/$PROXY_PORT") 2>/dev/null; do
    if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline)); then
      printf 'roundtrip-litellm: the proxy did not start:\n' >&2
      tail -n 20 "$home/log" >&2
      exit 2
    fi
    sleep 0.2
  done
}

stop() {
  if [[ -n ${pid:-} ]]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  fi
  rm -rf "$home"
}

main "$@"
