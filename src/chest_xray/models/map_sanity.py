"""Whether the maps depend on what the network has learnt: the randomisation test of Adebayo et al. 2018, section 3.1.

Where a map stays as it is when the weights are spoilt, it shows the picture and not the network.
"""

from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.options import Options, Seed
from chest_xray.core.types import Array, Model
from chest_xray.metrics.bootstrap import interval, resample_weights


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
    return interval(values.mean(), weights @ values / len(values))


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
    """Give Spearman's rank correlation of each pair of maps that are not 0 everywhere.

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
