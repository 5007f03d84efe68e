#!/usr/bin/env bash
# Makes examples/node/node_modules hold exactly what examples/node/package-lock.json says.
#
# Usage: deploy/ensure-node-example.sh [lock]   (`lock` makes package-lock.json from package.json)
exec "$(dirname "${BASH_SOURCE[0]}")/ensure-npm.sh" "node example" examples/node examples/node "$@"
