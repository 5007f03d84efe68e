#!/usr/bin/env bash
# Makes sure that a Docker engine answers and that mmdebstrap is here to build the sandbox image.
#
# One job: after exit 0, an engine answers. Does nothing, quickly, when one answers already.
# As root on Debian or Ubuntu it installs and starts what is missing, and says so first; anywhere
# else it says what a person has to do, and exits 1. It knows nothing of our image or our workers.
#
# Usage: deploy/ensure-engine.sh
# A set DOCKER_HOST is asked as it is; we never start an engine for another host.

set -euo pipefail

readonly LOG=/var/log/auxot-dockerd.log
readonly START_LIMIT_S=60 # a cold dockerd took 2 s to answer here; a slow disk needs more
readonly LOOK_AGAIN_S=5   # a daemon that was started has written its pid file long before
readonly ASK_LIMIT_S=5    # an engine that needs longer to tell its version is not usable

# Asks the engine itself, where the Docker SDK will look for it: a `docker` on the PATH may be only
# a client, and an engine may have come without one.
engine_version() {
  local host=${DOCKER_HOST:-unix:///var/run/docker.sock}
  if [ "${host#unix://}" = "$host" ]; then
    timeout "$ASK_LIMIT_S" docker version --format '{{.Server.Version}}' 2>/dev/null
    return
  fi
  timeout "$ASK_LIMIT_S" python3 -I - "${host#unix://}" 2>/dev/null <<'PYTHON'
import json, socket, sys
with socket.socket(socket.AF_UNIX) as engine:
    engine.connect(sys.argv[1])
    engine.sendall(b"GET /version HTTP/1.0\r\nHost: engine\r\n\r\n")
    answer = engine.makefile("rb").read()
print(json.loads(answer.partition(b"\r\n\r\n")[2])["Version"])
PYTHON
}

can_install() {
  [ "$(id -u)" -eq 0 ] && [ -r /etc/os-release ] && command -v apt-get >/dev/null 2>&1 &&
    grep -qE '^(ID|ID_LIKE)=.*(debian|ubuntu)' /etc/os-release
}

missing_packages() {
  command -v dockerd >/dev/null 2>&1 || [ -x /usr/sbin/dockerd ] || echo docker.io
  command -v mmdebstrap >/dev/null 2>&1 || echo mmdebstrap
}

say_what_to_do() {
  cat >&2 <<'TEXT'
No Docker engine answers, and this script installs one only as root on Debian or Ubuntu.
  Debian or Ubuntu:  sudo deploy/ensure-engine.sh   (installs docker.io and mmdebstrap, starts dockerd)
  Other Linux:       install Docker Engine 20.10 or newer from your distribution and start it
  macOS:             start Docker Desktop or another Docker engine
If an engine runs already, your user may lack the right to talk to it: join the group `docker`
and log in again, or point DOCKER_HOST at it. Then run the same command once more.
TEXT
}

install_packages() {
  local packages=("$@")
  echo "No Docker engine is set up on this machine. As root, this will install the Debian packages"
  echo "  ${packages[*]}"
  echo "with apt-get (and what they depend on), and start the Docker daemon if none is running."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

# Whether process $1 runs program $2. A zombie does not: it only waits for its parent to notice.
runs_program() {
  local state
  [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] || return 1
  state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null)
  case "$state" in "" | Z* | X*) return 1 ;; esac
}

# A pid file is stale when its process is gone, or is some other program that got the number since.
remove_stale_pid_file() {
  local file=$1 program=$2 pid
  [ -e "$file" ] || return 0
  pid=$(tr -cd '0-9' <"$file")
  if runs_program "$pid" "$program"; then
    return 0
  fi
  echo "Removing the stale pid file $file."
  rm -f "$file"
}

start_with_init_system() {
  if [ -d /run/systemd/system ]; then
    systemctl start docker >/dev/null 2>&1
    return
  fi
  return 1
}

# In the background, in a session of its own and with no descriptor of ours: it outlives the
# calling make or CI step, and nobody who reads our output waits for it.
start_in_background() {
  remove_stale_pid_file /var/run/docker.pid dockerd
  remove_stale_pid_file /var/run/docker/containerd/containerd.pid containerd
  if [ -e /var/run/docker.pid ]; then
    return 0 # a daemon is starting, or is not answering: wait for it below
  fi
  (
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
    done
    cd / && exec setsid --fork dockerd
  ) </dev/null >>"$LOG" 2>&1
}

# A daemon that was on its way out when we looked has gone meanwhile: then one is started after all.
start_again_if_gone() {
  local pid=""
  if [ -e /var/run/docker.pid ]; then pid=$(tr -cd '0-9' </var/run/docker.pid); fi
  if [ ! -d /run/systemd/system ] && ! runs_program "$pid" dockerd; then start_in_background; fi
}

wait_for_engine() {
  local deadline=$((SECONDS + START_LIMIT_S)) look_again=$((SECONDS + LOOK_AGAIN_S)) version
  while [ "$SECONDS" -lt "$deadline" ]; do
    if version=$(engine_version); then
      echo "Docker engine $version answers."
      return 0
    fi
    if [ "$SECONDS" -ge "$look_again" ]; then
      start_again_if_gone
      look_again=$((SECONDS + LOOK_AGAIN_S))
    fi
    sleep 0.2
  done
  echo "The Docker engine did not answer within ${START_LIMIT_S} s. The end of its log ($LOG):" >&2
  tail -n 20 "$LOG" >&2 2>/dev/null || true
  return 1
}

main() {
  local version packages
  if version=$(engine_version); then
    echo "Docker engine $version answers."
    if ! command -v mmdebstrap >/dev/null 2>&1 && can_install; then
      echo "As root, this will install the Debian package mmdebstrap, which builds the sandbox image."
      install_packages mmdebstrap
    fi
    return 0
  fi
  if [ -n "${DOCKER_HOST:-}" ]; then
    echo "The Docker engine that DOCKER_HOST points to does not answer. Start it, or unset DOCKER_HOST." >&2
    return 1
  fi
  if ! can_install; then
    say_what_to_do
    return 1
  fi
  export PATH="$PATH:/usr/sbin:/sbin"
  mapfile -t packages < <(missing_packages)
  if [ "${#packages[@]}" -gt 0 ]; then
    install_packages "${packages[@]}"
  else
    echo "The Docker daemon is installed and not running: starting it as root (log: $LOG)."
  fi
  start_with_init_system || start_in_background
  wait_for_engine
}

main "$@"
