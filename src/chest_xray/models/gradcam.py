"""Grad-CAM maps of the evidence for pneumonia, and the test whether they depend on the weights.

The explained layer is the last one with maps of at least `MIN_CELLS` cells a side. Later layers are too coarse: of an
image of 96 pixels the fifth pooling leaves 3 x 3 cells, each as large as half a lung.
"""

from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from chest_xray.core.libraries import keras, np, tf
from chest_xray.core.types import Array, InputError, Model, Options, Result, Seed
from chest_xray.metrics.bootstrap import interval, resample_weights
from chest_xray.metrics.results import Interval
from chest_xray.models.inference import BATCH_SIZE
from chest_xray.models.network import without_sigmoid

MIN_CELLS = 5  # of the shorter side of the explained layer
# From weak to strong, distinguishable by colour-blind readers and from grey: matplotlib's plasma without its dark end.
HEAT = ("#9c179e", "#cc4778", "#ed7953", "#fdb42f", "#f0f921")


def grad_cam(model: Model, images: Array) -> Array:
    """Compute which parts of each image are evidence for pneumonia (Selvaraju et al. 2017, section 3).

    Each channel of the explained layer is weighted by the mean gradient of the logit with respect to it; the map is the
    positive part of the weighted sum. The logit is used since the gradient of a saturated sigmoid is 0 in float32. The
    members of a joint model are explained together, and maps of mirrored images are mirrored back. All is computed in
    float32.

    Limits: the map is as coarse as the layer and interpolated to the image. It shows where, not why, and only evidence
    for pneumonia, even for a healthy child. Averaging the gradient ignores that layers after Flatten weigh positions
    differently, so that one without influence may be highlighted (Draelos and Carin 2020). A plausible map does not
    prove that the network is right (Adebayo et al. 2018).

    Args:
        model: A Sequential or functional network, also a nested one, with one probability as output; not changed.
        images: float32 in [0, 1] of shape (n, height, width, 1).

    Returns:
        float32 in [0, 1] of shape (n, height, width). 1 is the maximum of the same image, so maps of two images are
        not comparable in strength; 0 is no evidence.

    Raises:
        InputError: No layer has maps of `MIN_CELLS` cells a side.
    """
    exposed, mirrored = _add_map_outputs(without_sigmoid(model))
    if not mirrored:
        raise InputError(
            f"Grad-CAM needs a layer with maps of at least {MIN_CELLS} x {MIN_CELLS} cells, and the network "
            f"{model.name!r} has none. Take fewer blocks (model.filters) or larger images (preparation)."
        )
    starts = range(0, len(images), BATCH_SIZE)
    maps = [_compute_batch_maps(exposed, mirrored, images[start : start + BATCH_SIZE]) for start in starts]
    return np.concatenate([np.empty((0, *images.shape[1:3]), np.float32), *maps])


def _compute_batch_maps(exposed: Model, mirrored: list[bool], images: Array) -> Array:
    """Compute the maps of one batch."""
    with tf.GradientTape() as tape:
        logit, *layers = exposed(tf.convert_to_tensor(images, tf.float32), training=False)
        # Images are independent: the gradient of the sum is that of each logit.
        total = tf.reduce_sum(logit)
    gradients = tape.gradient(total, layers)
    finest = max((tuple(layer.shape[1:3]) for layer in layers), key=min)
    evidence = []
    for layer, gradient, is_mirrored in zip(layers, gradients, mirrored, strict=True):
        weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        weighted = tf.image.resize(tf.reduce_sum(weights * layer, axis=-1, keepdims=True), finest)
        evidence.append(weighted[:, :, ::-1] if is_mirrored else weighted)
    maps = tf.image.resize(tf.nn.relu(tf.add_n(evidence)), images.shape[1:3])
    strongest = tf.reduce_max(maps, axis=(1, 2), keepdims=True)
    return tf.math.divide_no_nan(maps, strongest)[..., 0].numpy()


class _Trace(NamedTuple):
    """How a tensor was computed."""

    is_mirrored: bool
    maps: list[tuple[Any, bool]]  # the last maps of sufficient size in each branch, and whether they are mirrored


def _add_map_outputs(network: Model) -> tuple[Model, list[bool]]:
    """Add the last maps of sufficient size in each branch as outputs, and return whether each is mirrored.

    The layers are shared with `network`, and compute in float32 from then on.
    """
    traces: dict[int, _Trace] = {}  # by the id of a tensor

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        earlier = [traces[id(tensor)] for tensor in keras.tree.flatten(inputs) if id(tensor) in traces]
        is_mirrored = any(trace.is_mirrored for trace in earlier) != (type(layer).__name__ == "Flip")
        if isinstance(layer, keras.Model):
            exposed, mirrored = _add_map_outputs(layer)
            output, *maps = keras.tree.flatten(exposed(*inputs, **options))
            own_maps = list(zip(maps, (inner != is_mirrored for inner in mirrored), strict=True))
        else:
            if isinstance(layer, keras.Layer):
                layer.dtype_policy = "float32"
            output = layer(*inputs, **options)
            is_fine = len(output.shape) == 4 and min(output.shape[1:3]) >= MIN_CELLS
            own_maps = [(output, is_mirrored)] if is_fine else []
        inherited = {id(pair[0]): pair for trace in earlier for pair in trace.maps}
        traces[id(output)] = _Trace(is_mirrored, own_maps or list(inherited.values()))
        return output

    image = keras.Input(network.input_shape[1:])
    if isinstance(network, keras.Sequential):
        output = image
        for layer in network.layers:
            output = call(layer, output)
    else:
        copy = keras.models.clone_model(network, image, clone_function=lambda layer: layer, call_function=call)
        output = copy.outputs[0]
    maps = traces[id(output)].maps
    return keras.Model(image, [output, *(layer_map for layer_map, _ in maps)]), [is_mirrored for _, is_mirrored in maps]


