"""Say which files are scored together; the dataset that the plan is saved to has it done."""

import hashlib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.datasets.new_images import NewFile
from chest_xray.datasets.sharded_table import ShardPlan
from chest_xray.images.decoding import DECODERS
from chest_xray.pipelines.prediction.shards import score_locally, score_on_cluster
from chest_xray.predictor import tell_fingerprint

PACKAGES = (*DECODERS, "pydicom", "python-gdcm", "keras")  # Their versions decide the last bit of a probability.


class Scoring(Options):
    """How many files make a shard, which are opened, and where shards are scored."""

    shard: Annotated[int, Field(ge=1)]
    max_megabytes: Annotated[float, Field(gt=0)]
    engine: Annotated[str, Field(pattern=r"^(local|[a-z]+://.+)$")]


def plan_predictions(new_images: list[NewFile], packaged_keras: bytes, prediction: Scoring) -> ShardPlan:
    """Plan how every file gets its row.

    Args:
        new_images: The files, in order.
        packaged_keras: A `.keras` file of the export pipeline.
        prediction: Files a shard; size above which files are refused; "local", or the address of a Dask scheduler.

    Returns:
        A table of `path`, `probability` (calibrated, at the prevalence that the contract expects), `decision`
        ("NORMAL", "PNEUMONIA"), `model` (fingerprint of the file of the network), `distance`, `reason` and `detail` of
        what was not scored; see `chest_xray.predictor.Prediction`.
    """
    shards = [new_images[start : start + prediction.shard] for start in range(0, len(new_images), prediction.shard)]
    fingerprint = tell_fingerprint(packaged_keras)

    def compute(numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
        wanted = {number: shards[number] for number in numbers}
        if prediction.engine == "local":
            return score_locally(wanted, packaged_keras, prediction.max_megabytes)
        return score_on_cluster(wanted, packaged_keras, prediction.max_megabytes, prediction.engine)

    return ShardPlan(
        title="Predicting",
        keys=[_digest(shard, fingerprint, prediction.max_megabytes) for shard in shards],
        num_rows=[len(shard) for shard in shards],
        compute=compute,
        passing=("reason", "unreadable"),
    )


def _digest(shard: list[NewFile], fingerprint: str, max_megabytes: float) -> str:
    """What decides the rows: the files as far as name, size and time tell, the limit, the network, the libraries."""
    digest = hashlib.sha256(f"{fingerprint} {max_megabytes}".encode())
    digest.update(" ".join(version(name) for name in PACKAGES).encode())
    for file in shard:
        digest.update("\0".join(map(str, file)).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:32]
