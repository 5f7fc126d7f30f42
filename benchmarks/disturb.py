"""Kill runs, damage what they wrote, and run two at once; print whether results stay those of an undisturbed run.

    PYTHONPATH=src:. python benchmarks/disturb.py [--kills 20]

Each disturbance must end in the bytes of an undisturbed run, or in a sentence and an exit code other than 0. Runs are
those of a user, `kedro run`, on the small phantoms of the environment `test`; about fifteen
minutes on two cores. Seed 2018.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from hashlib import blake2b
from pathlib import Path

from tests.conftest import copy_project

ENVIRONMENT = "--env=test"
RUN = ("run", ENVIRONMENT)
PREDICTION = (*RUN, "--pipelines=prediction")
# What is read from disk, and the pipeline that reads it.
READ_BY = {
    "03_primary/image_split.parquet": "modeling",
    "03_primary/prepared_images.npy": "modeling",
    "03_primary/prepared_images.npy.json": "data_processing",
    "03_primary/corrupted_validation_images.npy": "modeling",
    "03_primary/corrupted_test_images.npy": "evaluation",
    "06_models/baseline/model.keras": "evaluation",
    "06_models/baseline/operating_point.json": "evaluation",
    "06_models/baseline/history.csv": "evaluation",
    "07_model_output/baseline/decisions.parquet": "augmentation",
    "08_reporting/baseline/evidence.json": "report",
    "06_models/augmented/packaged.keras": "prediction",
}
# Differ between two undisturbed runs: they contain times; a lock or a lineage is no result.
TIMED = (
    "run_record.json",
    "report.html",
    "evidence.json",
    "history.csv",
    "lineage.json",
    ".lock",
    ".lock.json",
    "learning_curves.png",
)


class Trial:
    """A copy of the project, its undisturbed results, and what came of each disturbance."""

    def __init__(self, folder: Path):
        self.project = copy_project(folder / "project")
        self.data = self.project / "data/test"
        self.images = folder / "images"
        self.outcomes: dict[str, Counter[str]] = {}
        self.rng = random.Random(2018)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of Kedro."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [sys.executable, "-m", "kedro", *arguments]
        return subprocess.Popen(
            command, cwd=self.project, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command of Kedro; return its exit code and what it said."""
        process = self.start(*arguments)
        _, said = process.communicate()
        return process.returncode, said

    def digest(self) -> dict[str, str]:
        """Digest every result: tables, arrays, weights, metrics, figures and pages."""
        files = [path for path in sorted(self.data.rglob("*")) if path.is_file() and not path.name.endswith(TIMED)]
        return {str(path.relative_to(self.data)): blake2b(read_result(path)).hexdigest() for path in files}

    def restore(self, kept: Path) -> None:
        """Put undisturbed data in place."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(kept, self.data, symlinks=True)

    def note(self, kind: str, code: int, said: str, *, equal: bool) -> None:
        """Record the outcome of one disturbance."""
        if code == 0:
            outcome = "equal" if equal else "FAILED: exit 0 with other results"
        elif "Traceback" in said:
            outcome = "FAILED: a traceback"
        else:
            outcome = "refused in a sentence"
        self.outcomes.setdefault(kind, Counter())[outcome] += 1
        if outcome.startswith("FAILED"):
            print(f"{kind}: {outcome}\n{said[-1500:]}", flush=True)


def read_result(path: Path) -> bytes:
    """Read a file; of a saved network its weights, for Keras writes the date beside them."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return archive.read("model.weights.h5")
    return path.read_bytes()


def compare(found: dict[str, str], expected: dict[str, str]) -> bool:
    """Print which results differ, and return whether none does."""
    apart = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if apart:
        print(f"  differ: {', '.join(apart[:8])}", flush=True)
    return not apart


def kill(trial: Trial, command: tuple[str, ...], seconds: float, kills: int, expected: dict[str, str]) -> None:
    """Kill a run several times, let it come to its end, and compare."""
    for _ in range(kills):
        process = trial.start(*command)
        time.sleep(trial.rng.uniform(3, seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        trial.outcomes.setdefault("kills", Counter())["killed" if process.returncode == -9 else "was over"] += 1
    code, said = trial.run(*command)
    trial.note("runs after kills", code, said, equal=code == 0 and compare(trial.digest(), expected))


def damage(trial: Trial, kept: Path, expected: dict[str, str]) -> None:
    """Damage each file in three ways, and run the pipeline that reads it."""
    for name, pipeline in READ_BY.items():
        for way in ("truncated", "empty", "flipped"):
            trial.restore(kept)
            path = trial.data / name
            data = bytearray(path.read_bytes())
            place = trial.rng.randrange(len(data))
            if way == "flipped":
                data[place] ^= 0x55
            path.write_bytes({"truncated": data[:place], "empty": b"", "flipped": data}[way])
            images = [f"--params=images={trial.images}"] if pipeline == "prediction" else []
            code, said = trial.run(*RUN, f"--pipelines={pipeline}", *images)
            trial.note("damaged files", code, said, equal=code == 0 and compare(trial.digest(), expected))


def pair(trial: Trial, kept: Path, alone: dict[tuple[str, ...], dict[str, str]]) -> None:
    """Run two commands at once, five times; what succeeded must have left what it leaves alone."""
    crop, pad, modeling, predict = alone
    for first, second in ((crop, pad), (crop, modeling), (modeling, modeling), (predict, predict), (modeling, predict)):
        trial.restore(kept)
        started = [trial.start(*command) for command in (first, second)]
        said = [process.communicate()[1] for process in started]
        found = trial.digest()
        succeeded = [c for c, process in zip((first, second), started, strict=True) if process.returncode == 0]
        fits = any(compare(found, alone[command]) for command in succeeded) or not succeeded
        for process, text in zip(started, said, strict=True):
            trial.note("pairs of runs at once", process.returncode, text, equal=fits)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="a multiple of five; 0 for none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial, began = Trial(Path(folder)), time.perf_counter()
        predict = (*PREDICTION, f"--params=images={trial.images}")
        for command in (RUN, (*RUN, "--pipelines=export")):
            assert trial.run(*command)[0] == 0
        seconds = time.perf_counter() - began
        shutil.copytree(trial.data / "01_raw/phantoms/test", trial.images)
        assert trial.run(*predict)[0] == 0
        expected, kept = trial.digest(), Path(folder) / "kept"
        shutil.copytree(trial.data, kept)
        print(f"{len(expected)} results to compare; an undisturbed run takes {seconds:.0f} s", flush=True)
        for _ in range(4 if arguments.kills else 0):
            kill(trial, RUN, seconds * 0.4, arguments.kills // 5, expected)
        if arguments.kills:
            shutil.rmtree(trial.data / "07_model_output/predictions")
            kill(trial, predict, 8, arguments.kills // 5, expected)
            print({kind: dict(outcomes) for kind, outcomes in trial.outcomes.items()}, flush=True)
        damage(trial, kept, expected)
        crop, pad = (
            (*RUN, "--pipelines=data_processing", f"--params=preparation.geometry={each}") for each in ("crop", "pad")
        )
        modeling = (*RUN, "--pipelines=modeling")
        alone = {}
        for command in (crop, pad, modeling, predict):
            trial.restore(kept)
            assert trial.run(*command)[0] == 0
            alone[command] = trial.digest()
        pair(trial, kept, alone)
        for kind, outcomes in trial.outcomes.items():
            print(f"{kind}: {dict(outcomes)}")
        print(f"{(time.perf_counter() - began) / 60:.0f} min")


if __name__ == "__main__":
    main()
