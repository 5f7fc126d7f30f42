"""A folder of synthetic radiographs that draws itself when it is first loaded."""

from pathlib import Path
from typing import Any

from kedro.io import DatasetError

from chest_xray.core.types import DataFrame
from chest_xray.datasets.image_folder import ImageFolderDataset
from chest_xray.images.phantoms import draw_phantom_folder


class PhantomFolderDataset(ImageFolderDataset):
    """Stands in for a folder of radiographs where there are none: same layout, same kind of file names.

    Args:
        path: A local folder; created, with all its images, if it does not exist.
        num_images: Images of each class, for example `{NORMAL: 40, PNEUMONIA: 100}`.
        seed: Same seed, same images.
        data_root: Must stay null: phantoms are never drawn into a folder of real data.
        metadata: For plugins such as Kedro-Viz.

    Raises:
        DatasetError: `data_root` was given.
    """

    def __init__(
        self,
        *,
        path: str,
        num_images: dict[str, int],
        seed: int,
        data_root: str | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        if data_root is not None:
            raise DatasetError(
                f"received data_root={data_root}, but this environment runs on synthetic phantoms. "
                "Leave out --env to run on your data, or leave out data_root to run on phantoms."
            )
        super().__init__(path=path, metadata=metadata)
        self._num_images = num_images
        self._seed = seed

    def load(self) -> DataFrame:
        """Draw the images where they are missing, then list them."""
        if not Path(self._path).is_dir():
            draw_phantom_folder(Path(self._path), self._num_images, self._seed)
        return super().load()

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path, "num_images": self._num_images, "seed": self._seed}
