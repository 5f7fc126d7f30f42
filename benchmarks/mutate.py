"""Count how many deliberate mistakes (mutants) the tests find, module by module, and list those that survive.

    make mutate MUTATE="--module metrics/binary --sample 60"  # 60 mutants of one module; without: all of all modules

Cosmic Ray makes the mutants in a clone of the last commit; nothing is changed here. The operators that it leaves in are
those of KEPT. Each mutant meets its tests in a fork of this process, which has the libraries in memory and nothing of
the project, nor any thread of TensorFlow: importing TensorFlow takes longer than most tests. Of each file, the tests
that execute the mutated line come first, the quickest of them before the others; the first failure ends a run.
"""

import argparse
import csv
import gc
import importlib
import json
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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

import coverage
import pytest

LIBRARIES = (
    "gdcm hypothesis kedro.framework.session kedro_datasets.pandas keras pandas pyarrow.parquet pydicom.pixels "
    "scipy.ndimage scipy.optimize scipy.sparse.csgraph scipy.stats simplejpeg sklearn.linear_model sklearn.metrics "
    "PIL.ImageOps"
)
PYTEST = (
    "-x -q -o addopts= -p _hypothesis_pytestplugin --hypothesis-seed=0 -W ignore::pytest.PytestAssertRewriteWarning"
)
ROOT = Path(__file__).parents[1]
MEMORY = 12 << 30  # bytes of address space that a mutant may ask for
# The tests of a module: its own first, for the first failure ends a run.
MODULES = {
    "metrics/binary": "metrics/test_binary.py metrics/test_bootstrap.py metrics/test_summary.py",
    "metrics/bootstrap": "metrics/test_bootstrap.py metrics/test_summary.py metrics/test_recomputation.py",
    "metrics/calibration_error": "metrics/test_calibration_error.py metrics/test_summary.py",
    "metrics/comparison": "metrics/test_comparison.py metrics/test_study.py",
    "metrics/summary": "metrics/test_summary.py pipelines/robustness/test_corruptions.py pipelines/evaluation",
    "metrics/shift": "metrics/test_shift.py",
    "metrics/results": "metrics/test_results.py reporting/test_tables.py",
    "metrics/subgroups": "metrics/test_subgroups.py metrics/test_recomputation.py",
    "metrics/abstention": "metrics/test_abstention.py metrics/test_recomputation.py",
    "metrics/metadata_baseline": "metrics/test_metadata_baseline.py metrics/test_shortcuts.py",
    "metrics/operating_point": "metrics/test_operating_point.py pipelines/experiments",
    "images/decoding": "images/test_decoding.py images/test_unusual_files.py",
    "images/dicom": "images/test_dicom.py images/test_unusual_files.py",
    "images/dicom_streams": "images/test_dicom.py images/test_unusual_files.py",
    "images/dicom_claims": "images/test_dicom_claims.py",
    "images/dicom_display": "images/test_dicom.py images/test_unusual_files.py",
    "images/header": "images/test_header.py images/test_unusual_files.py images/test_validation.py",
    "images/jpeg": "images/test_jpeg.py images/test_unusual_files.py images/test_decoding.py images/test_validation.py",
    "images/png": "images/test_png.py images/test_unusual_files.py images/test_validation.py",
    "images/validation": "images/test_validation.py images/test_kermany.py",
    "images/preprocessing": "images/test_preprocessing.py images/test_unusual_files.py images/test_dicom_claims.py",
    "images/corruptions": "images/test_corruptions.py images/test_test_corruptions.py "
    "images/test_validation_corruptions.py pipelines/robustness",
    "images/audit": "images/test_audit.py images/test_splitting.py",
    "images/splitting": "images/test_splitting.py images/test_audit.py pipelines/experiments",
    "models/input_pipeline": "models/test_input_pipeline.py models/test_training.py",
    "models/augmentation": "models/test_augmentation.py",
    "models/inference": "models/test_inference.py models/test_predictor.py pipelines/modeling "
    "serving/test_command_line.py",
    "models/batch": "models/test_batch.py models/test_predictor.py pipelines/deployment",
    "pipelines/modeling/nodes": "pipelines/modeling models/test_training.py metrics/test_operating_point.py",
}
# In the place of an operator the one most like a slip, not all eleven; none for `|`, an operator of types too. Numbers,
# and/or, not, True/False, loops, exceptions and decorators are changed as Cosmic Ray has it.
KEPT = (
    "Binary.*(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_FloorDiv|Pow_Mul|Shift_.Shift|And_BitOr|Xor_BitAnd)",
    "Comparison.*(Eq_NotEq|NotEq_Eq|_Lt_LtE|_Lt_GtE|_LtE_Lt|_LtE_Gt|_Gt_GtE|_Gt_LtE|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is)",
    "Unary.*Delete_(USub|Invert|Not)",
)
NAMES = ("file", "line", "column", "operator", "function", "diff")
CLIENT = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('{}'); raise SystemExit(int(s.recv(9)))"
FOUND = """SELECT job_id, start_pos_row, start_pos_col, operator_name, occurrence, definition_name, worker_outcome,
test_outcome, diff FROM mutation_specs LEFT JOIN work_results USING (job_id) ORDER BY 2, 3, 4, 5"""


class _Record:
    """Writes how long each test takes, and which tests execute each line of a file."""

    def __init__(self, source: Path, output: Path):
        self.source, self.output = str(source.absolute()), output
        self.seconds: dict[str, float] = {}
        self.coverage = coverage.Coverage(data_file=None, include=[self.source], config_file=False)
        self.coverage.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        lines = self.coverage.get_data().contexts_by_lineno(self.source)
        self.output.write_text(json.dumps({"seconds": self.seconds, "lines": lines}))


