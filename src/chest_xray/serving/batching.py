"""One call of the network for what many requests ask at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


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
