"""Download one large file: resume after a lost connection, and check its SHA-256."""

import hashlib
import json
import logging
import re
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from kedro.io import DatasetError

logger = logging.getLogger(__name__)
CHUNK = 1 << 16  # bytes; a chunk is lost when the connection is
# A public link to Yandex Disk is a page; its interface returns the address of the file, valid for a short time.
YANDEX_LINK = re.compile(r"(https?://(?:disk\.yandex\.[a-z.]+|yadi\.sk)/[di]/[^/?#]+)(/[^?#]+)?")
YANDEX_ADDRESSES = "https://cloud-api.yandex.net/v1/disk/public/resources/download"


@dataclass(frozen=True)
class ArchiveSource:
    """The address of an archive, and how to download it."""

    address: str  # an http(s) URL, a public link to Yandex Disk, or a path on this machine
    sha256: str | None  # hexadecimal; None where none is published
    attempts: int  # connections in a row without a byte before the download fails
    timeout: float  # seconds
    wait: float  # seconds before the second attempt; each later wait is twice as long


def fetch_archive(source: ArchiveSource, folder: Path) -> dict[str, str]:
    """Return `path`, `sha256` and `source` of an archive, after downloading it unless that has been done.

    Args:
        source: A file on this machine is used in place.
        folder: Receives the download, and its part after a lost connection.

    Raises:
        DatasetError: There is no such file, the download fails, or the file is no zip archive or has another checksum.
    """
    import pooch

    if source.address.startswith(("http://", "https://")):
        path = _download(source, folder)
    else:
        path = Path(source.address)
        if not path.is_file():
            raise DatasetError(f"no archive at {path}; name a .zip file or a URL with --params download.source=...")
    if not zipfile.is_zipfile(path):
        if path.parent == folder:  # Otherwise the next run would take this download for the archive.
            path.unlink()
        raise DatasetError(
            f"{source.address} is not a zip archive; expected the archive itself. Open the address in a "
            "browser: where it asks for a login, fetch the file there and name it with --params download.source=FILE."
        )
    digest = pooch.file_hash(str(path), alg="sha256")
    if source.sha256 and digest != source.sha256.lower():
        raise DatasetError(f"{path} has SHA-256 {digest}; expected {source.sha256}. Get the file again.")
    if not source.sha256:
        logger.warning("%s has SHA-256 %s, unchecked: set download.sha256 to compare.", path, digest)
    return {"path": str(path), "sha256": digest, "source": source.address}


def _download(source: ArchiveSource, folder: Path) -> Path:
    import pooch
    import requests

    name = f"{hashlib.sha256(source.address.encode()).hexdigest()[:12]}.zip"
    expected_hash = f"sha256:{source.sha256.lower()}" if source.sha256 else None
    downloader = _ResumingDownloader(source, folder / f"{name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(pooch.retrieve(source.address, expected_hash, fname=name, path=folder, downloader=downloader))
    except ValueError as error:
        raise DatasetError(
            f"{source.address} is not the expected file: {error} Look up its current SHA-256 at the source and set "
            "download.sha256, or name another source."
        ) from error
    except requests.RequestException as error:
        raise DatasetError(
            f"cannot download {source.address}: {_find_cause(error)}. The part received is kept: run again to "
            "resume, or fetch the file by other means and name it with --params download.source=FILE."
        ) from error
    except OSError as error:
        raise DatasetError(f"cannot write into {folder}: {error}. Make it writable or make room.") from error


def _find_cause(error: Exception) -> str:
    """Return what urllib3 wraps, such as a name that cannot be resolved, without the objects and the address."""
    cause = getattr(error.args[0] if error.args else None, "reason", error)
    return re.sub(r"^<?HTTPS?Connection.*?[)>]: ", "", str(cause))


class _ResumingDownloader:
    """A downloader for pooch, whose own start from zero after every lost connection."""

    def __init__(self, source: ArchiveSource, part: Path):
        self._source, self._part = source, part
        self._validator = part.with_name(f"{part.name}.json")

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        import requests

        failures = 0
        while True:
            before = self._size()
            try:
                self._fetch_rest(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                failures = 0 if self._size() > before else failures + 1
                if failures >= self._source.attempts:
                    raise
                lost = f"connection lost after {size:,} bytes" if (size := self._size()) else "no connection"
                logger.warning("%s (%s); trying again.", lost, _find_cause(error))
                time.sleep(self._source.wait * 2 ** max(failures - 1, 0))
        self._part.replace(output_file)
        self._validator.unlink(missing_ok=True)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _fetch_rest(self, url: str) -> None:
        import requests

        headers = {"Accept-Encoding": "identity"}
        if self._size() and self._validator.exists():
            # The server sends the rest if the file is still the same, else the whole (RFC 9110, 13.1.5).
            headers |= {"Range": f"bytes={self._size()}-", "If-Range": json.loads(self._validator.read_text())}
        with requests.get(
            self._find_address(url), headers=headers, stream=True, timeout=self._source.timeout
        ) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self._part.unlink()
                raise requests.ConnectionError("the stored part is longer than the file; starting over")
            response.raise_for_status()
            kind = response.headers.get("Content-Type", "")
            if kind.startswith("text/html"):
                raise DatasetError(
                    f"{response.url} is a web page ({kind}); expected a zip archive. Where the page asks for a "
                    "login, fetch the file in a browser and name it with --params download.source=FILE."
                )
            resumed = response.status_code == requests.codes.partial_content
            if resumed and not self._continues(response):
                self._part.unlink()
                raise requests.ConnectionError("the server sent another part than the one requested; starting over")
            self._append(response, resumed=resumed)

    def _find_address(self, url: str) -> str:
        """Return the address of the file behind a public link to Yandex Disk, or behind one to a file in its folder."""
        import requests

        if not (link := YANDEX_LINK.match(url)):
            return url
        query = {"public_key": link[1]} | ({"path": unquote(link[2])} if link[2] else {})
        response = requests.get(YANDEX_ADDRESSES, params=query, timeout=self._source.timeout)
        if response.status_code == requests.codes.not_found:
            raise DatasetError(f"Yandex Disk has no public file or folder at {url}. Check the link in a browser.")
        response.raise_for_status()
        return str(response.json()["href"])

    def _continues(self, response: Any) -> bool:
        """Check whether a response is of the same version of the file, and begins where the stored part ends."""
        tag, validator = response.headers.get("ETag"), json.loads(self._validator.read_text("utf-8"))
        same = not tag or not str(validator).startswith('"') or tag == validator
        return same and response.headers.get("Content-Range", "").startswith(f"bytes {self._size()}-")

    def _append(self, response: Any, *, resumed: bool) -> None:
        from tqdm import tqdm

        start = self._size() if resumed else 0
        if not resumed:  # Store what identifies this version of the file; a weak ETag does not.
            tag = response.headers.get("ETag", "")
            validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
            self._validator.unlink(missing_ok=True)
            if validator:
                self._validator.write_text(json.dumps(validator), "utf-8")
        total = start + int(response.headers.get("Content-Length", 0))
        if total - start > shutil.disk_usage(self._part.parent).free:
            raise DatasetError(
                f"{response.url} needs {total / 1e9:.1f} GB, more than {self._part.parent} has room for. Make "
                "room, or set data_dir in conf/base/globals.yml to a folder on another disk."
            )
        show = {"unit": "B", "unit_scale": True, "desc": "Downloading", "disable": None}
        with (
            self._part.open("ab" if resumed else "wb") as file,
            tqdm(total=total or None, initial=start, **show) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
