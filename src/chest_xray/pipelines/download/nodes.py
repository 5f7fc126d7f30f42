"""All nodes of download: locate, download and unpack the archive of images."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from chest_xray.core.types import Options
from chest_xray.images.archives import ArchiveSource, UnpackingLimits, fetch_archive, unpack

Sha256 = Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]


class Preset(Options):
    """A public address of the data set."""

    url: Annotated[str, Field(pattern="^https?://")]
    sha256: Sha256 | None


class Download(Options):
    """Address of the archive (a preset, URL or path), and limits of retries; see `ArchiveSource`."""

    source: str
    sha256: Sha256 | None
    presets: dict[str, Preset]
    attempts: Annotated[int, Field(ge=1)]
    timeout: Annotated[float, Field(gt=0)]
    wait: Annotated[float, Field(ge=0)]


def locate_archive(download: Download) -> ArchiveSource:
    """Return the source; a `sha256` of its own has priority over that of a preset."""
    preset = download.presets.get(download.source)
    return ArchiveSource(
        address=preset.url if preset else download.source,
        sha256=download.sha256 or (preset.sha256 if preset else None),
        **download.model_dump(include={"attempts", "timeout", "wait"}),
    )


def download_archive(archive_source: ArchiveSource, download_folder: Path) -> dict[str, str]:
    """Download the archive, or the rest of it, and return its `path`, `sha256` and `source`."""
    return fetch_archive(archive_source, download_folder)


def unpack_archive(image_archive: dict[str, str], unpacking: UnpackingLimits, image_folder: Path) -> dict[str, str]:
    """Unpack `train` and `test` unless that has been done, and return the archive with its `folder`."""
    unpack(image_archive, unpacking, image_folder)
    return {**image_archive, "folder": str(image_folder)}
