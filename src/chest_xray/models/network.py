"""The networks: Conv2D and MaxPooling2D blocks, residual blocks, or a backbone of keras.applications."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from chest_xray.core.libraries import keras, np
from chest_xray.core.types import InputError, Model, Options, Tensor
from chest_xray.metrics.calibration_error import MIN_PROBABILITY

ScoringPrecision = Literal["float32", "mixed_bfloat16"]
Precision = Literal["auto"] | ScoringPrecision
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
    """Build the untrained network, with weights from Keras' global seed.

    Args:
        size: Height and width of the images, in pixels.
        options: `architecture`:
            "plain": blocks of Conv2D and MaxPooling2D, one for each number in `filters`. The last MaxPooling2D spans
            the whole map with `last_pooling` "map", and halves it with "block";
            "residual": Conv2D and MaxPooling2D, then blocks of two Conv2D with batch normalization and a shortcut (He
            et al. 2016), each but the first halving the image, and the mean over the map;
            or the name of a network of `keras.applications`, without its head, and the mean over its map; it has its
            own blocks. With `pretrained`, Keras fetches its ImageNet weights once.
            All end in Dense (none with `dense_units` 0), Dropout and Dense with a sigmoid.

    Returns:
        A Keras model from float32 images in [0, 1] of shape (batch, height, width, 1) to the probability of pneumonia,
        float32 of shape (batch, 1).

    Raises:
        InputError: The image is too small for so many blocks, or the weights cannot be fetched.
    """
    from keras import layers

    image = keras.Input((*size, 1))
    build = {"plain": _build_plain, "residual": _build_residual}.get(options.architecture, _build_backbone)
    features = build(image, options)
    if options.dense_units:
        features = layers.Dense(options.dense_units, activation=options.activation)(features)
    features = layers.Dropout(options.dropout)(features)
    return keras.Model(image, layers.Dense(1, activation="sigmoid")(features))


def _build_plain(image: Any, options: Network) -> Any:
    """Batch normalization follows the pooling, where it costs a quarter.

    With Keras' momentum of 0.99 its averages have not converged after an epoch of 140 steps.
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


def _build_residual(image: Any, options: Network) -> Any:
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


def _build_backbone(image: Any, options: Network) -> Any:
    """A network of keras.applications reads three channels in [0, 255], which it scales itself."""
    from keras import layers

    colours = layers.Concatenate()([layers.Rescaling(255.0)(image)] * 3)
    build, weights = getattr(keras.applications, options.architecture), "imagenet" if options.pretrained else None
    try:
        maps = build(include_top=False, weights=weights, input_tensor=colours)
    except Exception as error:  # Keras wraps errors of urllib in a bare Exception.
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
    """Return an uncompiled copy that computes in another precision; weights and probability remain float32.

    "auto" is bfloat16 where the processor has instructions for it.
    """
    policy = choose_precision() if precision == "auto" else precision
    return _copy(network, lambda layer: {"dtype": "float32" if layer is network.layers[-1] else policy})


def is_float32(network: Model) -> bool:
    """Check whether every layer, also of networks inside, computes in float32."""
    return all(
        is_float32(layer) if hasattr(layer, "layers") else layer.compute_dtype == "float32" for layer in network.layers
    )


def without_sigmoid(network: Model) -> Model:
    """Return a copy without the sigmoid of the last layer: its outputs are float32 logits of shape (batch, 1)."""
    return _copy(network, lambda layer: {"activation": "linear"} if layer is network.layers[-1] else {})


def _copy(network: Model, change: Callable[[Any], dict[str, Any]]) -> Model:
    """Return an uncompiled copy with the same weights and changed settings of layers."""
    # Keras would copy the optimizer of a compiled model too, which triples the file.
    plain = keras.Model(network.inputs[0], network.outputs[0])

    def convert(layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):  # a bare sum or product of keras.applications
            return layer
        return type(layer).from_config({**layer.get_config(), **change(layer)})

    copy = keras.models.clone_model(plain, clone_function=convert)
    copy.set_weights(network.get_weights())
    return copy


def join_networks(networks: Sequence[Model], *, flip_tta: bool = False) -> Model:
    """Return one Keras model with the sigmoid of the mean logit of copies of networks of the same input.

    With `flip_tta` (flip test-time augmentation) the mean is over each image and its mirror image.
    """
    image = keras.Input(networks[0].input_shape[1:])
    views = [image, keras.ops.flip(image, axis=2)] if flip_tta else [image]
    logits = []
    for number, network in enumerate(networks, start=1):
        member = without_sigmoid(network)
        member.name = f"member_{number}"  # Keras needs different names.
        logits += [member(view) for view in views]
    mean = keras.layers.Average()(logits) if len(logits) > 1 else logits[0]
    return keras.Model(image, keras.layers.Activation("sigmoid")(mean))


def separate_passes(network: Model) -> tuple[Model, bool] | None:
    """Separate flip test-time augmentation from a network that has it, and add it to one without.

    Returns:
        A model with two outputs, the logit of each image, and the mean logit of it and its mirror image, both float32
        of shape (batch, 1); and whether the second is that of the network. None for a mean of several networks.
    """
    members = [layer for layer in network.layers if layer.name.startswith("member_")]
    if len(members) > 1:
        return None
    member = members[0] if members else without_sigmoid(network)
    image = keras.Input(network.input_shape[1:])
    single = member(image)
    both = keras.layers.Average()([single, member(keras.ops.flip(image, axis=2))])
    has_flips = any(type(operation).__name__ == "Flip" for operation in getattr(network, "operations", network.layers))
    return keras.Model(image, [single, both]), has_flips


def choose_precision() -> Precision:
    """Return the faster precision on this processor: bfloat16 with AVX512-BF16 or AMX-BF16, else float32."""
    from pathlib import Path

    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8").split() if info.is_file() else []
    return "mixed_bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"


def add_decision_outputs(model: Model, thresholds: dict[str, float]) -> Model:
    """Return the network with one more output per threshold (a logit), above 1/2 where the decision is PNEUMONIA.

    Logits are compared, as near 1 many probabilities are equal in float32.
    """

    def activate(name: str, logits: Any) -> Any:
        return keras.layers.Activation("sigmoid", name=name)(logits)

    network = without_sigmoid(model)
    logits = network.outputs[0]
    outputs = {"probability": activate("probability", logits)}
    outputs |= {name: activate(name, logits - _compute_boundary(threshold)) for name, threshold in thresholds.items()}
    extended = keras.Model(network.inputs, outputs)
    extended.compile(
        loss={"probability": _loss},
        metrics={
            name: [
                keras.metrics.BinaryAccuracy("accuracy"),
                keras.metrics.Precision(name="precision"),
                keras.metrics.Recall(name="recall"),
            ]
            for name in thresholds
        },
    )
    return extended


def _compute_boundary(threshold: float) -> float:
    """Return a logit two float32 steps below the threshold: Keras' metrics count outputs above one half.

    Two, as `evaluate` and `predict` differ in the last bit.
    """
    return float(threshold - 2 * np.spacing(np.float32(max(abs(threshold), 1))))


def _loss(labels: Tensor, probabilities: Tensor) -> Tensor:
    """Binary cross-entropy of the probability; unclipped, Keras would use the logit behind it."""
    return keras.losses.binary_crossentropy(labels, keras.ops.clip(probabilities, MIN_PROBABILITY, 1 - MIN_PROBABILITY))
