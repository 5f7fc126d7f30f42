"""The network behind server and page, loaded once; processes decode the files, and a thread scores them in batches."""

import asyncio
import logging
import multiprocessing
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from chest_xray.core.types import InputError
from chest_xray.images.preprocessing import PreparedImage, estimate_work, preprocess_file
from chest_xray.models.inference import Prediction, Predictor, Prepared, Relaxation
from chest_xray.serving.options import Serving

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class TooSlowError(InputError):
    """Decoding exceeded its time limit."""


class DecoderDiedError(InputError):
    """The decoding process ended, probably because of the file."""


class DecodingPool:
    """Runs functions in other processes while its `with` block is active.

    A process that exceeds its time limit is killed and replaced, which `concurrent.futures` cannot do. Processes are
    spawned, because TensorFlow's threads do not survive a fork, and do not import TensorFlow.

    Args:
        num_processes: Number of processes.
        seconds: Time limit of a call.
        megabytes: Memory limit of a process beyond its libraries, as address space; larger allocations raise
            MemoryError. What libraries use depends on the number of cores.
    """

    def __init__(self, num_processes: int, seconds: float, megabytes: int):
        self._num_processes, self._seconds, self._megabytes = num_processes, seconds, megabytes

    def __enter__(self) -> Self:
        self._pool = ProcessPool(
            self._num_processes,
            initializer=_prepare_process,
            initargs=[self._megabytes],
            context=multiprocessing.get_context("spawn"),
        )
        for _ in range(self._num_processes):
            self._pool.schedule(_do_nothing)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a module-level function with arguments that can be pickled.

        Raises:
            TooSlowError: It exceeded the time limit.
            DecoderDiedError: Its process ended.
            Exception: The function raised it.
        """
        future = self._pool.schedule(function, args=arguments, timeout=self._seconds)
        try:
            result: Result = await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise TooSlowError(
                f"decoding took longer than {self._seconds:g} s and was stopped; expected a radiograph as a device or "
                "an archive gives it. Save it again as a baseline JPEG or PNG, or raise serving.decode_seconds."
            ) from error
        except ProcessExpired as error:
            raise DecoderDiedError(
                "the decoder ended on this file; expected a sound JPEG, PNG or DICOM file. Save it again "
                "as a baseline JPEG or PNG."
            ) from error
        return result


def _prepare_process(megabytes: int) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The server handles Ctrl+C and stops its processes.
    import chest_xray.serving.page_contents  # noqa: F401  before the memory limit is set

    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return
    statm = Path("/proc/self/statm")  # Linux
    used = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0
    limit = used + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _do_nothing() -> None:
    """Start a process."""


class Decoders(NamedTuple):
    """Processes for files that take milliseconds, and one for files that may take seconds."""

    light: DecodingPool
    heavy: DecodingPool


@contextmanager
def start_decoders(options: Serving) -> Iterator[Decoders]:
    """Run the processes for decoding until the block ends."""
    limits = options.decode_seconds, options.decode_megabytes
    with DecodingPool(options.decode_processes, *limits) as light, DecodingPool(1, *limits) as heavy:
        yield Decoders(light, heavy)


class QueuedImage(NamedTuple):
    """A prepared image that waits for its prediction."""

    image: PreparedImage
    prediction: asyncio.Future[Prediction]


class Service:
    """Predicts from the bytes of images while `running`.

    Args:
        load: Returns the predictor; runs in the background, so that the server starts before TensorFlow is loaded.
        options: Sizes of batches and of light files.
        on_failure: Receives the error if `load` fails.
        decoders: Processes for light files, and for heavy ones, which must not delay the light ones.
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
        self._queue: asyncio.Queue[QueuedImage] = asyncio.Queue()

    @asynccontextmanager
    async def running(self, _app: Any = None) -> AsyncIterator[None]:
        """Load the network and answer until the block ends."""
        self._loaded = asyncio.create_task(self._load_in_background())
        batches = asyncio.create_task(self._run_batches())
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
    def state(self) -> Literal["loading", "ready", "failed"]:
        """Whether the network is loaded; "failed" is final."""
        if not self._loaded.done():
            return "loading"
        return "failed" if self._loaded.cancelled() or self._loaded.exception() else "ready"

    async def predictor(self) -> Predictor:
        """Return the network, once it is loaded."""
        return await asyncio.shield(self._loaded)

    async def predict(self, data: bytes, turn_upright: bool = False) -> Prediction:
        """Return the prediction for the bytes of a file; `turn_upright` turns an image that lies."""
        image = await self.read(data)
        if isinstance(image, Prediction):
            return image
        if turn_upright:
            turning_predictor = (await self.predictor()).relax(Relaxation(turn_upright=True))
            return (await self.compute(turning_predictor.predict_prepared, [image]))[0]
        return await self.score(image)

    async def read(self, data: bytes) -> Prepared:
        """Return the bytes of a file as a prepared image, or the refusal."""
        predictor = await self.predictor()
        try:
            image = await self.decode(preprocess_file, data, predictor.preparation, predictor.limits)
        except TooSlowError as error:
            return Prediction.refuse("too_slow", str(error))
        except DecoderDiedError as error:
            return Prediction.refuse("undecodable", str(error))
        return image if isinstance(image, PreparedImage) else Prediction.refuse(*image)

    async def decode(self, function: Callable[..., Result], data: bytes, *arguments: Any) -> Result:
        """Run a function of a file's bytes in a decoding process; see `DecodingPool.run`."""
        is_light = estimate_work(data) <= self.options.light_megapixels * 1e6
        return await (self._decoders.light if is_light else self._decoders.heavy).run(function, data, *arguments)

    async def compute(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run a function on the thread of the network."""
        return await asyncio.get_running_loop().run_in_executor(self._network, function, *arguments)

    async def score(self, image: PreparedImage) -> Prediction:
        """Return the prediction for a prepared image, scored in a batch with those of concurrent requests."""
        prediction: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(QueuedImage(image, prediction))
        return await prediction

    async def _run_batches(self) -> None:
        """Score batches until cancelled; while one is computed, the next one grows."""
        while True:
            batch = [await self._queue.get()]
            with suppress(TimeoutError):
                async with asyncio.timeout(self.options.batch_window_ms / 1000):
                    while len(batch) < self.options.max_batch_size:
                        batch.append(await self._queue.get())
            batch = [item for item in batch if not item.prediction.done()]  # Some clients have disconnected.
            if batch:
                await self._score_batch(batch)

    async def _score_batch(self, batch: list[QueuedImage]) -> None:
        try:
            predictor = await self.predictor()
            predictions = await self.compute(predictor.predict_prepared, [item.image for item in batch])
            pairs = list(zip(batch, predictions, strict=True))
        except Exception as error:
            for item in batch:
                if not item.prediction.done():
                    item.prediction.set_exception(error)
            return
        for item, prediction in pairs:
            if not item.prediction.done():
                item.prediction.set_result(prediction)
