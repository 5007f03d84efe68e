"""The process that reads pages, run as `python -m`.

One job: a page as the bytes of a job. It must not know where pages come from.
"""

import json
import sys
from dataclasses import asdict

from auxot_tools.hosted.killable_process import serve
from auxot_tools.hosted.web_reading import ReadingTask, read


def work(task: bytes, body: bytes) -> bytes:
    """The reading of one page. May raise, which ends the process: the page is then given up."""
    return json.dumps(asdict(read(ReadingTask(**json.loads(task)), body))).encode()


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:], work))
