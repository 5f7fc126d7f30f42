"""Print the figures of docs/data.md again: speed against bare decoders, growth with size, and the index.

    PYTHONPATH=src python benchmarks/preparation.py speed FOLDER      # images/s, ours and each decoder's, in turn
    PYTHONPATH=src python benchmarks/preparation.py growth FOLDER     # memory and time for 1,000 to 100,000 files
    PYTHONPATH=src python benchmarks/preparation.py index FOLDER      # files/s over 100,000 files, warm

FOLDER holds radiographs at original size, in any depth of folders. OpenCV takes part in `speed` where it is installed
(`uv run --with opencv-python-headless ...`).
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import simplejpeg
from PIL import Image

from chest_xray.core.types import Array, DataFrame
from chest_xray.datasets import ArrayDataset, ImageFolderDataset
from chest_xray.images.kermany import Integrity, Patients
from chest_xray.images.preprocessing import Preparation
from chest_xray.pipelines.data_processing.nodes import index_images, prepare_images

SIZE = 128  # pixels
ROUNDS = 5
NO_TABLE = pd.DataFrame(columns=["path", "patient"])
LIMITS = Integrity(max_megabytes=500, max_megapixels=200, max_refused_files=0)
Decoder = Callable[[bytes], Array]


def pillow_full(data: bytes) -> Array:
    """Decode every pixel, then shrink."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("L").resize((SIZE, SIZE)))


def pillow_draft(data: bytes) -> Array:
    """Decode at half, a quarter or an eighth with Pillow."""
    image = Image.open(io.BytesIO(data))
    image.draft("L", (2 * SIZE, 2 * SIZE))
    return np.asarray(image.convert("L").resize((SIZE, SIZE)))


def list_decoders() -> dict[str, Decoder]:
    """Give the decoders of the comparison, those with OpenCV where it is installed."""
    decoders: dict[str, Decoder] = {"Pillow, full": pillow_full, "Pillow, draft": pillow_draft}
    try:
        import cv2  # type: ignore[import-not-found]
    except ImportError:
        return decoders
    cv2.setNumThreads(1)

    def simplejpeg_scaled(data: bytes) -> Array:
        grey = simplejpeg.decode_jpeg(data, "GRAY", min_height=SIZE, min_width=SIZE)
        return np.asarray(cv2.resize(grey[..., 0], (SIZE, SIZE), interpolation=cv2.INTER_AREA))

    def opencv_reduced(data: bytes) -> Array:
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4)
        return np.asarray(cv2.resize(grey, (SIZE, SIZE), interpolation=cv2.INTER_AREA))

    return decoders | {"simplejpeg, scaled, OpenCV resize": simplejpeg_scaled, "OpenCV, reduced": opencv_reduced}


def list_images(folder: Path) -> DataFrame:
    """Give what the preparation reads of each image: `path`, `bytes`, `modified`."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
    return pd.DataFrame({"path": map(str, files), "bytes": [path.stat().st_size for path in files], "modified": ""})


def prepare(images: DataFrame) -> float:
    """Prepare into a new folder, files read and rows written and synchronised; give the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        prepared, _ = prepare_images(images, Preparation(width=SIZE, height=SIZE), {})
        ArrayDataset(filepath=f"{folder}/prepared_images.npy").save(prepared)
        return time.perf_counter() - began


def print_speed(folder: Path) -> None:
    """Ours and each decoder in turn; what counts is the ratio within a pair, whatever else the machine does."""
    images = list_images(folder)
    in_memory = [Path(path).read_bytes() for path in images["path"]]
    prepare(images)  # Imports, and files into the page cache.
    rows = []
    for _ in range(ROUNDS):
        for name, decoder in list_decoders().items():
            theirs = time_twice(partial(run_decoder, decoder, in_memory))
            ours = time_twice(partial(prepare, images))
            num = len(images)
            rows.append((name, num / theirs[0], num / ours[0], theirs[0] / ours[0], theirs[1] / ours[1]))
    columns = ["decoder alone", "images/s", "prepare_images", "ratio", "ratio of CPU time"]
    print(
        f"{len(images)} files, {sum(map(len, in_memory)) / 1e6:.0f} MB, {os.cpu_count()} cores, {ROUNDS} pairs; medians"
    )
    print(pd.DataFrame(rows, columns=columns).groupby("decoder alone").median().round(2).to_string())


def run_decoder(decoder: Decoder, in_memory: list[bytes]) -> None:
    """Decode all, a thread a core."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(decoder, in_memory))


def time_twice(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and seconds of processor time, which other programs on the machine disturb less."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


@contextmanager
def multiply(folder: Path, num_files: int) -> Iterator[Path]:
    """Offer a split with that many hard links to the images of a folder."""
    sources = list_images(folder)["path"].tolist()
    with tempfile.TemporaryDirectory() as root:
        target = Path(root) / "train" / "NORMAL"
        target.mkdir(parents=True)
        copies = [Path(root) / f"{number}{Path(source).suffix}" for number, source in enumerate(sources)]
        for source, copy in zip(sources, copies, strict=True):
            copy.write_bytes(Path(source).read_bytes())
        for number in range(num_files):
            os.link(copies[number % len(copies)], target / f"IM-{number:07d}{copies[number % len(copies)].suffix}")
        yield Path(root) / "train"


def measure_one(split: Path) -> None:
    """Run in a process of its own: index and prepare a folder, and print seconds and peak memory."""
    began = time.perf_counter()
    files = ImageFolderDataset(path=str(split)).load()
    images, _ = index_images(files, files.iloc[:0], NO_TABLE, LIMITS, Patients())
    indexed = time.perf_counter() - began
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = prepare(images)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"index_s": indexed, "prepare_s": seconds, "before_MB": before / 1024, "peak_MB": after / 1024}))


def print_growth(folder: Path) -> None:
    """Peak memory and time of the preparation as the number of files grows tenfold, and tenfold again."""
    for num_files in (1_000, 10_000, 100_000):
        with multiply(folder, num_files) as split:
            command = [sys.executable, __file__, "one", str(split)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        facts = json.loads(done.stdout)
        rates = (
            f"index {num_files / facts['index_s']:,.0f} files/s, prepare {num_files / facts['prepare_s']:,.0f} images/s"
        )
        memory = f"peak {facts['peak_MB']:.0f} MB ({facts['before_MB']:.0f} MB before preparing)"
        print(f"{num_files:>7,} files: {rates}, {facts['prepare_s']:.1f} s, {memory}", flush=True)


def print_index(folder: Path) -> None:
    """Listing and header reads of 100,000 files that the page cache holds."""
    with multiply(folder, 100_000) as split:
        for name in ("cold or warm", "warm", "warm"):
            began = time.perf_counter()
            files = ImageFolderDataset(path=str(split)).load()
            index, refused = index_images(files, files.iloc[:0], NO_TABLE, LIMITS, Patients())
            seconds = time.perf_counter() - began
            print(
                f"{name}: {len(index) + len(refused):,} files in {seconds:.1f} s, {len(files) / seconds:,.0f} files/s"
            )


def main() -> None:
    """Choose a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    figures = {
        "speed": print_speed,
        "growth": print_growth,
        "index": print_index,
        "one": measure_one,
    }
    parser.add_argument("figure", choices=figures)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    figures[arguments.figure](arguments.folder)


if __name__ == "__main__":
    main()
