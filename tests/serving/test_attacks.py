"""Attacks on a running server: local files, floods, silent connections, other sites, slow files."""

import asyncio
import io
import itertools
import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from chest_xray.serving.app import create_app
from chest_xray.serving.options import Serving
from chest_xray.serving.page import add_page
from chest_xray.serving.service import DecodingPool, Service, TooSlowError, start_decoders
from tests.builders import encode, make_pixels
from tests.serving.fakes import BACKGROUND, Fake, make_serving, serving

GREY = encode(np.full((16, 16), 51, np.uint8))
# A file with a unique word: a response that contains it has read the file.
SECRET = "a-word-that-stands-in-no-answer"
# The URLs at which the former Gradio page read local files.
FORMER = (
    *("/gradio_api/run/predict", "/gradio_api/call/answer", "/gradio_api/queue/join", "/gradio_api/upload"),
    *("/gradio_api/file={}", "/gradio_api/proxy={}", "/gradio_api/stream/{}", "/file={}", "/config", "/api/predict"),
)


class Site(NamedTuple):
    """A running server with the page, and what it consists of."""

    url: str
    app: Any
    port: int


@contextmanager
def running(**changes: Any) -> Iterator[Site]:
    options: Serving = make_serving(**changes)

    def no_failure(error: Exception) -> None:
        raise error

    with start_decoders(options) as decoders:
        service = Service(Fake, options, no_failure, decoders)
        app = create_app(service, options)
        add_page(app, service, BACKGROUND)
        with serving(app, options) as url, urlopen(f"{url}/model") as answer:
            assert answer.status == 200
            yield Site(url, app, int(url.rsplit(":", 1)[1]))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server with the limits of `make_serving`, but for short deadlines."""
    with running(header_seconds=1, upload_seconds=2, max_connections=50, queue_length=8) as started:
        yield started


def form(data: bytes, field: str = "file", name: str = "a") -> tuple[bytes, dict[str, str]]:
    head = f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
    return head + data + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


def ask(url: str, method: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    request = Request(url, data, headers or {}, method=method)
    try:
        with urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def predict(site: Site, data: bytes = GREY, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    body, kind = form(data)
    return ask(f"{site.url}/predict", "POST", body, {**kind, **(headers or {})})


def routes_of(site: Site) -> list[str]:
    described = json.loads(ask(f"{site.url}/openapi.json", "GET")[1])["paths"]
    built = list(_list_paths(site.app.routes))
    assert {"/en/answer", "/ru/about", "/predict"} <= set(built)
    return sorted({*described, *built})


def _list_paths(routes: Any, prefix: str = "") -> Iterator[str]:
    for route in routes:
        if hasattr(route, "path"):
            yield prefix + route.path
        else:  # FastAPI keeps an included router as one object.
            yield from _list_paths(route.original_router.routes, prefix + route.include_context.prefix)


def test_no_route_reads_a_path_or_url_from_a_request(site: Site, tmp_path: Any) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    picture = tmp_path / "picture.png"
    picture.write_bytes(encode(np.full((16, 16), 204, np.uint8)))
    hits: list[str] = []
    listener = _listen_for_visitors(hits)
    places = [
        *(str(secret), "../" * 12 + str(secret).lstrip("/"), secret.as_uri(), str(picture), picture.as_uri()),
        *(f"http://127.0.0.1:{listener}/x.png", "/proc/self/environ", "/dev/zero", "/etc/hostname"),
    ]
    for route, place in itertools.product([*routes_of(site), *FORMER], places):
        _try_everything(site, route.replace("{label}", "NORMAL"), place)
    assert hits == []
    assert predict(site)[0] == 200


def _try_everything(site: Site, route: str, place: str) -> None:
    from urllib.parse import quote

    prefixes = [""] if route.startswith("/en") or "gradio" not in route else ["", "/en", "/ru"]
    told = {"path": place, "url": place, "meta": {"_type": "gradio.FileData"}}
    bodies: list[tuple[bytes, dict[str, str]]] = [
        (
            json.dumps({"data": [told], "fn_index": 0, "file": told, "path": place}).encode(),
            {"Content-Type": "application/json"},
        ),
        (f"file={quote(place)}&path={quote(place)}&url={quote(place)}".encode(), {}),
        (f'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n{place}\r\n--x--\r\n'.encode(), form(b"")[1]),
        form(place.encode(), name=place),
    ]
    query = f"?path={quote(place)}&file={quote(place)}&url={quote(place)}"
    for prefix in prefixes:
        address = site.url + prefix + route.format(quote(place)) + query
        for method, (body, kind) in [("GET", (None, {})), *(("POST", each) for each in bodies)]:
            status, answer = ask(address, method, body, kind)
            # An image of 204 would score 0.8; no response contains the words of the files.
            assert SECRET.encode() not in answer, (method, address, body)
            assert b"PATH=" not in answer
            assert b'"probability":0.8' not in answer
            assert status < 500, (method, address, body, answer)
            if "gradio" in route or route.startswith(("/file", "/config", "/api")):
                assert status in (404, 405)


def _listen_for_visitors(hits: list[str]) -> int:
    """Listen on a port for attempts to fetch a URL."""
    door = socket.create_server(("127.0.0.1", 0))

    def wait() -> None:
        while True:
            connection, _ = door.accept()
            hits.append("visited")
            connection.close()

    threading.Thread(target=wait, daemon=True).start()
    return int(door.getsockname()[1])


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/en/answer", "/ru/sample/NORMAL"])
@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_requests_from_other_sites_are_rejected(site: Site, path: str, headers: dict[str, str]) -> None:
    body, kind = form(GREY)
    status, answer = ask(site.url + path, "POST", body, {**kind, **headers})
    assert status == 403
    assert json.loads(answer)["reason"] == "forbidden"


def test_requests_from_the_own_page_are_accepted(site: Site) -> None:
    assert predict(site, headers={"Origin": site.url, "Sec-Fetch-Site": "same-origin"})[0] == 200


def converse(site: Site, *parts: bytes, pause: float = 0.0, seconds: float = 10.0) -> bytes:
    """Send parts on one connection, and return everything received until the server closes it."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=seconds) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except OSError:  # The server has closed it.
            pass
        answer = b""
        try:
            while got := connection.recv(65536):
                answer += got
        except ConnectionResetError:
            pass
        return answer


