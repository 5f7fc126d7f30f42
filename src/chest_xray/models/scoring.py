"""From the files of one shard to its rows: here, or on the workers of a Dask cluster."""

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import Any

from chest_xray.core.arrays import NUM_THREADS
from chest_xray.core.files import ListedFile
from chest_xray.models.inference import BATCH_SIZE, Prediction, Predictor, Prepared

Shards = dict[str, list[ListedFile]]
Table = Any  # of pyarrow


def score_locally(shards: Shards, packaged: bytes, max_megabytes: float) -> Iterator[tuple[str, Table]]:
    """Score shards one after the other."""
    for key, files in shards.items():
        yield key, score_shard(files, packaged, max_megabytes)


def score_on_cluster(
    shards: Shards, packaged: bytes, max_megabytes: float, address: str
) -> Iterator[tuple[str, Table]]:
    """Score shards on the workers of a Dask cluster, which see the files under the same paths; see `score_locally`.

    Dask gives the shards of a worker that was lost to the others.

    Raises:
        ImportError: `distributed` is not installed (the extra `cluster`).
    """
    from distributed import Client, as_completed

    with Client(address) as client:
        network = client.scatter(packaged, broadcast=True)
        futures = {client.submit(score_shard, files, network, max_megabytes): key for key, files in shards.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
            future.release()


def score_shard(files: list[ListedFile], packaged: bytes, max_megabytes: float) -> Table:
    """Return one row a file, in order; files are decoded in threads while others are scored.

    Args:
        files: Where to read.
        packaged: The `.keras` file of the network; it is loaded once a process.
        max_megabytes: Files above this are refused unread.

    Returns:
        See the node `predict_images`.
    """
    predictor = _load(packaged)

    def read(file: ListedFile) -> Prepared:
        if file.problem:
            return Prediction.refuse("unreadable", file.problem)
        if file.size > max_megabytes * 1e6:
            detail = f"{file.size / 1e6:,.0f} MB; files of at most {max_megabytes:g} MB are opened"
            return Prediction.refuse("too_large", detail)
        return predictor.read(file.path)

    with warnings.catch_warnings(), ThreadPoolExecutor(NUM_THREADS) as pool:
        warnings.simplefilter("ignore")  # What Pillow and pydicom doubt; what matters becomes a reason.
        prepared = pool.map(read, files)
        batches = iter(lambda: list(islice(prepared, BATCH_SIZE)), [])
        predictions = [each for batch in batches for each in predictor.answer(batch)]
    return _tabulate(files, predictions, predictor.fingerprint)


@lru_cache(maxsize=1)
def _load(packaged: bytes) -> Predictor:
    return Predictor.load(packaged)


def _tabulate(files: list[ListedFile], predictions: list[Prediction], fingerprint: str) -> Table:
    import pyarrow as pa

    columns = {
        "path": [_printable(file.name) for file in files],
        "probability": [each.probability for each in predictions],
        "decision": [each.decision for each in predictions],
        "model": [fingerprint] * len(files),
        "distance": [each.distance for each in predictions],
        "reason": [each.reason for each in predictions],
        "detail": [_printable(each.detail) for each in predictions],
    }
    numbers = {"probability", "distance"}
    schema = pa.schema([(name, pa.float64() if name in numbers else pa.string()) for name in columns])
    return pa.table(columns, schema=schema)


def _printable(text: str) -> str:
    """A name that is no valid UTF-8 keeps its bytes as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
