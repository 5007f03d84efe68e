"""Tools that run on our side of the boundary, behind a `tool.json` with `runs: host`."""