def test_endless_headers_are_rejected(site: Site) -> None:
    flood = (b"X-%06d: " % number + b"a" * 1000 + b"\r\n" for number in range(100_000))
    answer = converse(site, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n", *itertools.islice(flood, 2000))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert predict(site)[0] == 200


@pytest.mark.parametrize("beginning", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_a_connection_that_is_silent_before_its_request_is_closed(site: Site, beginning: bytes) -> None:
    started = time.monotonic()
    assert converse(site, beginning) == b""
    assert 0.5 < time.monotonic() - started < 5


def test_slow_headers_time_out(site: Site) -> None:
    started = time.monotonic()
    parts = [b"GET /health HTTP/1.1\r\n", *(b"X" for _ in range(40))]
    assert converse(site, *parts, pause=0.1) == b""
    assert time.monotonic() - started < 8


def test_a_slow_second_request_times_out(site: Site) -> None:
    whole = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    answer = converse(site, whole, *(b"G" for _ in range(40)), pause=0.1)
    assert answer.count(b"HTTP/1.1") == 1
    assert b'{"status":"ready","reason":null}' in answer


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/en/answer"])
def test_an_upload_of_one_byte_at_a_time_times_out(site: Site, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    started = time.monotonic()
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    answer = converse(site, head.encode() + part, *(b"a" for _ in range(40)), pause=0.1)
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started < 8


def test_hundreds_of_silent_connections_do_not_block_other_clients(site: Site) -> None:
    silent = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(400)]
    try:
        for _ in range(5):
            started = time.monotonic()
            assert predict(site)[0] == 200
            assert time.monotonic() - started < 2
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize("path", ["/predict", "/en/answer"])
def test_excess_concurrent_uploads_are_refused(site: Site, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(8)]
    try:
        for connection in held:
            connection.sendall(head.encode() + b"--x\r\n")
        time.sleep(0.3)
        assert predict(site)[0] == 503
    finally:
        for connection in held:
            connection.close()
    time.sleep(0.3)
    assert predict(site)[0] == 200


def test_a_refusal_shows_only_the_first_bytes_of_a_file(site: Site) -> None:
    status, answer = predict(site, b"PNG?" + SECRET.encode())
    assert status == 422
    assert SECRET.encode() not in answer


def test_a_call_that_takes_too_long_is_stopped_and_the_next_is_answered() -> None:
    async def ask_both() -> None:
        with pytest.raises(TooSlowError, match=r"longer than 0\.5 s and was stopped; .* raise serving\.decode_seconds"):
            await pool.run(time.sleep, 60)
        assert await pool.run(len, "next") == 4

    with DecodingPool(1, seconds=0.5, megabytes=2000) as pool:
        asyncio.run(asyncio.wait_for(ask_both(), 30))


def test_a_call_that_takes_too_much_memory_fails_alone() -> None:
    async def ask_both() -> None:
        with pytest.raises(MemoryError):
            await pool.run(bytes, 3_000_000_000)
        assert await pool.run(len, "next") == 4

    with DecodingPool(1, seconds=20, megabytes=2000) as pool:
        asyncio.run(asyncio.wait_for(ask_both(), 30))


def test_stopping_does_not_wait_for_running_decoders() -> None:
    async def leave() -> None:
        task = asyncio.create_task(pool.run(time.sleep, 60))
        await asyncio.sleep(1)
        task.cancel()

    with DecodingPool(1, seconds=100, megabytes=2000) as pool:
        asyncio.run(leave())
        started = time.monotonic()
    assert time.monotonic() - started < 5


def heavy_picture() -> bytes:
    """A progressive JPEG of 6 megapixels whose scans count as many more."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (2000, 3000), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", progressive=True, quality=60)
    return buffer.getvalue()


def test_light_files_do_not_wait_for_heavy_ones() -> None:
    heavy, light = heavy_picture(), encode(make_pixels(1, 60, 60)[0], "JPEG")
    with running(max_upload_megabytes=20, max_megapixels=10, light_megapixels=10) as site:
        stop = threading.Event()

        def keep_busy() -> None:
            while not stop.is_set():
                predict(site, heavy)

        threads = [threading.Thread(target=keep_busy, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        seconds = []
        for _ in range(20):
            started = time.monotonic()
            assert predict(site, light)[0] == 200
            seconds.append(time.monotonic() - started)
        stop.set()
        for thread in threads:
            thread.join(20)
    assert statistics.median(seconds) < 0.5
