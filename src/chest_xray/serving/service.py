"""The network as the server and the page share it: loaded once, decoding on several threads, computing on one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from chest_xray.predictor import Prediction, Predictor, Prepared
from chest_xray.serving.batching import Batcher
from chest_xray.serving.options import Serving
from chest_xray.types import Array

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Service:
    """Answers for the bytes of images while `running`.

    Args:
        load: Gives the predictor; called in the background, so that the server can answer before TensorFlow is there.
        options: Threads and size of the batches.
        on_failure: Told why, if the predictor could not be loaded.
    """

    def __init__(self, load: Callable[[], Predictor], options: Serving, on_failure: Callable[[Exception], None]):
        self._load, self.options, self._on_failure = load, options, on_failure
        self._decoders = ThreadPoolExecutor(options.decode_threads, "decode")
        self._network = ThreadPoolExecutor(1, "network")
        self._batcher: Batcher[Array, Prediction] = Batcher(
            self._score, options.max_batch_size, options.batch_window_ms / 1000
        )

    @asynccontextmanager
    async def running(self, _app: Any = None) -> AsyncIterator[None]:
        """Load the network and answer until the block is left."""
        self._loaded = asyncio.create_task(self._load_in_background())
        batches = asyncio.create_task(self._batcher.run())
        try:
            yield
        finally:
            for task in (self._loaded, batches):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            for pool in (self._decoders, self._network):
                pool.shutdown(wait=False, cancel_futures=True)

    async def _load_in_background(self) -> Predictor:
        try:
            predictor = await self.compute(self._load)
        except Exception as error:
            self._on_failure(error)
            raise
        predictor.limit_megapixels(self.options.max_megapixels)
        logger.info("Ready: network %s", predictor.fingerprint)
        return predictor

    @property
    def ready(self) -> bool:
        """Whether the network is loaded."""
        return self._loaded.done()

    async def predictor(self) -> Predictor:
        """Wait until the network is loaded."""
        return await asyncio.shield(self._loaded)

    async def read(self, data: bytes) -> Prepared:
        """Prepare one image.

        Args:
            data: The bytes of a file.

        Returns:
            uint8 of shape (height, width), or the refusal.
        """
        predictor = await self.predictor()
        return await self.decode(predictor.read, data)

    async def predict(self, data: bytes) -> Prediction:
        """Answer for the bytes of one file."""
        pixels = await self.read(data)
        return pixels if isinstance(pixels, Prediction) else await self.score(pixels)

    async def score(self, pixels: Array) -> Prediction:
        """Answer for one prepared image, uint8 of shape (height, width), in a batch with those of others."""
        return await self._batcher.submit(pixels)

    async def _score(self, images: Sequence[Array]) -> Sequence[Prediction]:
        import numpy as np

        predictor = await self.predictor()
        return await self.compute(lambda: predictor.score(np.stack(images)))

    async def compute(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function on the one thread of the network."""
        return await asyncio.get_running_loop().run_in_executor(self._network, function, *arguments)

    async def decode(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function on one of the threads for decoding."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, function, *arguments)
