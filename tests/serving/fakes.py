"""A predictor that needs no network, and a server around it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from chest_xray.core.types import Array
from chest_xray.models.inference import Prediction, Predictor
from chest_xray.serving.options import Serving
from chest_xray.serving.page_contents import Background, Samples
from chest_xray.serving.starting import configure
from tests.builders import make_contract

CONTRACT = make_contract(min_side=1, min_contrast=0)
BACKGROUND = Background("SYNTHETIC phantoms drawn by this project, not radiographs", None, Samples("phantoms"))


class Fake(Predictor):
    """Return the mean grey value as the probability, and record the batch sizes."""

    def __init__(self, seconds: float = 0.0):
        super().__init__(CONTRACT, {}, "0123456789abcdef", lambda pixels: pixels.mean(axis=(1, 2)))
        self.seconds = seconds
        self.batches: list[int] = []

    def score(self, pixels: Array) -> list[Prediction]:
        """Return mean / 255 of each image; black images are refused, and an image of 13s raises an error."""
        self.batches.append(len(pixels))
        time.sleep(self.seconds)
        if (pixels == 13).all(axis=(1, 2)).any():
            raise RuntimeError("unlucky")
        return [self._tell(float(each.mean()) / 255) for each in pixels]

    def _tell(self, probability: float) -> Prediction:
        if probability == 0:
            return Prediction.refuse("unlike", "a black picture", 0.9)
        return Prediction(probability, "PNEUMONIA" if probability >= 0.5 else "NORMAL", None, "", 1.0)


def make_serving(**changes: Any) -> Serving:
    """Limits small enough to reach."""
    given = {
        **{"host": "127.0.0.1", "port": 0, "language": "en", "max_upload_megabytes": 1, "max_megapixels": 1},
        **{"max_files": 4, "upload_seconds": 10, "queue_length": 64, "batch_window_ms": 5},
        **{"max_batch_size": 8, "max_header_bytes": 16384, "header_seconds": 10, "max_connections": 100},
        **{"decode_processes": 2, "decode_seconds": 10, "decode_megabytes": 2000, "light_megapixels": 20},
    }
    return Serving.model_validate({**given, **changes})


@contextmanager
def serving(app: FastAPI, options: Serving | None = None) -> Iterator[str]:
    """Run a server on the loopback until the block is left, and give its address."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = uvicorn.Server(configure(app, options or make_serving()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
