"""What is held off before it reaches a route: requests of other sites, floods, and silent or dripping connections."""

import asyncio
from typing import Any, ClassVar
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

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


def bound_connections(options: Serving) -> type[asyncio.Protocol]:
    """Build the protocol that uvicorn gives each connection to.

    Args:
        options: `header_seconds`, in which the headers of a request must have arrived whole, counted from when the
            connection was opened or its last request answered; and `max_connections`: for one more, the connection
            that has waited longest without a request is closed.

    Returns:
        A subclass of uvicorn's protocol on h11. Uvicorn itself bounds the bytes of headers, but has a deadline only
        between two requests and none for a connection that stays silent from the start.
    """

    class BoundedProtocol(_BoundedProtocol):
        header_seconds = options.header_seconds
        max_connections = options.max_connections
        waiting: ClassVar[dict[_BoundedProtocol, asyncio.TimerHandle]] = {}

    return BoundedProtocol


class _BoundedProtocol(H11Protocol):
    header_seconds: float
    max_connections: int
    waiting: ClassVar[dict["_BoundedProtocol", asyncio.TimerHandle]]  # the longest first

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self.max_connections and self.waiting:
            next(iter(self.waiting))._give_up()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        else:
            self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self not in self.waiting and not self.transport.is_closing():
            self.waiting[self] = self.loop.call_later(self.header_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if timer := self.waiting.pop(self, None):
            timer.cancel()

    def _give_up(self) -> None:
        self._stop_waiting()
        self.transport.abort()
