#!/usr/bin/env bash
# Makes what deploy/compose.yaml needs: the two images, a key for clients, a key between the two services.
#
#   deploy/sidecar.sh prepare      makes what is missing; what is there stays as it is
#   deploy/sidecar.sh key NAME     one more key for a client; the router takes it at once
#   deploy/sidecar.sh revoke NAME  that key opens nothing any more, from the next request on
#   deploy/sidecar.sh clean        removes the keys and the folder; what others put into it stays
#
# All of it lies in .state/sidecar (AUXOT_HOME=/another/folder chooses another). Secrets belong to the user of the
# containers, 10001, and only the engine and root can read them. AUXOT_IMAGE=… takes an image that is there already
# instead of building one. One job: files. It starts no service.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
home=$(realpath -m "${AUXOT_HOME:-.state/sidecar}")
user=10001
marker=.auxot-sidecar # in a folder that `prepare` made: nothing is written or removed in any other

say() { printf '%s\n' "sidecar: $*" >&2; }

# The user of the containers owns what is made here, so it is made in one: the caller need not be root.
in_container() {
  docker run --rm --interactive --network none --read-only --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE \
    --cap-add FOWNER --security-opt no-new-privileges --user 0:0 --volume "$home:/home" "$@"
}

python() {
  in_container --entrypoint /usr/bin/python3 "$AUXOT_IMAGE" -I - "$@"
}

build_images() {
  if [[ -n ${AUXOT_IMAGE:-} ]]; then
    docker image inspect "$AUXOT_IMAGE" >/dev/null || { say "there is no image $AUXOT_IMAGE here"; exit 1; }
    return
  fi
  deploy/ensure-engine.sh >&2
  deploy/ensure-venv.sh >&2
  .venv/bin/auxot-tools sandbox build >&2
  AUXOT_IMAGE=$(.venv/bin/python -m deploy.service_image.build)
}

make_secrets() {
  python "$user" <<'PYTHON'
import os, secrets, sys
user = int(sys.argv[1])
for folder, mode in (("/home/etc", 0o700), ("/home/secrets", 0o700)):
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, mode)
    os.chown(folder, user, user)
for name, text in (("worker.key", secrets.token_urlsafe(24)), ("upstream.key", "")):
    path = f"/home/secrets/{name}"
    if not os.path.exists(path):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
            file.write(text)
        os.chown(path, user, user)
PYTHON
}

# Group of the socket as a container sees it, which on a machine with a virtual engine is not what the host sees.
socket_group() {
  in_container --volume "${DOCKER_SOCKET:-/var/run/docker.sock}:/engine.sock" --entrypoint /usr/bin/python3 \
    "$AUXOT_IMAGE" -I -c 'import os; print(os.stat("/engine.sock").st_gid)'
}

keys() {
  in_container --volume "$home/etc:/etc/auxot-tools" --env AUXOT_ROUTER__KEYS_FILE=/etc/auxot-tools/keys.toml \
    "$AUXOT_IMAGE" keys "$@"
}

make_key() {
  keys create --name "$1"
  python "$user" <<'PYTHON'
import os, sys
os.chown("/home/etc/keys.toml", int(sys.argv[1]), int(sys.argv[1]))
PYTHON
}

# Lines of others stay: settings for compose that are to last.
write_env() {
  local own='^(COMPOSE_PROJECT_NAME|AUXOT_IMAGE|AUXOT_HOME|DOCKER_GID)=' theirs='' gid
  gid=$(socket_group)
  [[ ! -f $home/env ]] || theirs=$(grep -vE "$own" "$home/env" || true)
  printf '%s\n' COMPOSE_PROJECT_NAME=auxot "AUXOT_IMAGE=$AUXOT_IMAGE" "AUXOT_HOME=$home" "DOCKER_GID=$gid" \
    ${theirs:+"$theirs"} >"$home/env"
}

prepare() {
  mkdir -p -m 0700 "$home"
  if [[ ! -e $home/$marker && -n $(ls -A "$home") ]]; then
    say "$home is not empty, and not of this script: name another folder with AUXOT_HOME"
    exit 1
  fi
  : >"$home/$marker"
  build_images
  make_secrets
  write_env
  if [[ ! -s $home/client.key ]]; then
    (umask 077 && make_key local >"$home/client.key")
  fi
  say "ready. Next:"
  say "  docker-compose --env-file ${home#"$PWD"/}/env -f deploy/compose.yaml up -d"
  say "The key for clients is in ${home#"$PWD"/}/client.key."
}

prepared() {
  [[ -f $home/$marker && -f $home/env ]] || { say "nothing is prepared in $home"; exit 1; }
  AUXOT_IMAGE=$(sed -n 's/^AUXOT_IMAGE=//p' "$home/env")
}

clean() {
  python <<'PYTHON'
import contextlib, os
for name in ("etc/keys.toml", "secrets/worker.key", "secrets/upstream.key"):
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"/home/{name}")
for folder in ("etc", "secrets"):
    with contextlib.suppress(OSError):  # what others put there stays
        os.rmdir(f"/home/{folder}")
PYTHON
  rm -f "$home/client.key" "$home/env" "$home/$marker"
  rmdir "$home" 2>/dev/null || say "the keys are removed; $home stays, as it holds more: $(ls -A "$home" | tr '\n' ' ')"
}

case ${1:-} in
  prepare) prepare ;;
  key) prepared && make_key "${2:?a name for the key}" ;;
  revoke) prepared && keys revoke "${2:?the name of a key}" ;;
  clean) prepared && clean ;;
  *) say "usage: deploy/sidecar.sh prepare | key NAME | revoke NAME | clean" && exit 2 ;;
esac
