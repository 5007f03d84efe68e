#!/usr/bin/env bash
# Makes sure that the programs are here that only the tests need:
#
#   ip               tests make network namespaces, to see what is never connected to
#   docker-compose   takes deploy/compose.yaml apart, and runs it in `make test-sidecar`; `docker compose` will do
#   systemd-analyze  takes the units in deploy/systemd apart; it is in Debian's package systemd, which need not run
#
# One job: after exit 0 they are here. As root on Debian or Ubuntu it installs what is missing and says so first;
# anywhere else it says what a person has to do, and exits 1.
#
# Usage: deploy/ensure-test-tools.sh

set -euo pipefail

has_compose() {
  command -v docker-compose >/dev/null 2>&1 || docker compose version >/dev/null 2>&1
}

missing=()
command -v ip >/dev/null 2>&1 || missing+=(iproute2)
command -v systemd-analyze >/dev/null 2>&1 || missing+=(systemd)
has_compose || missing+=(docker-compose)

[ "${#missing[@]}" -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "The tests need \`ip\`, \`systemd-analyze\`, \`docker-compose\`, and root. Missing packages: ${missing[*]}." >&2
  echo "Install them, and run the tests as root." >&2
  exit 1
fi
echo "As root, this will install the packages ${missing[*]}, which the tests need."
apt-get update -qq || true
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
