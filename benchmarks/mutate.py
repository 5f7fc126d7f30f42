"""Count how many deliberate mistakes (mutants) the tests find, module by module, and list those that survive.

    make mutate                                                   # every module of MODULES, every mutant
    make mutate MUTATE="--module metrics/binary --sample 60"      # 60 mutants of one module, the same ones every time

Cosmic Ray makes the mutants in a clone of the last commit; nothing is changed here. The operators that it leaves in are
those of KEPT. Each mutant meets its tests in a fork of this process, which has the libraries in memory and nothing of
the project, nor any thread of TensorFlow: importing TensorFlow takes longer than most tests.
"""

import argparse
import csv
import gc
import importlib
import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

import pytest

LIBRARIES = (
    "gdcm hypothesis kedro.framework.session kedro_datasets.pandas keras pandas pydicom.pixels scipy.ndimage "
    "scipy.optimize scipy.sparse.csgraph scipy.stats simplejpeg sklearn.linear_model sklearn.metrics PIL.ImageOps"
)
PYTEST = (
    *("-x", "-q", "-o", "addopts=", "-m", "not slow", "-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *("-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0"),
)
ROOT = Path(__file__).parents[1]
MEMORY = 12 << 30  # bytes of address space that a mutant may ask for
# The tests of a module: its own first, for the first failure ends a run.
MODULES = {
    "metrics/binary": "metrics/test_binary.py metrics/test_summary.py metrics/test_subgroups.py",
    "metrics/bootstrap": "metrics/test_bootstrap.py metrics/test_summary.py",
    "metrics/curves": "metrics/test_curves.py",
    "metrics/calibration_error": "metrics/test_calibration_error.py metrics/test_summary.py",
    "metrics/comparison": "metrics/test_comparison.py metrics/test_study.py",
    "metrics/summary": "metrics/test_summary.py pipelines/robustness/test_corruptions.py pipelines/evaluation",
    "images/decoding": "images/test_decoding.py",
    "images/dicom": "images/test_dicom.py",
    "images/validation": "images/test_validation.py images/test_index.py models/test_outliers.py",
    "images/splitting": "images/test_splitting.py images/test_duplicates.py",
    "models/calibration": "models/test_calibration.py pipelines/modeling",
    "models/input_pipeline": "models/test_input_pipeline.py models/test_training.py",
    "models/augmentation": "models/test_augmentation.py",
    "models/inference": "models/test_inference.py models/test_predictor.py pipelines/evaluation pipelines/prediction",
}
# Of the eleven operators that Cosmic Ray puts in the place of one, that most like a slip. Left out besides: `|`, which
# stands in types. All that does not replace an operator (numbers, and/or, not, loops, exceptions) is left in.
KEPT = (
    "Binary.*(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_FloorDiv|Pow_Mul|Shift_.Shift|And_BitOr|Xor_BitAnd)",
    "Comparison.*(Eq_NotEq|NotEq_Eq|_Lt_LtE|_Lt_GtE|_LtE_Lt|_LtE_Gt|_Gt_GtE|_Gt_LtE|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is)",
    "Unary.*Delete_(USub|Invert|Not)",
)
CLIENT = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('{}'); raise SystemExit(int(s.recv(9)))"
FOUND = """SELECT job_id, start_pos_row, start_pos_col, operator_name, occurrence, definition_name, worker_outcome,
test_outcome, diff FROM mutation_specs LEFT JOIN work_results USING (job_id) ORDER BY 2, 3, 4, 5"""


def run_tests(tests: list[str], seconds: float) -> int:
    """Run tests in a fork and return the exit code of pytest; that of a fork that takes too long is below 0."""
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.alarm(int(seconds))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        os._exit(pytest.main([*PYTEST, *tests]))
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it started
    return os.waitstatus_to_exitcode(status)


def mutate(module: str, cosmic_ray: Path, folder: Path, sample: int, seed: int) -> list[dict[str, str]]:
    """Run the mutants of a module, print how many are killed, and return those that are not."""
    tests = [f"tests/{each}" for each in MODULES[module].split()]
    began = time.monotonic()
    sys.dont_write_bytecode = False  # by the tests without a mutant alone: Python takes two changes in a second for one
    if run_tests(tests, 900):
        raise SystemExit(f"{module}: tests fail without any mutant")
    sys.dont_write_bytecode = True
    seconds = 30 + 4 * (time.monotonic() - began)
    name = folder / module.replace("/", ".")
    config, session, address = (f"{name}.{end}" for end in ("toml", "sqlite", "socket"))
    Path(config).write_text(
        f'[cosmic-ray]\nmodule-path = "src/chest_xray/{module}.py"\ntimeout = {seconds + 30}\nexcluded-modules = []\n'
        f'test-command = "{sys.executable} -I -S -c \\"{CLIENT.format(address)}\\""\n'
        '[cosmic-ray.distributor]\nname = "local"\n[cosmic-ray.filters.operators-filter]\n'
        f"exclude-operators = ['core/Replace(?=Unary|Binary|Comparison)(?!({'|'.join(KEPT)})$)']\n"
    )
    subprocess.run([cosmic_ray / "cosmic-ray", "init", config, session], check=True)
    subprocess.run([cosmic_ray / "cr-filter-operators", session, config], check=True)
    with sqlite3.connect(session) as database:
        open_ones = [row[0] for row in database.execute(FOUND).fetchall() if row[6] is None]
        left_out = random.Random(seed).sample(open_ones, max(len(open_ones) - sample, 0)) if sample else []
        skip = "INSERT INTO work_results (job_id, worker_outcome) VALUES (?, 'SKIPPED')"
        database.executemany(skip, [(job,) for job in left_out])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        listener.settimeout(1)
        running = subprocess.Popen([cosmic_ray / "cosmic-ray", "exec", config, session])
        while running.poll() is None:
            with suppress(TimeoutError), listener.accept()[0] as connection:
                connection.send(str(abs(run_tests(tests, seconds))).encode())
    with sqlite3.connect(session) as database:
        rows = [row for row in database.execute(FOUND).fetchall() if row[6] == "NORMAL"]
    survived = [row for row in rows if row[7] == "SURVIVED"]
    killed = len(rows) - len(survived)
    taken = time.monotonic() - began
    print(f"{module:26s}{len(rows):8d}{killed:8d}{len(survived):9d}{killed / len(rows):9.1%}{taken:8.0f}", flush=True)
    names = ("file", "line", "column", "operator", "function", "diff")
    return [dict(zip(names, (module, row[1], row[2], row[3][5:], row[5], row[8]), strict=True)) for row in survived]


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", choices=MODULES, action="append", help="this one alone; may be repeated")
    parser.add_argument("--sample", type=int, default=0, help="mutants a module, drawn at random; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument(
        "--cosmic-ray", type=Path, help="folder of an installed cosmic-ray; else one is installed aside"
    )
    parser.add_argument("--survivors", type=Path, default=Path("data/mutants.csv"), help="where survivors are listed")
    options = parser.parse_args()
    output = options.survivors.resolve()
    for library in LIBRARIES.split():
        importlib.import_module(library)
    gc.freeze()  # or every fork would copy what it collects
    with tempfile.TemporaryDirectory() as name:
        folder, clone = Path(name), Path(name) / "clone"
        tools = options.cosmic_ray
        if not tools:
            subprocess.run([sys.executable, "-m", "venv", folder / "tools"], check=True)
            tools = folder / "tools" / "bin"
            subprocess.run([tools / "pip", "install", "--quiet", "cosmic-ray==8.*"], check=True)
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        os.chdir(clone)
        sys.path.insert(0, str(clone / "src"))
        os.environ["PYTHONPATH"] = str(clone / "src")  # of what tests start
        print(f"{'module':26s}{'mutants':>8s}{'killed':>8s}{'survived':>9s}{'killed':>9s}{'seconds':>8s}", flush=True)
        with output.open("w", newline="") as file:
            writer = csv.DictWriter(file, ("file", "line", "column", "operator", "function", "diff"))
            writer.writeheader()
            for module in options.module or MODULES:
                writer.writerows(mutate(module, tools.absolute(), folder, options.sample, options.seed))
                file.flush()


if __name__ == "__main__":
    main()