class MapSanity(Options):
    """Number of test images, and the correlation above which maps count as unchanged."""

    num_images: Annotated[int, Field(ge=1)]
    least_maps: Annotated[int, Field(ge=1)]
    most_alike: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed


class ShuffledMaps(Result):
    """Maps after a step of shuffling: the layers shuffled in it, and how alike the maps are to the original ones.

    `num_maps` counts the images with a map before and after; `correlation` is the mean of their rank correlations (95%
    interval by bootstrap), None without any.
    """

    shuffled: list[str]
    num_maps: int
    correlation: Interval | None


class MapComparison(Result):
    """Whether maps depend on the weights: "depends" if `correlation` with all layers shuffled is below `most_alike`.

    "undecided" with fewer than `least_maps` maps.
    """

    num_images: int
    steps: list[ShuffledMaps]
    most_alike: float
    verdict: Literal["depends", "does_not_depend", "undecided"]


def compare_maps(
    model: Model, images: Array, explain: Callable[[Model, Array], Array], sanity: MapSanity
) -> MapComparison:
    """Compare the maps of a network with those after shuffling its weights layer by layer, from the output.

    `explain` computes maps of shape (n, height, width) from a network and `images`, as `grad_cam` does; a map of zeros
    counts as none. `model` is not changed.
    """
    trained = explain(model, images)
    steps: list[ShuffledMaps] = []
    for names, shuffled in shuffle_downwards(model, sanity.seed):
        values, mean = rank_correlations(trained, explain(shuffled, images)), None
        if len(values):
            weights = resample_weights(np.arange(len(values)), sanity.seed)
            mean = interval(values.mean(), weights @ values / len(values))
        steps.append(ShuffledMaps(shuffled=names, num_maps=len(values), correlation=mean))
    return MapComparison(
        num_images=len(images), steps=steps, most_alike=sanity.most_alike, verdict=_decide(steps[-1], sanity)
    )


def _decide(last: ShuffledMaps, sanity: MapSanity) -> Literal["depends", "does_not_depend", "undecided"]:
    if last.num_maps < sanity.least_maps or last.correlation is None or last.correlation.high is None:
        return "undecided"
    return "depends" if last.correlation.high < sanity.most_alike else "does_not_depend"


def shuffle_downwards(model: Model, seed: int) -> Iterator[tuple[list[str], Model]]:
    """Shuffle the weights of a copy of a network layer by layer, from output to input; joined networks in parallel.

    Weights are shuffled, not drawn anew, so that they keep their distribution, and activations their scale.

    Yields:
        The names of the layers shuffled in this step, and the copy, which the next step changes further.
    """
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    rng = np.random.default_rng(seed)
    for layers in _list_layers_downwards(copy):
        for layer in layers:
            layer.set_weights([rng.permutation(array.ravel()).reshape(array.shape) for array in layer.get_weights()])
        yield [layer.name for layer in layers], copy


def _list_layers_downwards(model: Model) -> list[list[Any]]:
    """Return the layers with weights, the last first; those at one level of joined networks together."""
    own = [[layer] for layer in reversed(model.layers) if layer.weights and not isinstance(layer, keras.Model)]
    joined = [_list_layers_downwards(layer) for layer in model.layers if isinstance(layer, keras.Model)]
    return own + [list(chain(*level)) for level in zip_longest(*joined, fillvalue=[])]


def rank_correlations(first: Array, second: Array) -> Array:
    """Compute Spearman's rank correlation of each pair of maps (n, height, width) that are not 0 everywhere.

    It is 1 for two constant maps, and 0 for a constant map and another.
    """
    from scipy.stats import rankdata

    has_both = first.any(axis=(1, 2)) & second.any(axis=(1, 2))
    shape = (int(has_both.sum()), int(np.prod(first.shape[1:])))
    ranks = [rankdata(maps[has_both].reshape(shape), axis=1) for maps in (first, second)]
    one, other = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    one_norm, other_norm = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    covariance, scale = (one * other).sum(axis=1), one_norm * other_norm
    correlation = np.divide(covariance, scale, out=np.zeros(len(scale)), where=scale > 0)
    return np.where((one_norm == 0) & (other_norm == 0), 1.0, correlation)


def colour_evidence(evidence: Array, size: tuple[int, int]) -> Array:
    """Colour evidence in [0, 1], brighter and more opaque where stronger.

    Returns:
        uint8 of shape (height, width, 4) for a `size` (width, height): red, green, blue and opacity.
    """
    from PIL import Image, ImageColor

    colours = np.array([ImageColor.getrgb(colour) for colour in HEAT], float)
    steps = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(evidence, steps, colours[:, channel]) for channel in range(3)]
    rgba = np.stack([*channels, 255 * np.clip(evidence, 0, 1)], axis=-1).round().astype(np.uint8)
    return np.asarray(Image.fromarray(rgba, "RGBA").resize(size, Image.Resampling.BICUBIC))


def overlay_evidence(picture: Array, evidence: Array) -> Array:
    """Overlay a grey picture, uint8 (height, width), with half-transparent evidence in [0, 1]: uint8, with opacity."""
    from PIL import Image

    heat = colour_evidence(evidence, (picture.shape[1], picture.shape[0]))
    heat = heat // (1, 1, 1, 2)  # half as opaque, as the page of `kedro demo` shows it at first
    return np.asarray(
        Image.alpha_composite(Image.fromarray(picture).convert("RGBA"), Image.fromarray(heat.astype(np.uint8)))
    )
