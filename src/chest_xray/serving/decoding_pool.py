"""Decoding in processes with limits of time and memory, so that a harmful file affects only its own answer."""

import asyncio
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from chest_xray.core.types import InputError

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
    # Libraries are imported before the memory limit is set.
    import chest_xray.images.preprocessing
    import chest_xray.serving.pictures  # noqa: F401

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
