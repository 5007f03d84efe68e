"""LiteLLM's proxy as an ASGI app, and our tool loop around it.

    python -m uvicorn litellm_app:app --app-dir examples/plugin --port 4000

CONFIG_FILE_PATH names its `config.yaml`, WORKER is where tools run, AUXOT_WORKER_KEY its key. See
`docs/plugin.md`.
"""

import os

from litellm.proxy.proxy_server import app as proxy

from auxot_tools.plugins.asgi import ToolLoop

app = ToolLoop(
    proxy,
    worker=os.environ.get("WORKER", "127.0.0.1:50061"),
    key=os.environ.get("AUXOT_WORKER_KEY", ""),
    tools=("code_executor",),
)
