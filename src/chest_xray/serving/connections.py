"""What a connection may cost before it has asked for anything: bytes of headers, silent seconds, and its place."""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from chest_xray.serving.options import Serving


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
