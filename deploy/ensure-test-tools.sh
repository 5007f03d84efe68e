#!/usr/bin/env bash
# Makes sure that `ip` is here: tests make network namespaces, to see what is never connected to.
#
# One job: after exit 0 there is an `ip`. As root on Debian or Ubuntu it installs iproute2 and says so
# first; anywhere else it says what a person has to do, and exits 1.
#
# Usage: deploy/ensure-test-tools.sh

set -euo pipefail

command -v ip >/dev/null 2>&1 && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "The tests need \`ip\` and root. Install iproute2, and run them as root." >&2
  exit 1
fi
echo "As root, this will install the Debian package iproute2, which the tests need."
apt-get update -qq || true
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends iproute2
