"""The composition root: builds every adapter from a configuration and joins them.

One job: wiring. It is the only place that knows all of `router`, `worker`, `hosted`, `sandbox`,
`connect` and `rpc`, and it must not hold logic of its own. Used by the command line, and by tests
that want the whole.
"""

from auxot_tools.assembly.connect import run_connect
from auxot_tools.assembly.engine import (
    build_sandbox_image,
    listed_boxes,
    reap_boxes,
    sandbox_options,
)
from auxot_tools.assembly.router import remote_dispatcher, run_router
from auxot_tools.assembly.tools import load_registry
from auxot_tools.assembly.worker import local_executor, run_worker

__all__ = [
    "build_sandbox_image",
    "listed_boxes",
    "load_registry",
    "local_executor",
    "reap_boxes",
    "remote_dispatcher",
    "run_connect",
    "run_router",
    "run_worker",
    "sandbox_options",
]
