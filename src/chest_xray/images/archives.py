"""Unpack archives from unknown sources: nothing outside the target folder, within limits, and all or nothing."""

import json
import logging
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from kedro.io import DatasetError

from chest_xray.images.validation import is_junk

logger = logging.getLogger(__name__)
MARKER = ".source.json"
SPLITS = {"train", "test"}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)  # that Python reads
OTHER_METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}  # APPNOTE.TXT, 4.4.5
MAX_DEPTH = 100  # nested folders
SOURCE = "Archives of images have no such entries; get it from another source."
MAX_NAME = 1 << 16  # bytes of a tar header that holds a long name
LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)


@dataclass(frozen=True)
class Unpacking:
    """An archive (`path`, `sha256`, `source`) and the limits on what it unpacks to."""

    archive: dict[str, str]
    max_gigabytes: float  # of all files together
    max_files: int
    max_ratio: float  # unpacked size over packed size; radiographs are compressed already and stay near 1


def unpack(plan: Unpacking, target: Path) -> None:
    """Unpack the folders `train` and `test` of a zip archive, wherever they are in it, unless that has been done.

    Raises:
        DatasetError: The file is no zip archive, is damaged, points outside, is too large, or has no `train` and
            `test`; or `target` holds other files.
    """
    if (target / MARKER).exists() and json.loads((target / MARKER).read_text("utf-8")) == plan.archive:
        logger.info("%s holds what %s has: nothing to unpack.", target, plan.archive["path"])
        return
    if target.exists() and any(target.iterdir()):
        raise DatasetError(
            f"{target} is not empty, and its files are not from {plan.archive['path']}. Move them away, or unpack to "
            "another place with --params data_root=DIR."
        )
    part = target.with_name(f".part-{target.name}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        extract(plan, part)
        root = _find_splits(part, plan.archive["path"])
        (root / MARKER).write_text(json.dumps(plan.archive), "utf-8")
        if target.exists():
            target.rmdir()
        root.rename(target)
    except OSError as error:
        raise DatasetError(f"cannot unpack to {target}: {error}. Make it writable or make room.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def extract(plan: Unpacking, part: Path) -> None:
    """Unpack all files of a zip archive, except junk, into an empty folder.

    Raises:
        DatasetError: The file is no zip archive, is damaged, points outside, or is too large.
    """
    from tqdm import tqdm

    path = plan.archive["path"]
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
                if problem := _find_danger(member):
                    raise DatasetError(f"{path} is refused: {member.filename!r} {problem}. {SOURCE}")
            members = [each for each in archive.infolist() if not each.is_dir() and not is_junk(each.filename)]
            total = sum(member.file_size for member in members)
            _refuse_excess(plan, len(members), total)
            if total > shutil.disk_usage(part).free:
                raise DatasetError(
                    f"{path} unpacks to {total / 1e9:.1f} GB; {part} has less room. Make room, or unpack to another "
                    "disk with --params data_root=DIR."
                )
            with tqdm(total=total, unit="B", unit_scale=True, desc="Unpacking", disable=None) as bar:
                for member in members:
                    archive.extract(member, part)  # Never more than the size declared, and checked by its CRC-32.
                    bar.update(member.file_size)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise DatasetError(f"{path} is not a valid zip archive: {error}. Get it again.") from error


def extract_tar(plan: Unpacking, part: Path) -> None:
    """Unpack all files of a tar archive of any compression, except junk, in one pass.

    Raises:
        DatasetError: The file is no tar archive, is damaged, points outside, holds a link or a device, or is too large;
            files unpacked until then remain in `part`.
    """
    path, num_files, total = plan.archive["path"], 0, 0
    try:
        with tarfile.open(path, "r|*", tarinfo=_TarInfo) as archive:
            for member in archive:
                if member.isdir() or is_junk(member.name):
                    continue
                num_files, total = num_files + 1, total + member.size
                _refuse_excess(plan, num_files, total)
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
    """Refuses long headers unread: `tarfile` reads whatever length they claim into memory."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in (*LONG_NAMES, tarfile.SOLARIS_XHDTYPE) and member.size > MAX_NAME:
            raise DatasetError(
                f"the archive is refused: it holds a name of {member.size:,} bytes; expected at most {MAX_NAME:,}. "
                f"{SOURCE}"
            )
        return member


def _refuse_excess(plan: Unpacking, num_files: int, total: int) -> None:
    packed = Path(plan.archive["path"]).stat().st_size
    for key, found, limit in (
        ("max_gigabytes", total / 1e9, plan.max_gigabytes),
        ("max_files", num_files, plan.max_files),
        ("max_ratio", total / packed, plan.max_ratio),
    ):
        if found > limit:
            raise DatasetError(
                f"{plan.archive['path']} is refused: it would unpack to {num_files} files of {total / 1e9:.3g} GB, "
                f"{total / packed:.3g} times its size. If you trust it, raise unpacking.{key} from {limit:g} "
                "(for prediction, the limits of new_images in conf/base/catalog_prediction.yml)."
            )


def _find_danger(member: zipfile.ZipInfo) -> str | None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
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
    for folder in sorted([part, *part.rglob("*/")], key=lambda each: (len(each.parts), each)):
        if {each.name for each in folder.iterdir() if each.is_dir()} >= SPLITS:
            return folder
    found = ", ".join(sorted(each.name for each in part.iterdir())[:5]) or "nothing"
    raise DatasetError(
        f"{archive} holds {found}; expected a folder with `train` and `test` in it. Arrange the images so, or name "
        "another archive with --params download.source=FILE."
    )
