"""What the server and the page allow, and where they listen."""

from typing import Annotated, Literal

from pydantic import Field

from chest_xray.core.options import Options

Positive = Annotated[int, Field(ge=1)]
MEGA = 1_000_000

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Serving(Options):
    """Limits of the server and of the page; what each is for stands in `conf/base/parameters_serving.yml`."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=0, le=65535)]  # 0: any that is free
    language: Literal["en", "ru"]
    max_upload_megabytes: Annotated[float, Field(gt=0, le=2000)]
    max_megapixels: Annotated[float, Field(gt=0)]
    max_files: Annotated[int, Field(ge=1, le=1000)]
    upload_seconds: Annotated[float, Field(gt=0)]
    queue_length: Positive
    max_header_bytes: Annotated[int, Field(ge=1024)]
    header_seconds: Annotated[float, Field(gt=0)]
    max_connections: Positive
    decode_processes: Positive
    decode_seconds: Annotated[float, Field(gt=0)]
    decode_megabytes: Annotated[int, Field(ge=256)]
    light_megapixels: Annotated[float, Field(gt=0)]
    batch_window_ms: Annotated[float, Field(ge=0, le=1000)]
    max_batch_size: Positive

    @property
    def max_upload_bytes(self) -> int:
        """Return the limit of a request in bytes."""
        return int(self.max_upload_megabytes * MEGA)
