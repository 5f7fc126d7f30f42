"""Parameters of the server and the page, and options of the commands that start them."""

from collections.abc import Callable
from typing import Annotated, Literal

import click
from pydantic import Field

from chest_xray.core.types import Options

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Serving(Options):
    """Limits of the server and the page, explained in `conf/base/parameters_serving.yml`."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=0, le=65535)]  # 0: any free port
    language: Literal["en", "ru"]
    max_upload_megabytes: Annotated[float, Field(gt=0, le=2000)]
    max_megapixels: Positive
    max_files: Annotated[int, Field(ge=1, le=1000)]
    upload_seconds: Positive
    queue_length: Count
    max_header_bytes: Annotated[int, Field(ge=1024)]
    header_seconds: Positive
    max_connections: Count
    decode_processes: Count
    decode_seconds: Positive
    decode_megabytes: Annotated[int, Field(ge=256)]
    light_megapixels: Positive
    batch_window_ms: Annotated[float, Field(ge=0, le=1000)]
    max_batch_size: Count

    @property
    def max_upload_bytes(self) -> int:
        """Return the limit of a request in bytes."""
        return int(self.max_upload_megabytes * 1_000_000)


def address_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--port` and `--host` to a command that starts the server."""
    command = click.option("--port", type=int, help="Port to listen on; 0 takes any that is free.")(command)
    return click.option("--host", help="Address to listen on; without it only this machine can connect.")(command)


def page_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--language` and `--browser` to a command that opens the page."""
    languages = click.Choice(["en", "ru"])
    command = click.option("--language", type=languages, help="Language of the first view.")(command)
    return click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")(command)
