"""One JSON request to a running router with a key, blocking, for tests that have no event loop."""

import json
import urllib.error
import urllib.request
from typing import Any


def get_json(url: str, key: str) -> tuple[int, Any]:
    return _ask(urllib.request.Request(url), key)


def post_json(url: str, key: str, body: object) -> tuple[int, Any]:
    data = json.dumps(body).encode()
    return _ask(urllib.request.Request(url, data, {"content-type": "application/json"}), key)


def _ask(request: urllib.request.Request, key: str) -> tuple[int, Any]:
    request.add_header("x-api-key", key)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
