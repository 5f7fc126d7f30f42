"""Decoding in processes that can be stopped: a file that takes too long or too much costs its own answer alone."""

import asyncio
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from chest_xray.core.options import InputError

Result = TypeVar("Result")


class TooSlowError(InputError):
    """Decoding was stopped at its time limit."""


class DecoderDiedError(InputError):
    """The process that decoded a file ended, which the file is likely to have caused."""


class DecodingPool:
    """Calls functions in other processes while the block of `with` is in force.

    A process is killed at its time limit and replaced, which `concurrent.futures` cannot do: it waits for the process,
    however long that takes. Processes are started anew rather than forked, as TensorFlow's threads do not survive a
    fork, and import nothing of TensorFlow.

    Args:
        num_processes: How many.
        seconds: Time limit of a call.
        megabytes: Address space that a process may take beyond what it has once its libraries are loaded (that part
            grows with the number of cores); beyond it, allocations fail with MemoryError.
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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    async def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function of a module, with arguments that can be pickled.

        Raises:
            TooSlowError: It took longer than the limit.
            DecoderDiedError: Its process ended.
            Exception: Whatever the function raised.
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
                "the decoder ended on this file; expected a sound JPEG, PNG or DICOM file."
            ) from error
        return result


def _prepare_process(megabytes: int) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server, which then stops its processes.
    # What decoding needs is imported before the first file comes, and before memory is bounded.
    import chest_xray.images.preprocessing
    import chest_xray.serving.pictures  # noqa: F401

    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return
    statm = Path("/proc/self/statm")  # Linux
    taken = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0
    limit = taken + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _do_nothing() -> None:
    """Make a process start."""
