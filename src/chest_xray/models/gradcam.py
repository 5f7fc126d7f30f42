"""Where in a radiograph the evidence for pneumonia lies that a network has found: Grad-CAM.

The layer explained is the last one whose maps are at least `LEAST_CELLS` cells a side. Later layers stand nearer to the
decision, but say less and less of where: of a picture of 96 pixels the fifth pooling leaves 3 x 3 cells of 32 pixels,
each as large as half a lung, while the last Conv2D before it still has 6 x 6.
"""

from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from chest_xray.core.options import InputError, Options, Seed
from chest_xray.core.types import Array, Model, Tensor
from chest_xray.metrics.bootstrap import interval, resample_weights
from chest_xray.models.inference import BATCH_SIZE
from chest_xray.models.network import without_sigmoid

LEAST_CELLS = 5  # of the shorter side of the layer explained


def grad_cam(model: Model, images: Array) -> Array:
    """Compute which parts of each image speak for pneumonia (Selvaraju et al. 2017, section 3).

    Each channel of the explained layer is weighted by the mean gradient of the logit of pneumonia with respect to it;
    the weighted sum, where it is positive, is the map. The logit, not the probability: the sigmoid's slope is 0 in
    float32 where the network is sure. A joint model's members are explained together, as one network that has the
    channels of all of them; what one saw in the mirror image is mirrored back. Everything is computed in float32,
    whatever the precision of the model.

    Limits: the map is as coarse as the layer and is smoothed to the size of the image. It shows where, not why, and
    only what speaks for pneumonia: that of a healthy child shows what came nearest to it. Averaging the gradient
    forgets that layers behind Flatten weigh each place differently, so that the map may show a place that did not count
    (Draelos and Carin 2020). It explains the network and not the disease, and a map that looks right is no proof that
    the network is (Adebayo et al. 2018).

    Args:
        model: Any Sequential or functional network, nested ones included, from such images to one probability; not
            changed.
        images: float32 in [0, 1] of shape (n, height, width, 1).

    Returns:
        float32 in [0, 1] of shape (n, height, width): 1 is the strongest place of the same image, so that maps of two
        images do not compare in strength. 0 means that nothing there speaks for pneumonia; a map of zeros alone, that
        nothing in the whole image does, as far as this layer tells.

    Raises:
        InputError: No layer has maps of `LEAST_CELLS` cells a side.
    """
    import numpy as np

    exposed, mirrored = _expose(without_sigmoid(model))
    if not mirrored:
        raise InputError(
            f"Grad-CAM needs a layer with maps of at least {LEAST_CELLS} x {LEAST_CELLS} cells, and the network "
            f"{model.name!r} has none. Take fewer blocks (model.filters) or larger images (preparation)."
        )
    starts = range(0, len(images), BATCH_SIZE)
    maps = [_explain(exposed, mirrored, images[start : start + BATCH_SIZE]) for start in starts]
    return np.concatenate([np.empty((0, *images.shape[1:3]), np.float32), *maps])


