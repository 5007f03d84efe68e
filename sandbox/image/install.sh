#!/bin/sh
# Runs once, as root, inside the image being built: adds what the base lacks, makes the folders.
# One job: leave an image in which every package named as an argument can be relied on.
set -eu

missing=""
for program in bash:bash coreutils:stat python3:python3 nodejs:node jq:jq curl:curl; do
  command -v "${program#*:}" >/dev/null 2>&1 || missing="$missing ${program%%:*}"
done
ls /usr/lib/*/libnss_myhostname.so.2 >/dev/null 2>&1 || missing="$missing libnss-myhostname"
for package in "$@"; do
  case "$package" in
    python3-*) python3 -c "import ${package#python3-}" >/dev/null 2>&1 || missing="$missing $package" ;;
  esac
done
if [ -n "$missing" ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "The base image lacks:$missing, and has no apt-get to add them." >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of package names
  apt-get install -y -qq --no-install-recommends "$@"
  rm -rf /var/lib/apt/lists/* /var/cache/apt/*
fi

if [ ! -x /usr/bin/python3 ]; then
  echo "The base image has no /usr/bin/python3, which PID 1 of the sandbox needs." >&2
  exit 1
fi

# The engine mounts bounded tmpfs over these; an engine that ignores `mode=` takes the mode from here.
mkdir -p /tmp /work /tool /run/auxot
chmod 1777 /tmp
chown 65534:65534 /work /tool
chmod 0755 /work /tool

# Every container runs its program as another of these users, so that what the kernel counts for each
# user is not shared between containers. They all have the name `tool`.
if ! grep -q '^tool:' /etc/passwd; then
  uid=63000
  while [ "$uid" -lt 63512 ]; do
    echo "tool:x:$uid:$uid::/work:/usr/sbin/nologin" >>/etc/passwd
    echo "tool:x:$uid:" >>/etc/group
    uid=$((uid + 1))
  done
fi
rm -f /tmp/auxot-install.sh
