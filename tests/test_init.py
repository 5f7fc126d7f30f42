"""TensorFlow prints nothing when it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("variables", "is_heard"),
    [({}, False), ({"TF_CPP_MIN_LOG_LEVEL": "3"}, False), ({"TF_CPP_MIN_LOG_LEVEL": "0"}, True)],
)
def test_tensorflow_prints_nothing_while_it_is_imported_unless_the_user_wants_it(
    variables: dict[str, str], is_heard: bool, tmp_path: Path
) -> None:
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'oneDNN custom operations are on')\nLEVEL = 1\n")
    shown = "tensorflow.LEVEL, os.environ['TF_CPP_MIN_LOG_LEVEL'], file=sys.stderr"
    code = f"import os, sys, chest_xray, tensorflow; print('after', {shown})"
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    paths = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | paths | variables, capture_output=True, text=True, check=True
    )
    assert ("oneDNN" in done.stderr) == is_heard
    assert f"after 1 {variables.get('TF_CPP_MIN_LOG_LEVEL', '3')}" in done.stderr


def test_the_warning_of_keras_while_it_exports_to_onnx_is_hidden() -> None:
    told = "warnings.warn('In the future `np.object` will be', FutureWarning); warnings.warn('shown')"
    code = f"import warnings, chest_xray; {told}"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "shown" in done.stderr
    assert "np.object" not in done.stderr.replace(code, "")
