"""The out-of-distribution (OOD) score: how far an image is from the training images."""

from chest_xray.core.types import Array
from chest_xray.images.validation import InputChecks

LEAST_CONTRAST = 0.02  # of the full range: below it, standardising would enlarge the noise of the encoder
LEAST_RESIDUAL = 1e-6


def fit_ood_detector(pixels: Array, options: InputChecks) -> dict[str, Array]:
    """Fit principal components to training images, uint8 of shape (n, height, width).

    Pixels, because noise and text pages are ordinary in the features of the network (Lee et al. 2018; see
    docs/prediction.md).

    Returns:
        float32 arrays: `mean` (side * side), `axes` (components, side * side), `variances` (components), and `residual`
        (1), the mean square of what the components leave.
    """
    import numpy as np
    from sklearn.decomposition import PCA

    standard = _standardise(pixels, options.side)
    components = min(options.components, len(standard) - 1)
    fitted = PCA(components, svd_solver="randomized", random_state=0).fit(standard)
    left = standard - fitted.inverse_transform(fitted.transform(standard))
    return {
        "mean": fitted.mean_.astype(np.float32),
        "axes": fitted.components_.astype(np.float32),
        "variances": np.maximum(fitted.explained_variance_, LEAST_RESIDUAL).astype(np.float32),
        "residual": np.maximum([np.square(left).mean()], LEAST_RESIDUAL).astype(np.float32),
    }


def compute_ood_score(pixels: Array, ood_detector: dict[str, Array]) -> Array:
    """Compute the OOD score of uint8 images (n, height, width): float32 (n,), at least 0, near 2 for ordinary images.

    The sum of Hotelling's T2 within the principal components of `fit_ood_detector` and the squared residual off them,
    each divided by its mean on train (the combined index of Yue and Qin 2001).
    """
    import numpy as np

    mean, axes = ood_detector["mean"], ood_detector["axes"]
    centred = _standardise(pixels, round(len(mean) ** 0.5)) - mean
    scores = centred @ axes.T
    within = np.square(scores) @ (1 / ood_detector["variances"]) / len(axes)
    off = np.square(centred - scores @ axes).mean(axis=1) / ood_detector["residual"]
    return np.asarray(within + off, np.float32)


def _standardise(pixels: Array, side: int) -> Array:
    """Reduce images to squares of mean 0 and standard deviation 1, float32 (n, side * side)."""
    import numpy as np
    from PIL import Image

    small = [Image.fromarray(image).resize((side, side), Image.Resampling.BOX) for image in pixels]
    grey = np.stack([np.asarray(image) for image in small]).reshape(len(pixels), -1).astype(np.float32) / 255
    spread = np.maximum(grey.std(axis=1, keepdims=True), LEAST_CONTRAST)
    return np.asarray((grey - grey.mean(axis=1, keepdims=True)) / spread)
