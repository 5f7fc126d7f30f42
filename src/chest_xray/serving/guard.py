"""Protection in front of the routes: from requests of other sites, floods, and slow or silent connections."""

import asyncio
from typing import Any, ClassVar
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from chest_xray.serving.options import LOOPBACK, Serving
from chest_xray.serving.page_contents import choose_language, describe_reason

RETRY_AFTER = 1  # seconds
# The page's own images are data URLs; scripts and styles are files of this server.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Guard:
    """Middleware that limits number, size and duration of uploads, rejects foreign requests and sets headers."""

    def __init__(self, app: ASGIApp, options: Serving):
        self._app, self._options = app, options
        self._free_places = options.queue_length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or answer it with the reason for its rejection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if problem := self._reject(scope):
            await problem(scope, receive, send_with_headers)
        elif scope["method"] != "POST":
            await self._app(scope, receive, send_with_headers)
        else:
            self._free_places -= 1
            try:
                await self._app(scope, _set_deadline(receive, self._options.upload_seconds), send_with_headers)
            finally:
                self._free_places += 1

    def _reject(self, scope: Scope) -> JSONResponse | None:
        """Reject a request by its headers; uploads without a declared length are counted as they arrive."""
        headers = Headers(scope=scope)
        if self._options.host in LOOPBACK and not _is_local(headers.get("host", "")):
            detail = (
                f"Received the host {headers.get('host')!r}; this server answers to {', '.join(LOOPBACK)}, "
                "unless it is started with another --host."
            )
            return self._refuse(scope, "foreign_host", detail, 400, {"Connection": "close"})
        if scope["method"] == "POST" and _is_cross_site(headers):
            detail = f"Request from a page of {headers.get('origin', 'another site')}; expected one of this server."
            return self._refuse(scope, "forbidden", detail, 403, {"Connection": "close"})
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._options.max_upload_bytes:
            detail = f"Received {length} bytes; at most {self._options.max_upload_bytes} in one request."
            return self._refuse(scope, "too_large", detail, 413, {"Connection": "close"})
        if scope["method"] == "POST" and self._free_places == 0:
            detail = f"Too many requests at once. Try again in {RETRY_AFTER} s or later."
            return self._refuse(scope, "busy", detail, 503, {"Retry-After": str(RETRY_AFTER)})
        return None

    def _refuse(self, scope: Scope, reason: str, detail: str, status: int, headers: dict[str, str]) -> JSONResponse:
        message = describe_reason(reason, choose_language(Request(scope), self._options.language))
        return JSONResponse({"reason": reason, "detail": detail, "message": message}, status, headers)


def _is_local(host: str) -> bool:
    """Check the Host header, which prevents DNS rebinding by a page of another site."""
    try:
        return urlsplit(f"//{host}").hostname in LOOPBACK
    except ValueError:
        return False


def _is_cross_site(headers: Headers) -> bool:
    """Check the headers that browsers add and programs omit."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc != headers.get("host")
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def _set_deadline(receive: Receive, seconds: float) -> Receive:
    deadline = asyncio.get_running_loop().time() + seconds
    complete = False

    async def receive_in_time() -> Message:
        nonlocal complete
        try:
            async with asyncio.timeout_at(None if complete else deadline):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(
                408, f"the upload was incomplete after {seconds:g} s. Send fewer or smaller files"
            ) from error
        complete = complete or not message.get("more_body", False)
        return message

    return receive_in_time


def bound_connections(options: Serving) -> type[asyncio.Protocol]:
    """Return a uvicorn protocol with a deadline for headers and a limit on connections, which uvicorn lacks.

    Args:
        options: `header_seconds`, within which the headers of a request must be complete, from when the connection was
            opened or its last request was answered; and `max_connections`, beyond which the connection that has waited
            longest without a request is closed.
    """

    class BoundedProtocol(_BoundedProtocol):
        header_seconds = options.header_seconds
        max_connections = options.max_connections
        waiting: ClassVar[dict[_BoundedProtocol, asyncio.TimerHandle]] = {}

    return BoundedProtocol


class _BoundedProtocol(H11Protocol):
    header_seconds: float
    max_connections: int
    waiting: ClassVar[dict["_BoundedProtocol", asyncio.TimerHandle]]  # longest waiting first

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self.max_connections and self.waiting:
            next(iter(self.waiting))._abort()

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
            self.waiting[self] = self.loop.call_later(self.header_seconds, self._abort)

    def _stop_waiting(self) -> None:
        if timer := self.waiting.pop(self, None):
            timer.cancel()

    def _abort(self) -> None:
        self._stop_waiting()
        self.transport.abort()
