"""What every request passes before anything reads it: its origin, room, time, and what a browser may do."""

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chest_xray.serving.options import Serving

RETRY_AFTER = 1  # seconds
# Pictures of an answer are data URLs; everything else comes from this server, in files of its own.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Guard:
    """Bounds how many uploads are held at once and how long each may take to arrive, and sets headers.

    Args:
        app: What is guarded.
        options: `queue_length`, `upload_seconds` and the largest upload.
    """

    def __init__(self, app: ASGIApp, options: Serving):
        self._app, self._options = app, options
        self._room = options.queue_length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        if problem := self._refuse(scope):
            await problem(scope, receive, send)
        elif scope["method"] != "POST":
            await self._app(scope, receive, send)
        else:
            self._room -= 1
            try:
                await self._app(scope, _in_time(receive, self._options.upload_seconds), send)
            finally:
                self._room += 1

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        """Tell from its first lines that a request will not be answered; a length that is not told is counted later."""
        headers = Headers(scope=scope)
        if scope["method"] == "POST" and _comes_from_elsewhere(headers):
            detail = f"A page of {headers.get('origin', 'another site')} asks; only pages of this server may."
            return JSONResponse({"reason": "forbidden", "detail": detail}, 403, {"Connection": "close"})
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._options.max_upload_bytes:
            detail = f"Received {length} bytes; at most {self._options.max_upload_bytes} in one request."
            return JSONResponse({"reason": "too_large", "detail": detail}, 413, {"Connection": "close"})
        if scope["method"] == "POST" and self._room == 0:
            detail = f"Too many requests at once. Try again in {RETRY_AFTER} s or later."
            return JSONResponse({"reason": "busy", "detail": detail}, 503, {"Retry-After": str(RETRY_AFTER)})
        return None


def _comes_from_elsewhere(headers: Headers) -> bool:
    """Check what a browser says of a request: programs send neither header."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc != headers.get("host")
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


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