class _Order:
    """Puts first, of each file, the tests that execute a line, and the quickest of them before the others."""

    def __init__(self, recorded: dict[str, Any], line: int):
        self.seconds, self.first = recorded["seconds"], set(recorded["lines"].get(str(line), ()))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        files = list(dict.fromkeys(item.path for item in items))
        items.sort(
            key=lambda item: (
                item.nodeid not in self.first,
                files.index(item.path),
                self.seconds.get(item.nodeid, 0),
            )
        )


def run_tests(tests: list[str], seconds: float, plugin: Callable[[], _Record | _Order]) -> int:
    """Run tests in a fork and return the exit code of pytest; that of a fork that takes too long is below 0."""
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.alarm(int(seconds))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        os._exit(pytest.main([*PYTEST.split(), "-m", "not slow", *tests], plugins=[plugin()]))
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it started
    return os.waitstatus_to_exitcode(status)


def mutate(module: str, cosmic_ray: Path, folder: Path, sample: int, seed: int) -> list[dict[str, str]]:
    """Run the mutants of a module, print how many are killed, and return those that are not."""
    tests = [f"tests/{each}" for each in MODULES[module].split()]
    began = time.monotonic()
    sys.dont_write_bytecode = False  # by the tests without a mutant alone: Python takes two changes in a second for one
    source, record = Path(f"src/chest_xray/{module}.py"), folder / "record.json"
    if run_tests(tests, 900, lambda: _Record(source, record)):
        raise SystemExit(f"{module}: tests fail without any mutant")
    original, recorded = source.read_text("utf-8").splitlines(), json.loads(record.read_text("utf-8"))
    sys.dont_write_bytecode = True
    seconds = 30 + 4 * (time.monotonic() - began)
    name = folder / module.replace("/", ".")
    config, session, address = (f"{name}.{end}" for end in ("toml", "sqlite", "socket"))
    Path(config).write_text(
        f'[cosmic-ray]\nmodule-path = "{source}"\ntimeout = {seconds + 30}\nexcluded-modules = []\n'
        f'test-command = "{sys.executable} -I -S -c \\"{CLIENT.format(address)}\\""\n'
        '[cosmic-ray.distributor]\nname = "local"\n[cosmic-ray.filters.operators-filter]\n'
        f"exclude-operators = ['core/Replace(?=Unary|Binary|Comparison)(?!({'|'.join(KEPT)})$)']\n"
    )
    subprocess.run([cosmic_ray / "cosmic-ray", "init", config, session], check=True)
    subprocess.run([cosmic_ray / "cr-filter-operators", session, config], check=True)
    with sqlite3.connect(session) as database:
        jobs = [row[:1] for row in database.execute(FOUND).fetchall() if row[6] is None]
        left_out = random.Random(seed).sample(jobs, max(len(jobs) - sample, 0)) if sample else []
        database.executemany("INSERT INTO work_results (job_id, worker_outcome) VALUES (?, 'SKIPPED')", left_out)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        listener.settimeout(1)
        running = subprocess.Popen([cosmic_ray / "cosmic-ray", "exec", config, session])
        while running.poll() is None:
            with suppress(TimeoutError), listener.accept()[0] as connection:
                pairs = zip(original, source.read_text("utf-8").splitlines(), strict=False)
                line = next(number for number, (old, new) in enumerate(pairs, 1) if old != new)
                code = run_tests(tests, seconds, lambda line=line: _Order(recorded, line))
                connection.send(str(abs(code)).encode())
    with sqlite3.connect(session) as database:
        rows = [row for row in database.execute(FOUND).fetchall() if row[6] == "NORMAL"]
    survived = [row for row in rows if row[7] == "SURVIVED"]
    share, taken = 1 - len(survived) / len(rows), time.monotonic() - began
    print(f"{module:26s}{len(rows):8d}{len(survived):9d}{share:8.1%}{taken:8.0f}", flush=True)
    return [dict(zip(NAMES, (module, row[1], row[2], row[3][5:], row[5], row[8]), strict=True)) for row in survived]


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", choices=MODULES, action="append", help="this one alone; may be repeated")
    parser.add_argument("--sample", type=int, default=0, help="mutants a module, drawn at random; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--cosmic-ray", type=Path, help="folder of cosmic-ray; without, it is installed aside")
    parser.add_argument("--survivors", type=Path, default=Path("data/mutants.csv"), help="where survivors are listed")
    options = parser.parse_args()
    output = options.survivors.resolve()
    for library in LIBRARIES.split():
        importlib.import_module(library)
    gc.freeze()  # or every fork would copy what it collects
    with tempfile.TemporaryDirectory() as name:
        folder, clone = Path(name), Path(name) / "clone"
        tools = (options.cosmic_ray or folder / "tools" / "bin").absolute()
        if not options.cosmic_ray:
            subprocess.run([sys.executable, "-m", "venv", folder / "tools"], check=True)
            subprocess.run([tools / "pip", "install", "--quiet", "cosmic-ray==8.*"], check=True)
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        os.chdir(clone)
        sys.path.insert(0, str(clone / "src"))
        os.environ["PYTHONPATH"] = str(clone / "src")  # of what tests start
        print(f"{'module':26s}{'mutants':>8s}{'survived':>9s}{'killed':>8s}{'seconds':>8s}", flush=True)
        with output.open("w", newline="") as file:
            writer = csv.DictWriter(file, NAMES)
            writer.writeheader()
            for module in options.module or MODULES:
                writer.writerows(mutate(module, tools, folder, options.sample, options.seed))
                file.flush()


if __name__ == "__main__":
    main()
