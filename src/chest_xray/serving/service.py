"""The network as the server and the page share it: loaded once, decoding in processes, computing on one thread."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from chest_xray.core.types import Array
from chest_xray.images.preprocessing import estimate_work, prepare_file
from chest_xray.models.inference import Prediction, Predictor, Prepared
from chest_xray.serving.decoding_pool import DecoderDiedError, DecodingPool, TooSlowError
from chest_xray.serving.options import Serving

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
State = Literal["loading", "ready", "failed"]
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Decoders(NamedTuple):
    """Processes for files that take milliseconds, and one for those that may take seconds."""

    light: DecodingPool
    heavy: DecodingPool


@contextmanager
def start_decoders(options: Serving) -> Iterator[Decoders]:
    """Start the processes, and stop them at the end of the block, whatever they are doing.

    Args:
        options: `decode_processes`, `decode_seconds` and `decode_megabytes`.
    """
    limits = options.decode_seconds, options.decode_megabytes
    with DecodingPool(options.decode_processes, *limits) as light, DecodingPool(1, *limits) as heavy:
        yield Decoders(light, heavy)


class Service:
    """Answers for the bytes of images while `running`.

    Args:
        load: Gives the predictor; called in the background, so that the server can answer before TensorFlow is there.
        options: Size of the batches, and what counts as a light file.
        on_failure: Told why, if the predictor could not be loaded.
        decoders: Decode light files, and heavy ones, which must not make the light ones wait.
    """

    def __init__(
        self,
        load: Callable[[], Predictor],
        options: Serving,
        on_failure: Callable[[Exception], None],
        decoders: Decoders,
    ):
        self._load, self.options, self._on_failure, self._decoders = load, options, on_failure, decoders
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
            self._network.shutdown(wait=False, cancel_futures=True)

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
    def state(self) -> State:
        """Whether the network is loaded: "loading", "ready", or "failed" for good."""
        if not self._loaded.done():
            return "loading"
        return "failed" if self._loaded.cancelled() or self._loaded.exception() else "ready"

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
        try:
            found = await self.decode(prepare_file, data, predictor.preparation, predictor.limits)
        except TooSlowError as error:
            return Prediction.refuse("too_slow", str(error))
        except DecoderDiedError as error:
            return Prediction.refuse("undecodable", str(error))
        return Prediction.refuse(*found) if isinstance(found, tuple) else found

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

    async def decode(self, function: Callable[..., Result], data: bytes, *arguments: Any) -> Result:
        """Call a function of a file's bytes in a process for decoding; see `DecodingPool.call`."""
        is_light = estimate_work(data) <= self.options.light_megapixels * 1e6
        return await (self._decoders.light if is_light else self._decoders.heavy).call(function, data, *arguments)


class Waiting(NamedTuple, Generic[Asked, Answer]):
    """One item and where its answer goes."""

    item: Asked
    answer: asyncio.Future[Answer]


class Batcher(Generic[Asked, Answer]):
    """Gathers single items of concurrent tasks into batches.

    While a batch is computed the next one gathers, so that the busier the server is, the larger its batches are.

    Args:
        compute: Gives one answer for each item, in order.
        max_size: Items in a batch.
        window: Seconds that the first item of a batch waits for others.
    """

    def __init__(self, compute: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]], max_size: int, window: float):
        self._compute = compute
        self._max_size = max_size
        self._window = window
        self._queue: asyncio.Queue[Waiting[Asked, Answer]] = asyncio.Queue()

    async def submit(self, item: Asked) -> Answer:
        """Wait for the answer to one item.

        Raises:
            Exception: Whatever `compute` raised on the batch.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(Waiting(item, answer))
        return await answer

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            batch = [each for each in await self._gather() if not each.answer.done()]  # Some clients have gone.
            if batch:
                await self._answer(batch)

    async def _gather(self) -> list[Waiting[Asked, Answer]]:
        batch = [await self._queue.get()]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._window):
                while len(batch) < self._max_size:
                    batch.append(await self._queue.get())
        return batch

    async def _answer(self, batch: list[Waiting[Asked, Answer]]) -> None:
        try:
            answers = await self._compute([each.item for each in batch])
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        for waiting, answer in answered:
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
