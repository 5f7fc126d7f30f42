"""Pneumonia in paediatric chest radiographs: data, model, evidence, and what augmentation changed."""

import importlib.util
import os
import sys
import warnings
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

__version__ = "0.1.0"


class _QuietImport(MetaPathFinder):
    """Finds TensorFlow once, and sends the standard error stream of the process nowhere while it is imported."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_silently(module: ModuleType) -> None:
                stderr = os.dup(2)
                with Path(os.devnull).open("w") as nowhere:
                    os.dup2(nowhere.fileno(), 2)
                try:
                    execute(module)
                finally:
                    os.dup2(stderr, 2)
                    os.close(stderr)

            spec.loader.exec_module = execute_silently  # type: ignore[method-assign]
        return spec


# Before anything imports TensorFlow: its notices, and Keras' of NumPy's names on export to ONNX, help no user. The
# variable, which a user may set to less than 3 to see them, does not apply to what is printed during the import.
warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and "tensorflow" not in sys.modules:
    sys.meta_path.insert(0, _QuietImport())
