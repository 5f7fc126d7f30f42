"""The network: blocks of Conv2D and MaxPooling2D, then Flatten, Dense and one sigmoid; or another, by a parameter."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from chest_xray.core.options import InputError, Options
from chest_xray.core.types import Model

Precision = Literal["auto", "float32", "mixed_bfloat16"]
Backbone = Literal["MobileNetV3Small", "EfficientNetV2B0", "ConvNeXtTiny"]


class Network(Options):
    """Shape of the network; see `build_network`."""

    architecture: Literal["plain", "residual"] | Backbone
    filters: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=8)]
    kernel_size: Annotated[int, Field(ge=1, le=15)]
    activation: Literal["relu", "elu", "gelu", "silu", "leaky_relu", "tanh"]
    batch_normalization: bool
    last_pooling: Literal["block", "map"]
    dense_units: Annotated[int, Field(ge=0, le=4096)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    pretrained: bool


def build_network(size: tuple[int, int], options: Network) -> Model:
    """Build the untrained network; its weights come from Keras' global seed.

    Args:
        size: Height and width of the images, in pixels.
        options: `architecture`:
            "plain": blocks of Conv2D and MaxPooling2D, one for each number in `filters`. With `last_pooling` "map" the
            last MaxPooling2D spans all that is left of the picture, so that what is behind it is told how strongly a
            pattern occurs, and not where; with "block" it halves, as the others do;
            "residual": Conv2D and MaxPooling2D, then as many blocks of two Conv2D with batch normalisation and a
            shortcut (He et al. 2016), each but the first halving the picture, and the mean over the map;
            or the name of a network of `keras.applications`, headless, and the mean over its map; `filters`,
            `kernel_size`, `activation` of its blocks and `batch_normalization` are then its own. With `pretrained`
            Keras fetches ImageNet's weights, once.
            All end in Dense (none with `dense_units` 0), Dropout and a Dense with a sigmoid.

    Returns:
        A Keras model from float32 images in [0, 1] of shape (batch, height, width, 1) to the probability of pneumonia,
        float32 of shape (batch, 1).

    Raises:
        InputError: The blocks halve the image more often than its size allows, or weights that can not be had.
    """
    import keras
    from keras import layers

    image = keras.Input((*size, 1))
    if options.architecture == "plain":
        features = _plain(image, options)
    elif options.architecture == "residual":
        features = _residual(image, options)
    else:
        features = _backbone(image, options)
    if options.dense_units:
        features = layers.Dense(options.dense_units, activation=options.activation)(features)
    features = layers.Dropout(options.dropout)(features)
    return keras.Model(image, layers.Dense(1, activation="sigmoid")(features))


def _plain(image: Any, options: Network) -> Any:
    """Add batch normalisation, where asked for, after the pooling, where it costs a quarter.

    Its momentum is 0.9: with Keras' 0.99 its averages have not settled after an epoch of 140 steps.
    """
    from keras import layers

    _require_size(image.shape[1:3], options)
    maps = image
    for number, filters in enumerate(options.filters, start=1):
        maps = layers.Conv2D(filters, options.kernel_size, padding="same", activation=options.activation)(maps)
        is_whole = number == len(options.filters) and options.last_pooling == "map"
        maps = layers.MaxPooling2D(tuple(maps.shape[1:3]) if is_whole else 2)(maps)
        if options.batch_normalization:
            maps = layers.BatchNormalization(momentum=0.9)(maps)
    return layers.Flatten()(maps)


def _residual(image: Any, options: Network) -> Any:
    from keras import layers

    _require_size(image.shape[1:3], options)

    def convolve(maps: Any, filters: int, size: int, activation: str | None, stride: int = 1) -> Any:
        maps = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(maps)
        maps = layers.BatchNormalization(momentum=0.9)(maps)
        return layers.Activation(activation)(maps) if activation else maps

    maps = layers.MaxPooling2D()(convolve(image, options.filters[0], options.kernel_size, options.activation))
    for number, filters in enumerate(options.filters):
        halved = layers.AveragePooling2D(2, padding="same")(maps) if number else maps
        shortcut = convolve(halved, filters, 1, None) if number else maps
        inner = convolve(maps, filters, options.kernel_size, options.activation, stride=2 if number else 1)
        inner = convolve(inner, filters, options.kernel_size, None)
        maps = layers.Activation(options.activation)(layers.Add()([inner, shortcut]))
    return layers.GlobalAveragePooling2D()(maps)


def _backbone(image: Any, options: Network) -> Any:
    """Build a network of keras.applications as it is: it wants three channels, from 0 to 255 before its own scaling."""
    import keras
    from keras import layers

    colours = layers.Concatenate()([layers.Rescaling(255.0)(image)] * 3)
    build = getattr(keras.applications, options.architecture)
    try:
        maps = build(include_top=False, weights="imagenet" if options.pretrained else None, input_tensor=colours)
    except Exception as error:  # Keras wraps what urllib raises in a bare Exception.
        if not options.pretrained:
            raise
        raise InputError(
            f"the weights of {options.architecture} could not be fetched: {error}. Expected internet, or the file in "
            "~/.keras/models. Without them: model.pretrained=false."
        ) from error
    return layers.GlobalAveragePooling2D()(maps.output)


def _require_size(size: tuple[int, int], options: Network) -> None:
    num_blocks = len(options.filters)
    if min(size) < 2**num_blocks:
        raise InputError(
            f"received {num_blocks} blocks in model.filters for images of {size[1]} x {size[0]} pixels; each block "
            f"halves the image, so expected at least {2**num_blocks} pixels a side. Take fewer blocks or larger images."
        )


def with_precision(network: Model, precision: Precision) -> Model:
    """Copy a network, computing in another precision; its weights stay float32, and so does the probability.

    Args:
        network: Any model of `build_network`; not changed.
        precision: "float32", "mixed_bfloat16", or "auto" for the latter where the processor has instructions for it.

    Returns:
        An uncompiled model of the same layers and weights.
    """
    policy = choose_precision() if precision == "auto" else precision

    def change(layer: Any) -> dict[str, Any]:
        return {"dtype": "float32" if layer is network.layers[-1] else policy}

    return _copy(network, change)


def without_sigmoid(network: Model) -> Model:
    """Copy a network, leaving out its last step: what comes out are logits, which do not run into 0 and 1.

    Args:
        network: Ends in a layer with a sigmoid; not changed.

    Returns:
        A model of the same weights from the same images to float32 logits of shape (batch, 1).
    """
    return _copy(network, lambda layer: {"activation": "linear"} if layer is network.layers[-1] else {})


def _copy(network: Model, change: Callable[[Any], dict[str, Any]]) -> Model:
    """Rebuild every layer with changes to its settings; the weights are the same, and the copy is not compiled."""
    import keras

    # Keras copies the optimiser of a compiled model too, which would treble the file of a trained network.
    plain = keras.Model(network.inputs[0], network.outputs[0])

    def convert(layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):  # a bare sum or product of keras.applications
            return layer
        return type(layer).from_config({**layer.get_config(), **change(layer)})

    copy = keras.models.clone_model(plain, clone_function=convert)
    copy.set_weights(network.get_weights())
    return copy


def join_networks(networks: Sequence[Model], *, flip_tta: bool = False) -> Model:
    """Join several networks, or add flip test-time augmentation to one, by the mean of the logits.

    Args:
        networks: Networks of the same input; not changed.
        flip_tta: Whether each is asked for the mirror image too.

    Returns:
        One Keras model from the same images, float32 in [0, 1] of shape (batch, height, width, 1), to the sigmoid of
        the mean logit, float32 of shape (batch, 1).
    """
    import keras

    image = keras.Input(networks[0].input_shape[1:])
    views = [image, keras.ops.flip(image, axis=2)] if flip_tta else [image]
    logits = []
    for number, network in enumerate(networks, start=1):
        member = without_sigmoid(network)
        member.name = f"member_{number}"  # Keras wants them apart.
        logits += [member(view) for view in views]
    mean = keras.layers.Average()(logits) if len(logits) > 1 else logits[0]
    return keras.Model(image, keras.layers.Activation("sigmoid")(mean))


def choose_precision() -> Precision:
    """Name the faster precision on this processor: bfloat16 where it has AVX512-BF16 or AMX-BF16, else float32."""
    from pathlib import Path

    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8").split() if info.is_file() else []
    return "mixed_bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"
