"""Print the time from the command to the first answer again (docs/prediction.md), for ONNX Runtime and for Keras.

    PYTHONPATH=src python benchmarks/command_line.py FOLDER IMAGE

FOLDER was written by `kedro ship --folder FOLDER`, IMAGE is a radiograph. The processor time hardly depends on what
else the machine does; the time by the clock does.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from chest_xray.models.shipping import KERAS

ROUNDS = 5


def measure(model: Path, image: str) -> str:
    """Predict one image in a process of its own, and return the seconds by the clock and of the processor."""
    command = [sys.executable, "-m", "chest_xray", "predict", image, f"--model={model}"]
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - start, os.times()
    if "1 of 1 files answered" not in done.stdout:
        sys.exit(f"received no answer for {image}; expected one:\n{done.stdout}{done.stderr}")
    processor = sum(after[2:4]) - sum(before[2:4])
    return f"{seconds:6.2f} s by the clock, {processor:5.2f} s of the processor"


if __name__ == "__main__":
    folder, image = Path(sys.argv[1]), sys.argv[2]
    for _ in range(ROUNDS):
        print(f"ONNX Runtime {measure(folder, image)}    Keras {measure(folder / KERAS, image)}", flush=True)
