"""All nodes of download: locate, download and unpack the archive of images."""

from pathlib import Path

from chest_xray.images.archives import Download, UnpackingLimits, fetch_archive, unpack


def locate_archive(download: Download) -> Download:
    """Return the download with the address of a preset; a `sha256` of its own has priority over that of the preset."""
    preset = download.presets.get(download.source)
    if preset is None:
        return download
    return download.model_copy(update={"source": preset.url, "sha256": download.sha256 or preset.sha256})


def download_archive(archive_source: Download, download_folder: Path) -> dict[str, str]:
    """Download the archive, or the rest of it, and return its `path`, `sha256` and `source`."""
    return fetch_archive(archive_source, download_folder)


def unpack_archive(image_archive: dict[str, str], unpacking: UnpackingLimits, image_folder: Path) -> dict[str, str]:
    """Unpack `train` and `test` unless that has been done, and return the archive with its `folder`."""
    unpack(image_archive, unpacking, image_folder)
    return {**image_archive, "folder": str(image_folder)}
