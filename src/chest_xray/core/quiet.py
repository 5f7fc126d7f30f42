"""TensorFlow and Keras without their notices that users can do nothing about."""

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


def silence_tensorflow() -> None:
    """Hide what TensorFlow prints about the processor, unless the user has set TF_CPP_MIN_LOG_LEVEL to less than 3.

    That variable does not apply to what it prints while it is imported. Keras's export to ONNX warns of NumPy's names.
    """
    warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _QuietImport())


class _QuietImport(MetaPathFinder):
    """Finds TensorFlow once, and sends the standard error stream of the process nowhere while it is imported."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _silence(spec.loader.exec_module)  # type: ignore[method-assign, assignment]
        return spec


def _silence(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def execute_silently(module: ModuleType) -> None:
        stderr = os.dup(2)
        try:
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            execute(module)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)

    return execute_silently
