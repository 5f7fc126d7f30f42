"""All nodes of download: which archive is wanted, and how it may be unpacked."""

from typing import Annotated

from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.images.archives import Unpacking
from chest_xray.images.download import ArchiveSource

Sha256 = Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]


class Preset(Options):
    """A public address of the data set."""

    url: Annotated[str, Field(pattern="^https?://")]
    sha256: Sha256 | None


class Download(Options):
    """Where the archive comes from, and how patiently it is fetched."""

    source: str
    sha256: Sha256 | None
    presets: dict[str, Preset]
    attempts: Annotated[int, Field(ge=1)]
    timeout: Annotated[float, Field(gt=0)]
    wait: Annotated[float, Field(ge=0)]


class UnpackingLimits(Options):
    """What an archive may unfold to."""

    max_gigabytes: Annotated[float, Field(gt=0)]
    max_files: Annotated[int, Field(gt=0)]
    max_ratio: Annotated[float, Field(ge=1)]


def locate_archive(download: Download) -> ArchiveSource:
    """Turn the name of a preset, a URL or a path into a source.

    Args:
        download: `source` and, if it is known, `sha256`, which goes before that of a preset.

    Returns:
        What is to be fetched.
    """
    preset = download.presets.get(download.source)
    return ArchiveSource(
        address=preset.url if preset else download.source,
        sha256=download.sha256 or (preset.sha256 if preset else None),
        attempts=download.attempts,
        timeout=download.timeout,
        wait=download.wait,
    )


def unpack_archive(image_archive: dict[str, str], unpacking: UnpackingLimits) -> Unpacking:
    """Plan how the archive is unpacked.

    Args:
        image_archive: `path`, `sha256` and `source` of the zip file.
        unpacking: What it may unfold to.

    Returns:
        The plan.
    """
    return Unpacking(image_archive, **unpacking.model_dump())
