"""Find pictures that occur twice: the same pixels, or so alike that one was made from the other."""

from typing import Annotated

from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.core.types import Array, DataFrame
from chest_xray.datasets.partial_array import RowPlan

DIGEST_BYTES = 16  # BLAKE2b; two different pictures among a million agree with a chance of 1e-27.


class Duplicates(Options):
    """How pictures are compared."""

    hash_size: Annotated[int, Field(ge=8, le=32, multiple_of=8)]
    max_distance: Annotated[int, Field(ge=0, le=255)]


def hash_images(prepared_images: Array, comparison: Duplicates) -> RowPlan:
    """Plan a short code for each picture, by which alike pictures are found without comparing pixels.

    Args:
        prepared_images: uint8 of shape (images, height, width).
        comparison: Side of the perceptual hash, in bits.

    Returns:
        Plan of uint8 of shape (images, hash_size**2 / 8 + 16): the bits of the perceptual hash (the signs of the lowest
        frequencies of a cosine transform; Zauner 2010, section 3.2.1), then a digest of the pixels themselves.
    """
    import hashlib

    import imagehash
    import numpy as np
    from PIL import Image

    def compute(row: int) -> Array:
        bits = imagehash.phash(Image.fromarray(prepared_images[row]), hash_size=comparison.hash_size).hash
        digest = hashlib.blake2b(prepared_images[row].tobytes(), digest_size=DIGEST_BYTES).digest()
        return np.concatenate([np.packbits(bits), np.frombuffer(digest, np.uint8)])

    content = hashlib.sha256(comparison.model_dump_json().encode())
    for start in range(0, len(prepared_images), 1024):
        content.update(prepared_images[start : start + 1024].tobytes())
    width = comparison.hash_size**2 // 8 + DIGEST_BYTES
    return RowPlan("Hashing", content.hexdigest()[:32], (len(prepared_images), width), compute)


def find_duplicates(image_index: DataFrame, image_hashes: Array, comparison: Duplicates) -> DataFrame:
    """List pairs of pictures that are the same or nearly so.

    Args:
        image_index: One row an image.
        image_hashes: What `hash_images` gives, in the same order.
        comparison: The distance up to which two pictures count as nearly the same.

    Returns:
        One row a pair: `first`, `second` (paths), `kind` ("exact": the same prepared pixels and the same original size;
        "near": another size, or other pixels), `distance` (bits of the perceptual hash that differ), and whether
        the two have the same `split`, `class` and `group` (`same_split`, `same_label`, `same_group`). Of a picture that
        occurs k times there are k - 1 exact pairs, each with the first.
    """
    import numpy as np
    import pandas as pd

    digests = pd.DataFrame(np.ascontiguousarray(image_hashes[:, -DIGEST_BYTES:]).view("u8"))
    keys = digests.assign(width=image_index["width"], height=image_index["height"])
    _, first, same = np.unique(keys.groupby(list(keys)).ngroup(), return_index=True, return_inverse=True)
    copies = np.setdiff1d(np.arange(len(keys)), first)
    originals = np.sort(first)
    near = originals[
        _close_pairs(np.ascontiguousarray(image_hashes[originals, :-DIGEST_BYTES]), comparison.max_distance)
    ]
    rows = np.concatenate([np.stack([first[same[copies]], copies], axis=1), near])
    left, right = (image_index.iloc[rows[:, side]].reset_index(drop=True) for side in (0, 1))
    bits = image_hashes[rows[:, 0], :-DIGEST_BYTES] ^ image_hashes[rows[:, 1], :-DIGEST_BYTES]
    kinds = np.repeat(["exact", "near"], [len(copies), len(near)])
    pairs = pd.DataFrame({"first": left["path"], "second": right["path"], "kind": kinds})
    pairs["distance"] = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    return pairs.assign(**{f"same_{name}": left[name] == right[name] for name in ("split", "label", "group")})


def _close_pairs(codes: Array, max_distance: int) -> Array:
    """Give all pairs of rows that differ in at most `max_distance` bits, of shape (pairs, 2).

    Two codes that differ in at most d bits agree wholly in at least one of d + 1 parts (the pigeonhole principle), so
    only rows that agree in a part are compared.
    """
    import numpy as np

    parts = np.array_split(np.unpackbits(codes, axis=1), max_distance + 1, axis=1)
    found = [np.empty((0, 2), np.int64)]
    for part in parts:
        order = np.lexsort(part.T)
        sorted_part = part[order]
        for step in range(1, len(order)):
            agree = (sorted_part[step:] == sorted_part[:-step]).all(axis=1)
            if not agree.any():
                break
            pairs = np.stack([order[:-step][agree], order[step:][agree]], axis=1)
            distance = np.bitwise_count(codes[pairs[:, 0]] ^ codes[pairs[:, 1]]).sum(axis=1)
            found.append(np.sort(pairs[distance <= max_distance], axis=1))
    return np.unique(np.concatenate(found), axis=0)
