"""The view of a radiograph: whether it is an upright frontal chest, by a small network that runs on NumPy."""

from typing import Annotated

from pydantic import AfterValidator, Field

from chest_xray.core.libraries import keras, np
from chest_xray.core.types import Array, Model, Options

MIN_CONTRAST = 0.02  # of the full range: below it, standardising would enlarge the noise of the encoder
MAX_DEVIATION = 3.0  # standard deviations, beyond which grey values are clipped
STRIDE = 2
CONVOLUTIONS = ((12, 5), (24, 3), (48, 3))  # filters and their side, in pixels


def _require_known_kinds(examples: dict[str, int]) -> dict[str, int]:
    from chest_xray.images.view_examples import KINDS

    if unknown := sorted(set(examples) - set(KINDS)):
        raise ValueError(f"{', '.join(unknown)} is not a kind of example; expected some of {', '.join(KINDS)}")
    return examples


class ViewTraining(Options):
    """How the classifier of views is trained."""

    examples: Annotated[dict[str, Annotated[int, Field(ge=1)]], AfterValidator(_require_known_kinds)]
    phantoms: Annotated[int, Field(ge=3)]
    pools: Annotated[int, Field(ge=1)]
    passes: Annotated[int, Field(ge=1)]
    hidden: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    seed: int


def fit_view_classifier(radiographs: Array, options: ViewTraining) -> dict[str, Array]:
    """Train the classifier on examples built from upright frontal chests, uint8 of shape (n, height, width).

    Returns:
        The weights, as `read_weights` does.
    """
    from chest_xray.images.view_examples import VIEWS, draw_views

    keras.utils.set_random_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    network = build_view_network(options.hidden)
    steps = options.pools * options.passes * sum(options.examples.values()) // 128
    schedule = keras.optimizers.schedules.CosineDecay(options.learning_rate, steps)
    network.compile(
        keras.optimizers.AdamW(schedule, weight_decay=1e-3),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.02),
    )
    for _ in range(options.pools):
        images, views = draw_views(radiographs, options.examples, options.phantoms, rng)
        targets = np.eye(len(VIEWS), dtype=np.float32)[views]
        network.fit(_standardise(images)[..., None], targets, batch_size=128, epochs=options.passes, verbose=0)
    return read_weights(network)


def read_weights(network: Model) -> dict[str, Array]:
    """Return the weights of a network of `build_view_network`: `kernel_0`, `bias_0` and so on, float32."""
    pairs = [layer.get_weights() for layer in network.layers if layer.weights]
    return {f"{name}_{n}": pair[i] for n, pair in enumerate(pairs) for i, name in enumerate(("kernel", "bias"))}


def build_view_network(hidden: int) -> Model:
    """Build the untrained network, from standardised images to logits of `VIEWS`."""
    from chest_xray.images.view_examples import SIDE, VIEWS

    layers = [keras.layers.Input((SIDE, SIDE, 1))]
    for filters, side in CONVOLUTIONS:
        layers.append(keras.layers.Conv2D(filters, side, STRIDE, activation="relu"))
    layers += [keras.layers.Flatten(), keras.layers.Dropout(0.3), keras.layers.Dense(hidden, activation="relu")]
    return keras.Sequential([*layers, keras.layers.Dropout(0.3), keras.layers.Dense(len(VIEWS))])


def compute_view_logits(pixels: Array, classifier: dict[str, Array]) -> Array:
    """Compute the logits of `VIEWS` for uint8 images (n, height, width): float32 (n, views), the mean over flips."""
    from PIL import Image
    from threadpoolctl import threadpool_limits

    from chest_xray.images.view_examples import SIDE

    small = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX) for image in pixels]
    images = _standardise(np.stack([np.asarray(image) for image in small]))
    with threadpool_limits(1, "blas"):  # The products are so small that waiting threads take four times the work.
        return (_compute_logits(images, classifier) + _compute_logits(images[:, :, ::-1], classifier)) / 2


def compute_ood_score(pixels: Array, classifier: dict[str, Array]) -> Array:
    """Compute the out-of-distribution (OOD) score of uint8 images (n, height, width): float64 (n,).

    It is the probability, 0 to 1, that an image is no upright frontal chest.
    """
    return score_views(compute_view_logits(pixels, classifier))


def score_views(logits: Array) -> Array:
    """Compute the OOD score from the logits of `VIEWS`, of shape (n, views)."""
    from scipy.special import expit, logsumexp

    scores: Array = expit(logsumexp(logits[:, 1:].astype(float), axis=1) - logits[:, 0])
    return scores


def classify_view(logits: Array) -> str:
    """Return the likeliest of `VIEWS` other than "frontal" from the logits of one image."""
    from chest_xray.images.view_examples import VIEWS

    return VIEWS[1 + int(logits[1:].argmax())]


def find_upright(pixels: Array, classifier: dict[str, Array]) -> tuple[Array, Array]:
    """Find the quarter turns, anticlockwise, after which images are likeliest upright frontal chests.

    Args:
        pixels: uint8 of shape (n, height, width).
        classifier: From `fit_view_classifier`.

    Returns:
        The images after these turns, in the same shape, and the number of turns, int64 (n,), 0 to 3.
    """
    turned = [np.stack([_turn(image, turns) for image in pixels]) for turns in range(4)]
    best = np.stack([compute_ood_score(images, classifier) for images in turned]).argmin(axis=0)
    return np.stack([turned[turns][row] for row, turns in enumerate(best.tolist())]), best


def _turn(image: Array, turns: int) -> Array:
    """Turn an image anticlockwise by quarter turns, and stretch it to its former shape."""
    from PIL import Image

    turned = Image.fromarray(np.ascontiguousarray(np.rot90(image, turns)))
    return np.asarray(turned.resize(image.shape[::-1], Image.Resampling.BILINEAR))


def _standardise(images: Array) -> Array:
    """Scale uint8 images to mean 0 and standard deviation 1, float32."""
    grey = images.astype(np.float32) / 255
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    grey /= np.maximum(grey.std(axis=(1, 2), keepdims=True), MIN_CONTRAST)
    return grey.clip(-MAX_DEVIATION, MAX_DEVIATION)


def _compute_logits(images: Array, classifier: dict[str, Array]) -> Array:
    """Apply the layers of `build_view_network` to standardised images."""
    values = images[..., None]
    for layer in range(len(CONVOLUTIONS)):
        kernel, bias = classifier[f"kernel_{layer}"], classifier[f"bias_{layer}"]
        windows = np.lib.stride_tricks.sliding_window_view(values, kernel.shape[:2], axis=(1, 2))
        values = np.tensordot(windows[:, ::STRIDE, ::STRIDE], kernel, axes=((4, 5, 3), (0, 1, 2)))
        values = np.maximum(values + bias, 0)
    first = len(CONVOLUTIONS)
    hidden = values.reshape(len(values), -1) @ classifier[f"kernel_{first}"] + classifier[f"bias_{first}"]
    return np.maximum(hidden, 0) @ classifier[f"kernel_{first + 1}"] + classifier[f"bias_{first + 1}"]
