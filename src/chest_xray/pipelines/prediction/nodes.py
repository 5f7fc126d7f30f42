"""All nodes of prediction: score new images shard by shard, and summarise the batch."""

import hashlib
import logging
from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated

from pydantic import Field

from chest_xray.core.files import ListedFile, Shard, ShardOrder
from chest_xray.core.types import DataFrame, Options
from chest_xray.images.decoding import DECODERS
from chest_xray.models.batch import BatchSummary, score_locally, score_on_cluster, summarise_batch
from chest_xray.models.inference import AS_PACKAGED, Prediction, Relaxation, fingerprint_model, read_packaged_contract
from chest_xray.reporting.i18n import Language, read_messages, translate
from chest_xray.reporting.new_images import describe_batch

logger = logging.getLogger(__name__)

PACKAGES = (*DECODERS, "pydicom", "python-gdcm", "keras")  # Their versions affect the last bit of a probability.


class Scoring(Options):
    """Number of files in a shard, the largest file, and where shards are scored."""

    shard: Annotated[int, Field(ge=1)]
    max_megabytes: Annotated[float, Field(gt=0)]
    engine: Annotated[str, Field(pattern=r"^(local|[a-z]+://.+)$")]
    input_checks: Relaxation = AS_PACKAGED


def predict_images(
    new_images: list[ListedFile], packaged_keras: bytes, prediction: Scoring, finished_shards: frozenset[str]
) -> Iterator[Shard | ShardOrder]:
    """Score the shards that are not stored yet.

    Yields:
        Shards with the columns `path`, `model` (see `fingerprint_model`) and those of
        `chest_xray.models.inference.Prediction`; in the end the order of all shards.
    """
    from tqdm import tqdm

    starts = range(0, len(new_images), prediction.shard)
    shards = [new_images[start : start + prediction.shard] for start in starts]
    fingerprint = fingerprint_model(packaged_keras)
    keys = [_digest(shard, fingerprint, prediction) for shard in shards]
    missing = {key: shard for key, shard in zip(keys, shards, strict=True) if key not in finished_shards}
    if not missing:
        logger.info("Predicting: nothing has changed, %s rows are stored already.", f"{len(new_images):,}")
    if prediction.engine == "local":
        scored = score_locally(missing, packaged_keras, prediction.max_megabytes, prediction.input_checks)
    else:
        scored = score_on_cluster(
            missing, packaged_keras, prediction.max_megabytes, prediction.input_checks, prediction.engine
        )
    with tqdm(total=len(new_images), desc="Predicting", unit="file", disable=None) as bar:
        bar.update(len(new_images) - sum(map(len, missing.values())))
        for key, rows in scored:
            yield Shard(key, rows)
            bar.update(len(rows))
    yield ShardOrder(keys)


def summarise_predictions(predictions: DataFrame, packaged_keras: bytes, language: Language) -> BatchSummary:
    """Summarise all files of the batch, and log the summary line by line."""
    contract, fingerprint = read_packaged_contract(packaged_keras), fingerprint_model(packaged_keras)
    summary = summarise_batch(predictions, contract, fingerprint)
    messages = read_messages(language.root)
    for finding in describe_batch(summary):
        logger.info(translate(finding, messages))
    return summary


def _digest(shard: list[ListedFile], fingerprint: str, prediction: Scoring) -> str:
    """Digest what makes the rows: files by name, size and time, checks, columns, the network, and the libraries."""
    settings = (prediction.max_megabytes, prediction.input_checks, Prediction._fields)
    digest = hashlib.sha256(f"{fingerprint} {settings!r}".encode())
    digest.update(" ".join(version(name) for name in PACKAGES).encode())
    for file in shard:
        digest.update("\0".join(map(str, file)).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:32]
