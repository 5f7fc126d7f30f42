"""What the report shows of a part of the work, in one file: tables, pictures and plain values by name."""

import base64
import json
from pathlib import Path
from typing import Any

from chest_xray.core.files import atomic_path
from chest_xray.datasets.storage import FileDataset


class EvidenceDataset(FileDataset):
    """Stores a dict of tables (pandas), pictures (PNG, bytes) and plain values as JSON.

    Pictures are kept as base64; missing values of tables come back as pandas infers them.
    """

    def load(self) -> dict[str, Any]:
        """Return the dict."""
        stored = json.loads(Path(self._local()).read_text("utf-8"))
        return {name: _decode(kind, value) for name, (kind, value) in stored.items()}

    def save(self, data: dict[str, Any]) -> None:
        """Write the dict whole or not at all."""
        text = json.dumps({name: _encode(value) for name, value in data.items()}, ensure_ascii=False)
        with atomic_path(self._filepath) as path:
            path.write_text(text, "utf-8")


def _encode(value: Any) -> tuple[str, Any]:
    import pandas as pd

    if isinstance(value, bytes):
        return "png", base64.b64encode(value).decode("ascii")
    if isinstance(value, pd.DataFrame):
        rows = value.astype(object).where(value.notna(), None).to_numpy().tolist()
        return "table", {"columns": list(value.columns), "rows": rows}
    return "value", value


def _decode(kind: str, value: Any) -> Any:
    import pandas as pd

    if kind == "png":
        return base64.b64decode(value)
    return pd.DataFrame(value["rows"], columns=value["columns"]) if kind == "table" else value
