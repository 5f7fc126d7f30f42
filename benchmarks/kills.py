"""Kill the preparation of a folder at twenty random moments, and compare what comes of it with an undisturbed run.

PYTHONPATH=src python benchmarks/kills.py FOLDER [--kills 20]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PREPARE = """
import sys
from pathlib import Path
import preparation
from chest_xray.datasets import ComputedArrayDataset
from chest_xray.pipelines.data_processing.nodes import Preparation, prepare_images

plan, _ = prepare_images(preparation.list_images(Path(sys.argv[1])), Preparation(width=128, height=128))
print("ready", flush=True)
ComputedArrayDataset(filepath=sys.argv[2], block=32).save(plan)
"""


def start(images: Path, target: Path) -> subprocess.Popen[bytes]:
    """Begin a preparation and wait until it is about to decode."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", PREPARE, str(images), str(target)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def count_blocks(target: Path) -> int:
    """Count the blocks that are on disk."""
    return sum(max(journal.read_text().count("\n") - 1, 0) for journal in target.glob("*/journal.jsonl"))


def main() -> None:
    """Run undisturbed, run with kills, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        undisturbed, disturbed, rng = Path(root) / "undisturbed", Path(root) / "disturbed", random.Random(2018)
        began = time.perf_counter()
        start(arguments.folder, undisturbed).wait()
        seconds = time.perf_counter() - began
        killed = 0
        while killed < arguments.kills:
            process = start(arguments.folder, disturbed)
            time.sleep(rng.uniform(0, 1.4 * seconds / arguments.kills))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
            print(
                f"kill {killed}: {count_blocks(disturbed)} blocks on disk, finished: {(disturbed / 'current').exists()}"
            )
            if (disturbed / "current").exists():
                break
        start(arguments.folder, disturbed).wait()
        arrays = [next(each.glob("*/array.npy")).read_bytes() for each in (undisturbed, disturbed)]
        print(f"{killed} kills; {len(arrays[0]):,} bytes; equal: {arrays[0] == arrays[1]}")


if __name__ == "__main__":
    main()
