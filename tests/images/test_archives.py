"""Downloads resume and are checked, and archives are unpacked whole, in place, and never beyond it."""

import hashlib
import io
import json
import random
import stat
import tarfile
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

from chest_xray.images import archives
from chest_xray.images.archives import Download, UnpackingLimits, extract_tar, fetch_archive, unpack
from tests.http_server import Served, serve

FILES = {f"{split}/{name}/1.jpeg": b"12345" for split in ("train", "test") for name in ("NORMAL", "PNEUMONIA")}


def zip_bytes(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jpeg", content)
    return buffer.getvalue()


DATA = zip_bytes(random.Random(0).randbytes(3_000_000))
BLOCK = 1 << 16  # What is lost when a connection breaks in its middle.
DIGEST = hashlib.sha256(DATA).hexdigest()


def read_options(source: str, **changes: Any) -> Download:
    options = {"sha256": DIGEST, "presets": {}, "attempts": 2, "timeout": 5.0, "wait": 0.01}
    return Download.model_validate({"source": source, **options, **changes})


def test_a_file_arrives_whole_and_is_not_fetched_twice(tmp_path: Path) -> None:
    with serve(Served(DATA)) as served:
        first = fetch_archive(read_options(served.url), tmp_path)
        second = fetch_archive(read_options(served.url), tmp_path)
    assert Path(first["path"]).read_bytes() == DATA
    assert first == second == {"path": first["path"], "sha256": DIGEST, "source": served.url}
    assert len(served.requests) == 1
    assert len(list(tmp_path.iterdir())) == 1  # No part and no note of it is left behind.


def test_broken_connections_go_on_where_they_stopped(tmp_path: Path) -> None:
    with serve(Served(DATA, breaks=[15 * BLOCK, 7 * BLOCK, 2 * BLOCK])) as served:
        path = Path(fetch_archive(read_options(served.url), tmp_path)["path"])
    assert path.read_bytes() == DATA
    assert len(served.requests) == 4
    assert all(request["If-Range"] == '"v1"' for request in served.requests[1:])
    assert served.sent == len(DATA)  # Nothing was sent twice.


def test_a_later_run_goes_on_with_what_an_earlier_one_left(tmp_path: Path) -> None:
    with serve(Served(DATA, breaks=[15 * BLOCK, 0, 0])) as served:
        with pytest.raises(
            DatasetError, match=r"cannot download http://127.*The part received is kept: run again to resume"
        ):
            fetch_archive(read_options(served.url), tmp_path)
        assert not list(tmp_path.glob("*.zip"))
        path = Path(fetch_archive(read_options(served.url), tmp_path)["path"])
    assert path.read_bytes() == DATA
    assert served.requests[-1]["Range"] == f"bytes={15 * BLOCK}-"


def test_a_server_without_ranges_starts_over(tmp_path: Path) -> None:
    with serve(Served(DATA, breaks=[1_000_000], ranges=False)) as served:
        path = Path(fetch_archive(read_options(served.url), tmp_path)["path"])
    assert path.read_bytes() == DATA


def test_a_file_that_changed_between_two_connections_is_not_mixed(tmp_path: Path) -> None:
    with serve(Served(bytes(len(DATA)), breaks=[1_000_000, 0, 0], etag='"old"')) as served:
        with pytest.raises(DatasetError, match="cannot download"):
            fetch_archive(read_options(served.url), tmp_path)
        served.data, served.etag = DATA, '"new"'
        path = Path(fetch_archive(read_options(served.url), tmp_path)["path"])
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_no_part_is_trusted(tmp_path: Path, etag: str | None) -> None:
    with serve(Served(DATA, breaks=[1_000_000], etag=etag)) as served:
        path = Path(fetch_archive(read_options(served.url), tmp_path)["path"])
    assert path.read_bytes() == DATA
    assert "Range" not in served.requests[1]


def test_a_part_longer_than_the_file_is_thrown_away(tmp_path: Path) -> None:
    with serve(Served(DATA + b"more", breaks=[len(DATA) + 2, 0, 0])) as served:
        with pytest.raises(DatasetError, match="cannot download"):
            fetch_archive(read_options(served.url), tmp_path)
        served.data = DATA
        path = Path(fetch_archive(read_options(served.url), tmp_path)["path"])
    assert path.read_bytes() == DATA


def test_a_wrong_checksum_is_an_error_and_leaves_no_archive(tmp_path: Path) -> None:
    with (
        serve(Served(DATA)) as served,
        pytest.raises(DatasetError, match=f"is not the expected file: SHA256 hash .*{'0' * 64}.* set download.sha256"),
    ):
        fetch_archive(read_options(served.url, sha256="0" * 64), tmp_path)
    assert not list(tmp_path.glob("*.zip"))


def test_without_a_checksum_the_one_found_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serve(Served(DATA)) as served:
        assert fetch_archive(read_options(served.url, sha256=None), tmp_path)["sha256"] == DIGEST
    assert f"has SHA-256 {DIGEST}, unchecked: set download.sha256 to compare" in caplog.text


def test_a_refusal_is_not_tried_again(tmp_path: Path) -> None:
    with (
        serve(Served(DATA, status=403)) as served,
        pytest.raises(DatasetError, match=r"cannot download .*: 403 Client"),
    ):
        fetch_archive(read_options(served.url), tmp_path)
    assert len(served.requests) == 1


def test_an_archive_on_this_machine_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_bytes(DATA)
    local = read_options(str(tmp_path / "mine.zip"), sha256=DIGEST.upper())
    assert fetch_archive(local, tmp_path / "download")["path"] == str(tmp_path / "mine.zip")
    assert not (tmp_path / "download").exists()


def test_an_archive_on_this_machine_is_compared_with_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_bytes(DATA)
    with pytest.raises(DatasetError, match=rf"mine\.zip has SHA-256 {DIGEST}; expected 00"):
        fetch_archive(read_options(str(tmp_path / "mine.zip"), sha256="0" * 64), tmp_path)


def test_a_missing_archive_names_the_parameter(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no archive at mine\.zip; name .* --params download\.source="):
        fetch_archive(read_options("mine.zip"), tmp_path)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_login_page_is_not_taken_for_the_archive(tmp_path: Path, kind: str) -> None:
    page = b"<!doctype html><title>Sign in</title>"
    with (
        serve(Served(page, kind=kind)) as served,
        pytest.raises(DatasetError, match=r"(is a web page|is not a zip archive).*login"),
    ):
        fetch_archive(read_options(served.url, sha256=None), tmp_path)
    assert not list(tmp_path.glob("*.zip"))


@pytest.mark.parametrize("lie", [{"resumed_from": 5}, {"resumed_etag": '"other"'}])
def test_a_rest_that_was_not_requested_is_discarded(tmp_path: Path, lie: dict[str, Any]) -> None:
    with serve(Served(DATA, breaks=[15 * BLOCK], **lie)) as served:
        path = Path(fetch_archive(read_options(served.url), tmp_path)["path"])
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
        monkeypatch.setattr(archives, "YANDEX_ADDRESSES", f"http://127.0.0.1:{server.server_port}/download")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield queries
        server.shutdown()


@pytest.mark.parametrize("link", ["https://disk.yandex.ru/d/VEIy4pYytapT3A", "https://yadi.sk/d/abc_DEF-1"])
def test_a_link_to_yandex_disk_resumes_at_a_new_address_for_each_attempt(
    link: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serve(Served(DATA, breaks=[15 * BLOCK])) as served, yandex_disk(served, monkeypatch, link) as queries:
        archive = fetch_archive(read_options(link), tmp_path)
    assert Path(archive["path"]).read_bytes() == DATA
    assert archive["source"] == link
    assert queries == [{"public_key": [link]}] * 2
    assert served.paths == ["/archive.zip?token=1", "/archive.zip?token=2"]
    assert served.requests[1]["Range"] == f"bytes={15 * BLOCK}-"
    assert served.sent == len(DATA)


def test_a_link_to_a_file_in_a_folder_of_yandex_disk_is_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = "https://disk.yandex.ru/d/abc"
    with serve(Served(DATA)) as served, yandex_disk(served, monkeypatch, folder) as queries:
        fetch_archive(read_options(f"{folder}/set/my%20images.zip"), tmp_path)
    assert queries == [{"public_key": [folder], "path": ["/set/my images.zip"]}]


def test_a_link_that_yandex_disk_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    link = "https://disk.yandex.ru/d/gone"
    with (
        serve(Served(DATA)) as served,
        yandex_disk(served, monkeypatch, "another"),
        pytest.raises(DatasetError, match=f"no public file or folder at {link}. Check the link in a browser"),
    ):
        fetch_archive(read_options(link), tmp_path)
    assert served.paths == []


def test_without_a_connection_the_cause_is_named_without_the_objects_of_a_library(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable = read_options("http://127.0.0.1:9/a.zip", attempts=2)
    with pytest.raises(DatasetError, match=r"cannot download .*a\.zip: Failed to establish .* refused\. The part"):
        fetch_archive(unreachable, tmp_path)
    assert [message for message in caplog.messages if "HTTPConnection" in message] == []
    assert "no connection (Failed to establish a new connection: " in caplog.text


def pack(path: Path, files: dict[str, bytes], prefix: str = "chest_xray/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return path


LIMITS = {"max_gigabytes": 1, "max_files": 100, "max_ratio": 20}


def unpack_archive(path: Path, target: Path, **limits: float) -> None:
    archive = {"path": str(path), "sha256": "0" * 64, "source": "here"}
    unpack(archive, UnpackingLimits.model_validate(LIMITS | limits), target)


def listing(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


@pytest.mark.parametrize("prefix", ["", "chest_xray/", "archive/chest_xray/"])
def test_train_and_test_come_to_the_target_wherever_they_lie(tmp_path: Path, prefix: str) -> None:
    unpack_archive(pack(tmp_path / "a.zip", FILES, prefix), tmp_path / "data/chest_xray")
    assert listing(tmp_path / "data") == sorted(["chest_xray/.source.json", *(f"chest_xray/{name}" for name in FILES)])
    assert (tmp_path / "data/chest_xray/train/NORMAL/1.jpeg").read_bytes() == b"12345"


def test_backslashes_between_folders_are_read_as_slashes(tmp_path: Path) -> None:
    files = {name.replace("/", "\\"): data for name, data in FILES.items()} | {"train\\Thumbs.db": b"x"}
    unpack_archive(pack(tmp_path / "a.zip", files, "chest_xray\\"), tmp_path / "data")
    assert listing(tmp_path / "data") == sorted([".source.json", *FILES])


def test_backslashes_do_not_lead_outside(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="points outside of the folder"):
        unpack_archive(pack(tmp_path / "a.zip", FILES, "..\\..\\"), tmp_path / "data")


def test_a_method_of_compression_that_python_lacks_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", FILES)
    data = path.read_bytes()
    local, central = b"PK\3\4\x14\0\0\0\x08\0", b"PK\1\2\x14\3\x14\0\0\0\x08\0"
    assert local in data
    assert central in data
    path.write_bytes(data.replace(local, local[:-2] + b"\x09\0").replace(central, central[:-2] + b"\x09\0"))
    with pytest.raises(DatasetError, match=r"is compressed by Deflate64\. Windows does so with large files"):
        unpack_archive(path, tmp_path / "data")


def test_junk_is_left_in_the_archive(tmp_path: Path) -> None:
    junk = {".DS_Store": b"x", "__MACOSX/chest_xray/._train": b"x", "train/NORMAL/Thumbs.db": b"x"}
    unpack_archive(pack(tmp_path / "a.zip", FILES | junk), tmp_path / "data")
    assert listing(tmp_path / "data") == sorted([".source.json", *FILES])


def test_the_kaggle_archive_with_its_second_copy_gives_the_first(tmp_path: Path) -> None:
    twice = FILES | {f"chest_xray/{name}": data for name, data in FILES.items()} | {"val/NORMAL/2.jpeg": b"2"}
    unpack_archive(pack(tmp_path / "a.zip", twice), tmp_path / "data")
    assert {each.name for each in (tmp_path / "data").iterdir()} == {
        ".source.json",
        "chest_xray",
        "test",
        "train",
        "val",
    }


def test_the_same_archive_is_not_unpacked_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = pack(tmp_path / "a.zip", FILES)
    unpack_archive(path, tmp_path / "data")
    (tmp_path / "data/train/NORMAL/1.jpeg").write_bytes(b"touched")
    unpack_archive(path, tmp_path / "data")
    assert "nothing to unpack" in caplog.text
    assert (tmp_path / "data/train/NORMAL/1.jpeg").read_bytes() == b"touched"


def test_other_files_in_the_target_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data/train").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"data is not empty, and its files are not from .*a\.zip\. Move them away"):
        unpack_archive(pack(tmp_path / "a.zip", FILES), tmp_path / "data")


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".part-data/train").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    unpack_archive(pack(tmp_path / "a.zip", FILES), tmp_path / "data")
    assert not (tmp_path / ".part-data").exists()


@pytest.mark.parametrize(
    "name", ["../outside.jpeg", "/etc/outside.jpeg", "..\\outside.jpeg", "C:/outside.jpeg", "a/../../b"]
)
def test_a_path_outside_refuses_the_whole_archive(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "a.zip", FILES | {name: b"x"}, prefix="")
    with pytest.raises(DatasetError, match=r"is refused: .* points outside of the folder it is unpacked to"):
        unpack_archive(path, tmp_path / "data")
    assert [each.name for each in tmp_path.iterdir()] == ["a.zip"]


def test_a_link_refuses_the_whole_archive(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", FILES)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("chest_xray/train/NORMAL/link.jpeg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match=r"link\.jpeg' is a link"):
        unpack_archive(path, tmp_path / "data")


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_files": 3}, r"4 files of .* raise unpacking\.max_files from 3"),
        ({"max_gigabytes": 1e-9}, r"raise unpacking\.max_gigabytes from 1e-09"),
        ({"max_ratio": 1}, r"times its size\. If you trust it, raise unpacking\.max_ratio from 1"),
    ],
)
def test_a_bomb_is_refused_by_number_size_and_ratio(tmp_path: Path, limit: dict[str, float], message: str) -> None:
    path = pack(tmp_path / "a.zip", {name: bytes(50_000) for name in FILES})
    with pytest.raises(DatasetError, match=message):
        unpack_archive(path, tmp_path / "data", **{"max_ratio": 10_000, **limit})
    assert not (tmp_path / "data").exists()


def test_a_size_that_lies_is_found_out(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {**FILES, "train/NORMAL/big.jpeg": bytes(90_000)})
    true, false = (90_000).to_bytes(4, "little"), (90).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(true, false))
    with pytest.raises(DatasetError, match="is not a valid zip archive: Bad CRC-32"):
        unpack_archive(path, tmp_path / "data", max_ratio=10_000)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("damage", [b"", b"no zip at all"])
def test_a_file_that_is_no_archive_is_reported_as_such(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(damage)
    with pytest.raises(DatasetError, match=r"a\.zip is not a valid zip archive: File is not a zip file\. Get it again"):
        unpack_archive(tmp_path / "a.zip", tmp_path / "data")


def test_an_archive_without_train_and_test_reports_what_it_has(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"images/1.jpeg": b"1", "labels.csv": b"2"}, prefix="")
    with pytest.raises(DatasetError, match=r"holds images, labels\.csv; expected a folder with `train` and `test`"):
        unpack_archive(path, tmp_path / "data")


def test_an_entry_that_names_the_folder_itself_is_accepted(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"./": b"", **FILES}, prefix="")
    unpack_archive(path, tmp_path / "data")
    assert (tmp_path / "data/train").is_dir()


def test_folders_a_thousand_deep_refuse_the_archive(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", FILES | {"a/" * 1200 + "1.jpeg": b"x"}, prefix="")
    with pytest.raises(DatasetError, match="is more than 100 folders deep"):
        unpack_archive(path, tmp_path / "data")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("a/" * 1200 + "1.jpeg"), io.BytesIO())
    with pytest.raises(DatasetError, match="is more than 100 folders deep"):
        extract_tar(str(tmp_path / "a.tar"), UnpackingLimits.model_validate(LIMITS), tmp_path)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE])
def test_a_tar_archive_with_a_name_of_a_gigabyte_is_refused_unread(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, 1 << 30
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.fileobj.write(header.tobuf(tarfile.GNU_FORMAT))
        archive.fileobj.write(bytes(1 << 20))
    with pytest.raises(DatasetError, match="holds a name of 1,073,741,824 bytes; expected at most 65,536"):
        extract_tar(str(tmp_path / "a.tar.gz"), UnpackingLimits.model_validate(LIMITS), tmp_path)
