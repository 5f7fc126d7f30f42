"""What an interrupted training left behind, so that the next run goes on from there."""

import json
import logging
import zipfile
import zlib
from pathlib import Path
from typing import Any

from chest_xray.core.files import atomic_path
from chest_xray.core.types import Array

logger = logging.getLogger(__name__)


class Checkpoint:
    """The state of a training after its last whole epoch, in one file.

    Args:
        filepath: A local path that ends in `.npz`.
    """

    def __init__(self, filepath: str):
        self.filepath = filepath

    def load(self, fingerprint: str) -> tuple[dict[str, list[Array]], Any] | None:
        """Return what was saved under this fingerprint: named lists of arrays, and the notes; None where there is none.

        What was saved under another fingerprint belongs to other data or settings and is not used.
        """
        import numpy as np

        if not Path(self.filepath).is_file():
            return None
        try:
            # Opened here, because NumPy leaves a file open in which it finds nothing.
            with Path(self.filepath).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                if header["fingerprint"] != fingerprint:
                    logger.info("Training starts anew: %s was left by other data or settings", self.filepath)
                    return None
                sizes = header["sizes"].items()
                arrays = {name: [file[f"{name}.{i}"] for i in range(number)] for name, number in sizes}
                return arrays, header["notes"]
        except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            logger.warning("Training starts anew: %s is damaged (%s)", self.filepath, error)
            return None

    def save(self, fingerprint: str, arrays: dict[str, list[Array]], notes: Any) -> None:
        """Store named lists of arrays and notes (plain values), whole or not at all, in place of what was there."""
        import numpy as np

        header = {
            "fingerprint": fingerprint,
            "sizes": {name: len(each) for name, each in arrays.items()},
            "notes": notes,
        }
        named = {f"{name}.{i}": array for name, each in arrays.items() for i, array in enumerate(each)}
        with atomic_path(self.filepath) as path:
            np.savez(path, header=np.array(json.dumps(header)), **named)  # type: ignore[arg-type]

    def clear(self) -> None:
        """Forget: the training is over."""
        Path(self.filepath).unlink(missing_ok=True)
