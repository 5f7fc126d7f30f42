"""Download one large file over connections that break: go on where it stopped, and trust nothing but its checksum."""

import json
import logging
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import DatasetError

logger = logging.getLogger(__name__)
CHUNK = 1 << 16  # bytes; what has come of a chunk when the connection breaks is lost


@dataclass(frozen=True)
class ArchiveSource:
    """Where an archive comes from.

    Args:
        address: An http(s) URL, or a path on this machine.
        sha256: Hexadecimal digest of the file, or None where nobody has published one.
        attempts: Connections in a row that may bring nothing before the download is given up.
        timeout: Seconds to wait for the server at a time.
        wait: Seconds before the second attempt; each later wait is twice as long.
    """

    address: str
    sha256: str | None
    attempts: int
    timeout: float
    wait: float


def fetch_archive(source: ArchiveSource, folder: Path) -> dict[str, str]:
    """Download a file, unless it is here already.

    Args:
        source: Where it comes from.
        folder: Where a download is kept, and its part after a break; a file on this machine stays where it is.

    Returns:
        `path` and `sha256` of the file, and the `source` it came from.

    Raises:
        DatasetError: There is no such file, the server refuses or gives up, or the checksum is another one.
    """
    import pooch

    if source.address.startswith(("http://", "https://")):
        path = _download(source, folder)
    else:
        path = Path(source.address)
        if not path.is_file():
            raise DatasetError(f"no archive at {path}; name a .zip file or a URL with --params download.source=...")
    if not zipfile.is_zipfile(path):
        if path.parent == folder:  # A download that is of no use would be taken for the archive by the next run.
            path.unlink()
        raise DatasetError(
            f"{source.address} gave a file that is no zip archive; expected the archive itself. Open the address in a "
            "browser: where it asks for a login, fetch the file there and name it with --params download.source=FILE."
        )
    digest = pooch.file_hash(str(path), alg="sha256")
    if source.sha256 and digest != source.sha256.lower():
        raise DatasetError(f"{path} has SHA-256 {digest}; expected {source.sha256}. Get the file again.")
    if not source.sha256:
        logger.warning("%s has SHA-256 %s, unchecked: set download.sha256 to compare.", path, digest)
    return {"path": str(path), "sha256": digest, "source": source.address}


def _download(source: ArchiveSource, folder: Path) -> Path:
    import hashlib

    import pooch
    import requests

    name = f"{hashlib.sha256(source.address.encode()).hexdigest()[:12]}.zip"
    known = f"sha256:{source.sha256.lower()}" if source.sha256 else None
    downloader = _ResumingDownloader(source, folder / f"{name}.part")
    try:
        return Path(pooch.retrieve(source.address, known, fname=name, path=folder, downloader=downloader))
    except ValueError as error:
        raise DatasetError(
            f"{source.address} gave another file than expected: {error} Ask the source for its present SHA-256 and set "
            "download.sha256, or name another source."
        ) from error
    except requests.RequestException as error:
        raise DatasetError(
            f"cannot download {source.address}: {error}. What has arrived is kept: run again to go on, or fetch the "
            "file by other means and name it with --params download.source=FILE."
        ) from error


class _ResumingDownloader:
    """What pooch calls to download; pooch itself starts from zero after every break."""

    def __init__(self, source: ArchiveSource, part: Path):
        self._source = source
        self._part = part
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
                logger.warning("connection lost after %s bytes (%s); going on.", f"{self._size():,}", error)
                time.sleep(self._source.wait * 2 ** max(failures - 1, 0))
        self._part.replace(output_file)
        self._validator.unlink(missing_ok=True)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _fetch_rest(self, url: str) -> None:
        import requests

        headers = {"Accept-Encoding": "identity"}
        if self._size() and self._validator.exists():
            # The server sends the rest only if the file is still the same one, and the whole if not (RFC 9110, 13.1.5).
            headers |= {"Range": f"bytes={self._size()}-", "If-Range": json.loads(self._validator.read_text())}
        with requests.get(url, headers=headers, stream=True, timeout=self._source.timeout) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self._part.unlink()
                raise requests.ConnectionError("the part at hand is longer than the file; starting over")
            response.raise_for_status()
            _refuse_page(response)
            resumed = response.status_code == requests.codes.partial_content
            if resumed and not self._continues(response):
                self._part.unlink()
                raise requests.ConnectionError("the server sent another part than the one asked for; starting over")
            self._append(response, resumed=resumed)

    def _continues(self, response: Any) -> bool:
        """Check whether a part of a file is of the same version, and begins where the part at hand ends."""
        tag, known = response.headers.get("ETag"), json.loads(self._validator.read_text("utf-8"))
        same = not tag or not str(known).startswith('"') or tag == known
        return same and response.headers.get("Content-Range", "").startswith(f"bytes {self._size()}-")

    def _append(self, response: Any, *, resumed: bool) -> None:
        from tqdm import tqdm

        start = self._size() if resumed else 0
        if not resumed:
            self._remember_validator(response)
        total = start + int(response.headers.get("Content-Length", 0))
        if total - start > shutil.disk_usage(self._part.parent).free:
            raise DatasetError(
                f"{response.url} needs {total / 1e9:.1f} GB, more than {self._part.parent} has room for."
            )
        with (
            self._part.open("ab" if resumed else "wb") as file,
            tqdm(
                total=total or None, initial=start, unit="B", unit_scale=True, desc="Downloading", disable=None
            ) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))

    def _remember_validator(self, response: Any) -> None:
        """Store what identifies this version of the file from another; a weak ETag does not."""
        tag = response.headers.get("ETag", "")
        validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        self._validator.unlink(missing_ok=True)
        if validator:
            self._validator.write_text(json.dumps(validator), "utf-8")


def _refuse_page(response: Any) -> None:
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/html"):
        raise DatasetError(
            f"{response.url} answered with a page ({kind}); expected a zip archive. Where the page asks for a login, "
            "fetch the file in a browser and name it with --params download.source=FILE."
        )
