"""A FastAPI app with a Messages endpoint, and our tool loop around it.

    python -m uvicorn fastapi_app:app --app-dir examples/plugin --port 8000

The endpoint passes requests on to a model at MODEL_URL; any app that answers Messages requests will
do in its place. WORKER is where tools run, AUXOT_WORKER_KEY its key. See `docs/plugin.md`.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from auxot_tools.plugins.asgi import ToolLoop

MODEL_URL = os.environ.get("MODEL_URL", "http://127.0.0.1:9000/v1/messages")
PASSED_ON = ("anthropic-beta", "anthropic-version", "content-type", "x-api-key")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    async with aiohttp.ClientSession() as session:
        app.state.session = session
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(
    ToolLoop,
    worker=os.environ.get("WORKER", "127.0.0.1:50061"),
    key=os.environ.get("AUXOT_WORKER_KEY", ""),
    tools=("code_executor",),
)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/messages")
async def messages(request: Request) -> StreamingResponse:
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    session: aiohttp.ClientSession = request.app.state.session
    answer = await session.post(MODEL_URL, data=await request.body(), headers=headers)

    async def pieces() -> AsyncGenerator[bytes, None]:
        async with answer:
            async for piece in answer.content.iter_any():
                yield piece

    return StreamingResponse(pieces(), answer.status, media_type=answer.content_type)
