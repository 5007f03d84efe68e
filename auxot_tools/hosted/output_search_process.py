"""The process that searches kept outputs, run as `python -m`.

One job: a search as the bytes of a job. It must not know where outputs come from.
"""

import json
import sys
from dataclasses import asdict

from auxot_tools.hosted.killable_process import serve
from auxot_tools.hosted.output_search import OutputSearch, search


def work(task: bytes, body: bytes) -> bytes:
    """What one search found."""
    return json.dumps(asdict(search(OutputSearch(**json.loads(task)), body))).encode()


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:], work))
