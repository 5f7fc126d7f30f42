"""Archives of images from unknown sources: download one, resume after a lost connection, and unpack it.

Nothing is unpacked outside the target folder or beyond limits, and `unpack` does all or nothing.
"""

import hashlib
import json
import logging
import lzma
import re
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self
from urllib.parse import unquote

from kedro.io import DatasetError
from pydantic import Field

from chest_xray.core.libraries import pooch, requests
from chest_xray.core.types import Options
from chest_xray.images.validation import is_junk

logger = logging.getLogger(__name__)
CHUNK = 1 << 16  # bytes; a chunk is lost when the connection is
# A public link to Yandex Disk is a page; its interface returns the address of the file, valid for a short time.
YANDEX_LINK = re.compile(r"(https?://(?:disk\.yandex\.[a-z.]+|yadi\.sk)/[di]/[^/?#]+)(/[^?#]+)?")
YANDEX_ADDRESSES = "https://cloud-api.yandex.net/v1/disk/public/resources/download"
MARKER = ".source.json"
SPLITS = {"train", "test"}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)  # that Python reads
OTHER_METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}  # APPNOTE.TXT, 4.4.5
MAX_DEPTH = 100  # nested folders
SOURCE = "Archives of images have no such entries; get it from another source."
MAX_NAME = 1 << 16  # bytes of a tar header that holds a long name
LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
Sha256 = Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]


class Preset(Options):
    """A public address of the data set."""

    url: Annotated[str, Field(pattern="^https?://")]
    sha256: Sha256 | None


class Download(Options):
    """The address of an archive, and how to download it."""

    source: str  # a preset, an http(s) URL, a public link to Yandex Disk, or a path on this machine
    sha256: Sha256 | None  # None where none is published
    presets: dict[str, Preset]
    attempts: Annotated[int, Field(ge=1)]  # connections in a row without a byte before the download fails
    timeout: Annotated[float, Field(gt=0)]  # seconds
    wait: Annotated[float, Field(ge=0)]  # seconds before the second attempt; each later wait is twice as long


def fetch_archive(download: Download, folder: Path) -> dict[str, str]:
    """Download an archive unless that has been done, and return its `path`, `sha256` and `source`.

    Args:
        download: Its `source` is a URL or a path, and no preset; a file on this machine is used where it is.
        folder: Receives the download, and its part after a lost connection.

    Raises:
        DatasetError: There is no such file, the download fails, or the file is no zip archive or has another checksum.
    """
    if download.source.startswith(("http://", "https://")):
        path = _download(download, folder)
    else:
        path = Path(download.source)
        if not path.is_file():
            raise DatasetError(f"no archive at {path}; name a .zip file or a URL with --params download.source=...")
    if not zipfile.is_zipfile(path):
        if path.parent == folder:  # Otherwise the next run would take this download for the archive.
            path.unlink()
        raise DatasetError(
            f"{download.source} is not a zip archive; expected the archive itself. Open the address in a "
            "browser: where it asks for a login, fetch the file there and name it with --params download.source=FILE."
        )
    digest = pooch.file_hash(str(path), alg="sha256")
    if download.sha256 and digest != download.sha256.lower():
        raise DatasetError(f"{path} has SHA-256 {digest}; expected {download.sha256}. Get the file again.")
    if not download.sha256:
        logger.warning("%s has SHA-256 %s, unchecked: set download.sha256 to compare.", path, digest)
    return {"path": str(path), "sha256": digest, "source": download.source}