def _explain(exposed: Model, mirrored: list[bool], images: Array) -> Array:
    """Return the maps of one batch; those of layers that saw it mirrored are mirrored back."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        logit, *layers = exposed(tf.convert_to_tensor(images, tf.float32), training=False)
        # Images are independent: the gradient of the sum is that of each image's own logit.
        total = tf.reduce_sum(logit)
    gradients = tape.gradient(total, layers)
    finest = max((tuple(layer.shape[1:3]) for layer in layers), key=min)
    evidence = [tf.image.resize(_weigh(*pair), finest) for pair in zip(layers, gradients, strict=True)]
    evidence = [each[:, :, ::-1] if back else each for each, back in zip(evidence, mirrored, strict=True)]
    maps = tf.image.resize(tf.nn.relu(tf.add_n(evidence)), images.shape[1:3])
    strongest = tf.reduce_max(maps, axis=(1, 2), keepdims=True)
    return tf.math.divide_no_nan(maps, strongest)[..., 0].numpy()


def _weigh(layer: Tensor, gradient: Tensor) -> Tensor:
    """Sum the channels by their mean gradients: from (n, rows, columns, channels) to (n, rows, columns, 1)."""
    import tensorflow as tf

    weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    return tf.reduce_sum(weights * layer, axis=-1, keepdims=True)


class _Trace(NamedTuple):
    """What lies on the way to a tensor."""

    is_mirrored: bool  # whether the tensor shows the picture mirrored
    maps: list[tuple[Any, bool]]  # the last fine maps before it, one for each branch, and whether they are mirrored


def _expose(network: Model) -> tuple[Model, list[bool]]:
    """Return a network further outputs: the last maps that are fine enough, one for each branch that ends in such maps.

    The layers are shared with the network given, and compute in float32 from then on.

    Returns:
        The network, and for each further output whether its maps are mirrored.
    """
    import keras

    traces: dict[int, _Trace] = {}  # By the id of a tensor.

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        before = [traces[id(given)] for given in keras.tree.flatten(inputs) if id(given) in traces]
        is_mirrored = any(trace.is_mirrored for trace in before) != (type(layer).__name__ == "Flip")
        if isinstance(layer, keras.Model):
            exposed, turned = _expose(layer)
            output, *maps = keras.tree.flatten(exposed(*inputs, **options))
            found = [(each, back != is_mirrored) for each, back in zip(maps, turned, strict=True)]
        else:
            if isinstance(layer, keras.Layer):
                layer.dtype_policy = "float32"
            output = layer(*inputs, **options)
            is_fine = len(output.shape) == 4 and min(output.shape[1:3]) >= LEAST_CELLS
            found = [(output, is_mirrored)] if is_fine else []
        inherited = {id(each[0]): each for trace in before for each in trace.maps}
        traces[id(output)] = _Trace(is_mirrored, found or list(inherited.values()))
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
    return keras.Model(image, [output, *(each for each, _ in maps)]), [is_mirrored for _, is_mirrored in maps]


class MapSanity(Options):
    """On how many test images the maps are tested, and how alike they may stay."""

    num_images: Annotated[int, Field(ge=1)]
    least_maps: Annotated[int, Field(ge=1)]
    most_alike: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed


def compare_maps(
    model: Model, images: Array, explain: Callable[[Model, Array], Array], sanity: MapSanity
) -> dict[str, Any]:
    """Compare the maps of a network with those after its weights were shuffled, layer after layer, from the top down.

    Args:
        model: The trained network; not changed.
        images: float32 in [0, 1] of shape (n, height, width, 1).
        explain: From a network and images to maps of shape (n, height, width); 0 alone means no map.
        sanity: Seed of the shuffling, and the rule of the verdict.

    Returns:
        `num_images`; `steps`, for each step of the cascade `shuffled` (the layers shuffled last; all before stay so),
        `num_maps` (images with a map before and after) and `correlation`, the mean over them of Spearman's rank
        correlation in [-1, 1] with its 95% interval (bootstrap), None without such images; `most_alike`; and `verdict`:
        "depends" if with all layers shuffled the interval lies below `most_alike`, "does_not_depend" if not,
        "undecided" if fewer than `least_maps` images have maps then.
    """
    trained = explain(model, images)
    steps: list[dict[str, Any]] = []
    for names, shuffled in shuffle_downwards(model, sanity.seed):
        alike = rank_correlations(trained, explain(shuffled, images))
        steps.append({"shuffled": names, "num_maps": len(alike), "correlation": _mean(alike, sanity.seed)})
    last = steps[-1]
    depends = last["num_maps"] > 0 and last["correlation"]["high"] < sanity.most_alike
    verdict = "depends" if depends else "does_not_depend"
    return {
        **{"num_images": len(images), "steps": steps, "most_alike": sanity.most_alike},
        "verdict": verdict if last["num_maps"] >= sanity.least_maps else "undecided",
    }


def _mean(values: Array, seed: int) -> dict[str, float] | None:
    import numpy as np

    if not len(values):
        return None
    weights = resample_weights(np.arange(len(values)), seed)
    return interval(values.mean(), weights @ values / len(values)).model_dump()


def shuffle_downwards(model: Model, seed: int) -> Iterator[tuple[list[str], Model]]:
    """Spoil a copy of a network step by step, from the output to the input.

    Shuffled, not drawn anew: the weights of a layer keep their distribution, and what runs through it its scale.

    Args:
        model: Of Keras; not changed. Networks that it joins are spoilt side by side.
        seed: Of the shuffling.

    Yields:
        The names of the layers shuffled in this step, and the copy, which the next step changes further.
    """
    import keras
    import numpy as np

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    rng = np.random.default_rng(seed)
    for layers in _from_the_top(copy):
        for layer in layers:
            layer.set_weights([rng.permutation(each.ravel()).reshape(each.shape) for each in layer.get_weights()])
        yield [layer.name for layer in layers], copy


def _from_the_top(model: Model) -> list[list[Any]]:
    """The layers with weights, the last first; those at one height of joined networks stand together."""
    import keras

    own = [[layer] for layer in reversed(model.layers) if layer.weights and not isinstance(layer, keras.Model)]
    joined = [_from_the_top(layer) for layer in model.layers if isinstance(layer, keras.Model)]
    return own + [list(chain(*level)) for level in zip_longest(*joined, fillvalue=[])]


def rank_correlations(first: Array, second: Array) -> Array:
    """Return Spearman's rank correlation of each pair of maps that are not 0 everywhere.

    Args:
        first: Maps of shape (n, height, width).
        second: Maps of the same images.

    Returns:
        In [-1, 1], shape (pairs,). Two even maps are alike (1); an even and an uneven one are not (0).
    """
    import numpy as np
    from scipy.stats import rankdata

    both = first.any(axis=(1, 2)) & second.any(axis=(1, 2))
    shape = (int(both.sum()), int(np.prod(first.shape[1:])))
    ranks = [rankdata(maps[both].reshape(shape), axis=1) for maps in (first, second)]
    centred = [each - each.mean(axis=1, keepdims=True) for each in ranks]
    norms = [np.linalg.norm(each, axis=1) for each in centred]
    together, product = (centred[0] * centred[1]).sum(axis=1), norms[0] * norms[1]
    correlation = np.divide(together, product, out=np.zeros(len(product)), where=product > 0)
    return np.where((norms[0] == 0) & (norms[1] == 0), 1.0, correlation)
