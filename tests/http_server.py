"""An HTTP server on the loopback that serves one file, with ranges, and can cut connections on request."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server returns, and the requests it received."""

    data: bytes
    breaks: list[int] = field(default_factory=list)  # Bytes of a response after which the connection is cut.
    ranges: bool = True
    etag: str | None = '"v1"'
    status: int | None = None
    kind: str | None = None  # Content-Type
    resumed_from: int | None = None  # Start of the range that the server claims to send, if not the true one.
    resumed_etag: str | None = None
    url: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sent: int = 0


@contextmanager
def serve(served: Served) -> Iterator[Served]:
    """Serve until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.requests.append(dict(self.headers))
            served.paths.append(self.path)
            if served.status:
                self.send_error(served.status)
                return
            start = self._start()
            if start >= len(served.data):
                self.send_error(416)
                return
            self._send_head(start)
            self._send_body(served.data[start:])

        def _start(self) -> int:
            match = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            fresh = self.headers.get("If-Range") == served.etag
            return int(match[1]) if match and fresh and served.ranges else 0

        def _send_head(self, start: int) -> None:
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(served.data) - start))
            if served.kind:
                self.send_header("Content-Type", served.kind)
            if start:
                first = start if served.resumed_from is None else served.resumed_from
                self.send_header("Content-Range", f"bytes {first}-{len(served.data) - 1}/{len(served.data)}")
            if etag := (served.resumed_etag if start else None) or served.etag:
                self.send_header("ETag", etag)
            self.end_headers()

        def _send_body(self, body: bytes) -> None:
            if served.breaks:
                body = body[: served.breaks.pop(0)]
                self.close_connection = True
            self.wfile.write(body)
            self.wfile.flush()
            served.sent += len(body)
            if self.close_connection:
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/archive.zip"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
