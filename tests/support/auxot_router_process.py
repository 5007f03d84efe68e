"""The stand-in of Auxot's router as a process, to try a worker by hand.

    python -m tests.support.auxot_router_process PORT [ARGUMENTS]

Waits for one worker, gives it one `code_executor` job with ARGUMENTS (JSON), prints what the tool
loop of a router would get, and ends.
"""

import json
import sys

import anyio

from tests.support.auxot_router import TOOLS_KEY, auxot_router

PATIENCE_S = 600.0
EXAMPLE = '{"code": "console.log(\'hello\'); 6 * 7"}'


async def main(port: int, arguments: str) -> None:
    async with auxot_router(port=port) as router:
        print(f"export AUXOT_ROUTER_URL={router.address} AUXOT_TOOLS_KEY={TOOLS_KEY}", flush=True)
        with anyio.fail_after(PATIENCE_S):
            await router.appeared.wait()
        print(f"a worker is there: {', '.join(router.link.tools)}", flush=True)
        begun = await router.begin(("code_executor", json.loads(arguments)))
        with anyio.fail_after(PATIENCE_S):
            await router.over(begun)
        print(begun.error() or json.dumps(begun.result()), flush=True)


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else EXAMPLE)