def _download(download: Download, folder: Path) -> Path:
    name = f"{hashlib.sha256(download.source.encode()).hexdigest()[:12]}.zip"
    expected_hash = f"sha256:{download.sha256.lower()}" if download.sha256 else None
    downloader = _ResumingDownloader(download, folder / f"{name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(pooch.retrieve(download.source, expected_hash, fname=name, path=folder, downloader=downloader))
    except ValueError as error:
        raise DatasetError(
            f"{download.source} is not the expected file: {error} Look up its current SHA-256 at the source and set "
            "download.sha256, or name another source."
        ) from error
    except requests.RequestException as error:
        raise DatasetError(
            f"cannot download {download.source}: {_find_cause(error)}. The part received is kept: run again to "
            "resume, or fetch the file by other means and name it with --params download.source=FILE."
        ) from error
    except OSError as error:
        raise DatasetError(f"cannot write into {folder}: {error}. Make it writable or make room.") from error


def _find_cause(error: Exception) -> str:
    """Return the cause that urllib3 wraps, such as a name that cannot be resolved, without objects and addresses."""
    cause = getattr(error.args[0] if error.args else None, "reason", error)
    return re.sub(r"^<?HTTPS?Connection.*?[)>]: ", "", str(cause))


class _ResumingDownloader:
    """A downloader for pooch that resumes; those of pooch start from zero after every lost connection."""

    def __init__(self, download: Download, part: Path):
        self._options, self._part = download, part
        self._validator = part.with_name(f"{part.name}.json")

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        failures = 0
        while True:
            size_before = self._size()
            try:
                self._fetch_rest(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                size = self._size()
                failures = 0 if size > size_before else failures + 1
                if failures >= self._options.attempts:
                    raise
                problem = f"connection lost after {size:,} bytes" if size else "no connection"
                logger.warning("%s (%s); trying again.", problem, _find_cause(error))
                time.sleep(self._options.wait * 2 ** max(failures - 1, 0))
        self._part.replace(output_file)
        self._validator.unlink(missing_ok=True)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _fetch_rest(self, url: str) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self._size() and self._validator.exists():
            # The server sends the rest if the file is still the same, else the whole (RFC 9110, 13.1.5).
            headers |= {"Range": f"bytes={self._size()}-", "If-Range": json.loads(self._validator.read_text())}
        with requests.get(
            self._find_address(url), headers=headers, stream=True, timeout=self._options.timeout
        ) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self._part.unlink()
                raise requests.ConnectionError("the stored part is longer than the file; starting over")
            response.raise_for_status()
            content_type = response.headers.get("Content-Type", "")
            if content_type.startswith("text/html"):
                raise DatasetError(
                    f"{response.url} is a web page ({content_type}); expected a zip archive. Where the page asks for a "
                    "login, fetch the file in a browser and name it with --params download.source=FILE."
                )
            resumed = response.status_code == requests.codes.partial_content
            if resumed:
                tag, validator = response.headers.get("ETag"), json.loads(self._validator.read_text("utf-8"))
                is_same_version = not tag or not str(validator).startswith('"') or tag == validator
                content_range = response.headers.get("Content-Range", "")
                if not is_same_version or not content_range.startswith(f"bytes {self._size()}-"):
                    self._part.unlink()
                    raise requests.ConnectionError("the server sent another part than the one requested; starting over")
            self._append(response, resumed=resumed)

    def _find_address(self, url: str) -> str:
        """Return the address of the file behind a public link to Yandex Disk, or behind one to a file in its folder."""
        if not (link := YANDEX_LINK.match(url)):
            return url
        query = {"public_key": link[1]} | ({"path": unquote(link[2])} if link[2] else {})
        response = requests.get(YANDEX_ADDRESSES, params=query, timeout=self._options.timeout)
        if response.status_code == requests.codes.not_found:
            raise DatasetError(f"Yandex Disk has no public file or folder at {url}. Check the link in a browser.")
        response.raise_for_status()
        return str(response.json()["href"])

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
        bar_options = {"unit": "B", "unit_scale": True, "desc": "Downloading", "disable": None}
        with (
            self._part.open("ab" if resumed else "wb") as file,
            tqdm(total=total or None, initial=start, **bar_options) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


class UnpackingLimits(Options):
    """Limits on the files in an archive: their total size, their number, and their size relative to the archive."""

    max_gigabytes: Annotated[float, Field(gt=0)]
    max_files: Annotated[int, Field(gt=0)]
    max_ratio: Annotated[float, Field(ge=1)]  # Radiographs are compressed already and stay near 1.


def unpack(archive: dict[str, str], limits: UnpackingLimits, target: Path) -> None:
    """Unpack the folders `train` and `test` of a zip archive, wherever they are in it, unless that has been done.

    `archive` is from `fetch_archive`.

    Raises:
        DatasetError: The file is no zip archive, is damaged, points outside, is too large, or has no `train` and
            `test`; or `target` holds other files.
    """
    if (target / MARKER).exists() and json.loads((target / MARKER).read_text("utf-8")) == archive:
        logger.info("%s holds what %s has: nothing to unpack.", target, archive["path"])
        return
    if target.exists() and any(target.iterdir()):
        raise DatasetError(
            f"{target} is not empty, and its files are not from {archive['path']}. Move them away, or unpack to "
            "another place with --params data_root=DIR."
        )
    part = target.with_name(f".part-{target.name}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        extract(archive["path"], limits, part)
        root = _find_splits(part, archive["path"])
        (root / MARKER).write_text(json.dumps(archive), "utf-8")
        if target.exists():
            target.rmdir()
        root.rename(target)
    except OSError as error:
        raise DatasetError(f"cannot unpack to {target}: {error}. Make it writable or make room.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def extract(path: str, limits: UnpackingLimits, part: Path) -> None:
    """Unpack all files of a zip archive, except junk, into an empty folder.

    Raises:
        DatasetError: The file is no zip archive, is damaged, points outside, or is too large.
    """
    from tqdm import tqdm

    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                member.filename = member.filename.replace("\\", "/")  # Some programs of Windows write it.
                if member.compress_type not in METHODS:
                    method = OTHER_METHODS.get(member.compress_type, f"method {member.compress_type}")
                    raise DatasetError(
                        f"{path} cannot be unpacked here: {member.filename!r} is compressed by {method}. Windows does "
                        "so with large files: unpack it there or by 7-Zip, and name the folder."
                    )
                if problem := _find_problem(member):
                    raise DatasetError(f"{path} is refused: {member.filename!r} {problem}. {SOURCE}")
            members = [member for member in archive.infolist() if not member.is_dir() and not is_junk(member.filename)]
            total = sum(member.file_size for member in members)
            _refuse_excess(path, limits, len(members), total)
            if total > shutil.disk_usage(part).free:
                raise DatasetError(
                    f"{path} unpacks to {total / 1e9:.1f} GB; {part} has less room. Make room, or unpack to another "
                    "disk with --params data_root=DIR."
                )
            with tqdm(total=total, unit="B", unit_scale=True, desc="Unpacking", disable=None) as bar:
                for member in members:
                    archive.extract(member, part)  # Writes at most the declared size, and checks the CRC-32.
                    bar.update(member.file_size)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise DatasetError(f"{path} is not a valid zip archive: {error}. Get it again.") from error


def extract_tar(path: str, limits: UnpackingLimits, part: Path) -> None:
    """Unpack all files of a tar archive of any compression, except junk, in one pass.

    Raises:
        DatasetError: The file is no tar archive, is damaged, points outside, holds a link or a device, or is too large;
            files unpacked until then remain in `part`.
    """
    num_files = total = 0
    try:
        with tarfile.open(path, "r|*", tarinfo=_TarInfo) as archive:
            for member in archive:
                if member.isdir() or is_junk(member.name):
                    continue
                num_files, total = num_files + 1, total + member.size
                _refuse_excess(path, limits, num_files, total)
                if member.name.count("/") > MAX_DEPTH:
                    raise DatasetError(
                        f"{path} is refused: {member.name[:80]!r}... is more than {MAX_DEPTH} folders deep. {SOURCE}"
                    )
                if not member.isfile():
                    raise DatasetError(f"{path} is refused: {member.name!r} is a link or a device. {SOURCE}")
                archive.extract(member, part, filter="data")
    except tarfile.FilterError as error:
        raise DatasetError(f"{path} is refused: {error}. {SOURCE}") from error
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DatasetError(f"{path} is not a valid tar archive: {error}. Get it again.") from error


class _TarInfo(tarfile.TarInfo):
    """Refuses long headers before they are read: `tarfile` reads any length that they claim into memory."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in (*LONG_NAMES, tarfile.SOLARIS_XHDTYPE) and member.size > MAX_NAME:
            raise DatasetError(
                f"the archive is refused: it holds a name of {member.size:,} bytes; expected at most {MAX_NAME:,}. "
                f"{SOURCE}"
            )
        return member


def _refuse_excess(path: str, limits: UnpackingLimits, num_files: int, total: int) -> None:
    sizes = {"max_gigabytes": total / 1e9, "max_files": num_files, "max_ratio": total / Path(path).stat().st_size}
    for key, limit in limits:
        if sizes[key] > limit:
            raise DatasetError(
                f"{path} is refused: it would unpack to {num_files} files of {total / 1e9:.3g} GB, "
                f"{sizes['max_ratio']:.3g} times its size. If you trust it, raise unpacking.{key} from {limit:g} "
                "(for prediction, the limits of new_images in conf/base/catalog_prediction.yml)."
            )


def _find_problem(member: zipfile.ZipInfo) -> str | None:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts[:1]):
        return "points outside of the folder it is unpacked to"
    if len(path.parts) > MAX_DEPTH:
        return f"is more than {MAX_DEPTH} folders deep"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & 1:
        return "is encrypted"
    return None


def _find_splits(part: Path, archive: str) -> Path:
    """Return the uppermost folder that holds both splits."""
    for folder in sorted([part, *part.rglob("*/")], key=lambda path: (len(path.parts), path)):
        if {entry.name for entry in folder.iterdir() if entry.is_dir()} >= SPLITS:
            return folder
    contents = ", ".join(sorted(entry.name for entry in part.iterdir())[:5]) or "nothing"
    raise DatasetError(
        f"{archive} holds {contents}; expected a folder with `train` and `test` in it. Arrange the images so, or name "
        "another archive with --params download.source=FILE."
    )
