"""Measure whether scaled decoding leaks the size of a file into its prepared pixels.

    PYTHONPATH=src python benchmarks/leak.py FOLDER

FOLDER holds radiographs at original size, in any depth of folders.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from preparation import SIZE, list_images

from chest_xray.core.types import Array
from chest_xray.images.decoding import decode_grey


def print_leak(folder: Path) -> None:
    """How well the size of the original is predicted from prepared pixels, scaled and full decoding side by side."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    paths = list_images(folder)["path"]
    files = [Path(path).read_bytes() for path in paths]
    sizes = [Image.open(io.BytesIO(data)).size for data in files]
    scaled = np.stack([decode_grey(data, (SIZE, SIZE)) for data in files])
    full = np.stack([decode_grey(as_png(data), (SIZE, SIZE)) for data in files])
    print(f"{len(files)} files; mean difference of a pixel {np.abs(scaled - full.astype(float)).mean():.2f} of 255")
    for target, values in (
        ("log width", np.log([w for w, _ in sizes])),
        ("aspect", np.array([w / h for w, h in sizes])),
    ):
        for name, pixels in (("scaled", scaled), ("full", full)):
            model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
            predicted = cross_val_predict(model, spectrum(pixels), values, cv=KFold(10, shuffle=True, random_state=0))
            rank = pd.Series(predicted).corr(pd.Series(values), method="spearman")
            print(f"{target:10s} from the spectrum of {name:6s} pixels: rank correlation {rank:.3f} (10-fold)")


def as_png(data: bytes) -> bytes:
    """The same pixels where no decoder can scale."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("L").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def spectrum(pixels: Array, num_bins: int = 24) -> Array:
    """Log power by frequency, along rows and columns apart: where traces of scaling would stand."""
    power = np.log(np.abs(np.fft.rfft2(pixels - pixels.mean((1, 2), keepdims=True))) ** 2 + 1)
    rows = power[:, : SIZE // 2].mean(2)
    columns = power.mean(1)[:, : SIZE // 2]
    bins = np.linspace(0, SIZE // 2, num_bins + 1).astype(int)[:-1]
    return np.concatenate([np.add.reduceat(each, bins, axis=1) for each in (rows, columns)], axis=1)


def main() -> None:
    """Read the folder from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print_leak(parser.parse_args().folder)


if __name__ == "__main__":
    main()
