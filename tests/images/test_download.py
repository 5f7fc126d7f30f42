"""Downloads over a real connection that breaks, from a server that changes its mind."""

import hashlib
import io
import json
import random
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kedro.io import DatasetError

from chest_xray.images import download
from chest_xray.images.download import ArchiveSource, fetch_archive
from tests.http_server import Served, serve


def pack(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jpeg", content)
    return buffer.getvalue()


DATA = pack(random.Random(0).randbytes(3_000_000))
BLOCK = 1 << 16  # What is lost when a connection breaks in its middle.
DIGEST = hashlib.sha256(DATA).hexdigest()


def source(served: Served, **changes: Any) -> ArchiveSource:
    options = {"address": served.url, "sha256": DIGEST, "attempts": 2, "timeout": 5.0, "wait": 0.01}
    return ArchiveSource(**{**options, **changes})


def test_a_file_arrives_whole_and_is_not_fetched_twice(tmp_path: Path) -> None:
    with serve(Served(DATA)) as served:
        first = fetch_archive(source(served), tmp_path)
        second = fetch_archive(source(served), tmp_path)
    assert Path(first["path"]).read_bytes() == DATA
    assert first == second == {"path": first["path"], "sha256": DIGEST, "source": served.url}
    assert len(served.requests) == 1
    assert len(list(tmp_path.iterdir())) == 1  # No part and no note of it is left behind.


def test_broken_connections_go_on_where_they_stopped(tmp_path: Path) -> None:
    with serve(Served(DATA, breaks=[15 * BLOCK, 7 * BLOCK, 2 * BLOCK])) as served:
        path = Path(fetch_archive(source(served), tmp_path)["path"])
    assert path.read_bytes() == DATA
    assert len(served.requests) == 4
    assert all(request["If-Range"] == '"v1"' for request in served.requests[1:])
    assert served.sent == len(DATA)  # Nothing was sent twice.


def test_a_later_run_goes_on_with_what_an_earlier_one_left(tmp_path: Path) -> None:
    with serve(Served(DATA, breaks=[15 * BLOCK, 0, 0])) as served:
        with pytest.raises(
            DatasetError, match=r"cannot download http://127.*The part received is kept: run again to resume"
        ):
            fetch_archive(source(served), tmp_path)
        assert not list(tmp_path.glob("*.zip"))
        path = Path(fetch_archive(source(served), tmp_path)["path"])
    assert path.read_bytes() == DATA
    assert served.requests[-1]["Range"] == f"bytes={15 * BLOCK}-"


def test_a_server_without_ranges_starts_over(tmp_path: Path) -> None:
    with serve(Served(DATA, breaks=[1_000_000], ranges=False)) as served:
        path = Path(fetch_archive(source(served), tmp_path)["path"])
    assert path.read_bytes() == DATA


def test_a_file_that_changed_between_two_connections_is_not_mixed(tmp_path: Path) -> None:
    with serve(Served(bytes(len(DATA)), breaks=[1_000_000, 0, 0], etag='"old"')) as served:
        with pytest.raises(DatasetError, match="cannot download"):
            fetch_archive(source(served), tmp_path)
        served.data, served.etag = DATA, '"new"'
        path = Path(fetch_archive(source(served), tmp_path)["path"])
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_no_part_is_trusted(tmp_path: Path, etag: str | None) -> None:
    with serve(Served(DATA, breaks=[1_000_000], etag=etag)) as served:
        path = Path(fetch_archive(source(served), tmp_path)["path"])
    assert path.read_bytes() == DATA
    assert "Range" not in served.requests[1]


def test_a_part_longer_than_the_file_is_thrown_away(tmp_path: Path) -> None:
    with serve(Served(DATA + b"more", breaks=[len(DATA) + 2, 0, 0])) as served:
        with pytest.raises(DatasetError, match="cannot download"):
            fetch_archive(source(served), tmp_path)
        served.data = DATA
        path = Path(fetch_archive(source(served), tmp_path)["path"])
    assert path.read_bytes() == DATA


def test_a_wrong_checksum_is_an_error_and_leaves_no_archive(tmp_path: Path) -> None:
    with (
        serve(Served(DATA)) as served,
        pytest.raises(DatasetError, match=f"is not the expected file: SHA256 hash .*{'0' * 64}.* set download.sha256"),
    ):
        fetch_archive(source(served, sha256="0" * 64), tmp_path)
    assert not list(tmp_path.glob("*.zip"))


def test_without_a_checksum_the_one_found_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serve(Served(DATA)) as served:
        assert fetch_archive(source(served, sha256=None), tmp_path)["sha256"] == DIGEST
    assert f"has SHA-256 {DIGEST}, unchecked: set download.sha256 to compare" in caplog.text


def test_a_refusal_is_not_tried_again(tmp_path: Path) -> None:
    with (
        serve(Served(DATA, status=403)) as served,
        pytest.raises(DatasetError, match=r"cannot download .*: 403 Client"),
    ):
        fetch_archive(source(served), tmp_path)
    assert len(served.requests) == 1


def test_an_archive_on_this_machine_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_bytes(DATA)
    local = ArchiveSource(str(tmp_path / "mine.zip"), DIGEST.upper(), 1, 1, 1)
    assert fetch_archive(local, tmp_path / "download")["path"] == str(tmp_path / "mine.zip")
    assert not (tmp_path / "download").exists()


def test_an_archive_on_this_machine_is_compared_with_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_bytes(DATA)
    with pytest.raises(DatasetError, match=rf"mine\.zip has SHA-256 {DIGEST}; expected 00"):
        fetch_archive(ArchiveSource(str(tmp_path / "mine.zip"), "0" * 64, 1, 1, 1), tmp_path)


def test_a_missing_archive_names_the_parameter(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no archive at mine\.zip; name .* --params download\.source="):
        fetch_archive(ArchiveSource("mine.zip", None, 1, 1, 1), tmp_path)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_login_page_is_not_taken_for_the_archive(tmp_path: Path, kind: str) -> None:
    page = b"<!doctype html><title>Sign in</title>"
    with (
        serve(Served(page, kind=kind)) as served,
        pytest.raises(DatasetError, match=r"(is a web page|is not a zip archive).*login"),
    ):
        fetch_archive(source(served, sha256=None), tmp_path)
    assert not list(tmp_path.glob("*.zip"))


@pytest.mark.parametrize("lie", [{"resumed_from": 5}, {"resumed_etag": '"other"'}])
def test_a_rest_that_was_not_requested_is_discarded(tmp_path: Path, lie: dict[str, Any]) -> None:
    with serve(Served(DATA, breaks=[15 * BLOCK], **lie)) as served:
        path = Path(fetch_archive(source(served), tmp_path)["path"])
    assert path.read_bytes() == DATA
    assert "Range" not in served.requests[-1]


@contextmanager
def yandex_disk(served: Served, monkeypatch: pytest.MonkeyPatch, known: str) -> Iterator[list[dict[str, list[str]]]]:
    """A double of the public interface of Yandex Disk that knows one key, and a list of the queries it received."""
    queries: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            queries.append(parse_qs(urlsplit(self.path).query))
            found = queries[-1]["public_key"] == [known]
            answer = {"href": f"{served.url}?token={len(queries)}", "method": "GET", "templated": False}
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer if found else {"error": "DiskNotFoundError"}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setattr(download, "YANDEX_ADDRESSES", f"http://127.0.0.1:{server.server_port}/download")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield queries
        server.shutdown()


@pytest.mark.parametrize("link", ["https://disk.yandex.ru/d/VEIy4pYytapT3A", "https://yadi.sk/d/abc_DEF-1"])
def test_a_link_to_yandex_disk_resumes_at_a_new_address_for_each_attempt(
    link: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serve(Served(DATA, breaks=[15 * BLOCK])) as served, yandex_disk(served, monkeypatch, link) as queries:
        archive = fetch_archive(source(served, address=link), tmp_path)
    assert Path(archive["path"]).read_bytes() == DATA
    assert archive["source"] == link
    assert queries == [{"public_key": [link]}] * 2
    assert served.paths == ["/archive.zip?token=1", "/archive.zip?token=2"]
    assert served.requests[1]["Range"] == f"bytes={15 * BLOCK}-"
    assert served.sent == len(DATA)


def test_a_link_to_a_file_in_a_folder_of_yandex_disk_is_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = "https://disk.yandex.ru/d/abc"
    with serve(Served(DATA)) as served, yandex_disk(served, monkeypatch, folder) as queries:
        fetch_archive(source(served, address=f"{folder}/set/my%20images.zip"), tmp_path)
    assert queries == [{"public_key": [folder], "path": ["/set/my images.zip"]}]


def test_a_link_that_yandex_disk_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    link = "https://disk.yandex.ru/d/gone"
    with (
        serve(Served(DATA)) as served,
        yandex_disk(served, monkeypatch, "another"),
        pytest.raises(DatasetError, match=f"no public file or folder at {link}. Check the link in a browser"),
    ):
        fetch_archive(source(served, address=link), tmp_path)
    assert served.paths == []


def test_without_a_connection_the_cause_is_named_without_the_objects_of_a_library(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(Served(DATA)) as served:
        unreachable = source(served, address="http://127.0.0.1:9/a.zip", attempts=2)
    with pytest.raises(DatasetError, match=r"cannot download .*a\.zip: Failed to establish .* refused\. The part"):
        fetch_archive(unreachable, tmp_path)
    assert [message for message in caplog.messages if "HTTPConnection" in message] == []
    assert "no connection (Failed to establish a new connection: " in caplog.text
