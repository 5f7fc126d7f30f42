"""What every request passes before anything reads it: room, time, and a browser that may ask nobody else."""

import asyncio
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chest_xray.serving.options import Serving

RETRY_AFTER = 1  # seconds
# Gradio's page is made of inline scripts and styles; the point is that no other host is asked for anything.
HEADERS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Guard:
    """Bounds how many uploads are held at once and how long each may take to arrive, and sets headers.

    Args:
        app: What is guarded.
        paths: Where uploads go.
        options: `queue_length`, `upload_seconds` and the largest upload.
    """

    def __init__(self, app: ASGIApp, paths: Iterable[str], options: Serving):
        self._app, self._paths, self._options = app, frozenset(paths), options
        self._room = options.queue_length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        if problem := self._refuse(scope):
            await problem(scope, receive, send)
        elif scope["path"] not in self._paths:
            await self._app(scope, receive, send)
        else:
            self._room -= 1
            try:
                await self._app(scope, _in_time(receive, self._options.upload_seconds), send)
            finally:
                self._room += 1

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        """Tell from its first lines that a request will not be answered; a length that is not told is counted later."""
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > self._options.max_upload_bytes:
            detail = f"Received {length} bytes; at most {self._options.max_upload_bytes} in one request."
            return JSONResponse({"reason": "too_large", "detail": detail}, 413, {"Connection": "close"})
        if scope["path"] in self._paths and self._room == 0:
            detail = f"Too many requests at once. Try again in {RETRY_AFTER} s or later."
            return JSONResponse({"reason": "busy", "detail": detail}, 503, {"Retry-After": str(RETRY_AFTER)})
        return None


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return send_with_headers


def _in_time(receive: Receive, seconds: float) -> Receive:
    deadline = asyncio.get_running_loop().time() + seconds
    whole = False

    async def receive_in_time() -> Message:
        nonlocal whole
        try:
            async with asyncio.timeout_at(None if whole else deadline):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, f"the upload had not arrived whole after {seconds:g} s") from error
        whole = whole or not message.get("more_body", False)
        return message

    return receive_in_time
