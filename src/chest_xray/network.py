"""The network: blocks of Conv2D and MaxPooling2D, then Flatten, Dense and one sigmoid."""

from typing import Annotated, Literal

from pydantic import Field

from chest_xray.options import InputError, Options
from chest_xray.types import Model

Precision = Literal["auto", "float32", "mixed_bfloat16"]


class Network(Options):
    """Shape of the network; see `build_network`."""

    filters: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=8)]
    kernel_size: Annotated[int, Field(ge=1, le=15)]
    activation: Literal["relu", "elu", "gelu", "silu", "leaky_relu", "tanh"]
    batch_normalization: bool
    dense_units: Annotated[int, Field(ge=1, le=4096)]
    dropout: Annotated[float, Field(ge=0, lt=1)]


def build_network(size: tuple[int, int], options: Network) -> Model:
    """Build the untrained network; its weights come from Keras' global seed.

    Batch normalisation, where asked for, stands behind the pooling, where it costs a quarter. Its momentum is 0.9: with
    Keras' 0.99 its averages have not settled after an epoch of 140 steps.

    Args:
        size: Height and width of the images, in pixels.
        options: Number and width of the blocks, kernel size, activation, dense units and dropout.

    Returns:
        A Keras model from float32 images in [0, 1] of shape (batch, height, width, 1) to the probability of pneumonia,
        float32 of shape (batch, 1).

    Raises:
        InputError: The blocks halve the image more often than its size allows.
    """
    import keras
    from keras import layers

    num_blocks = len(options.filters)
    if min(size) < 2**num_blocks:
        raise InputError(
            f"received {num_blocks} blocks in model.filters for images of {size[1]} x {size[0]} pixels; each block "
            f"halves the image, so expected at least {2**num_blocks} pixels a side. Take fewer blocks or larger images."
        )
    stack: list[keras.Layer] = [layers.Input((*size, 1))]
    for filters in options.filters:
        stack.append(layers.Conv2D(filters, options.kernel_size, padding="same", activation=options.activation))
        stack.append(layers.MaxPooling2D())
        if options.batch_normalization:
            stack.append(layers.BatchNormalization(momentum=0.9))
    stack += [layers.Flatten(), layers.Dense(options.dense_units, activation=options.activation)]
    stack += [layers.Dropout(options.dropout), layers.Dense(1, activation="sigmoid")]
    return keras.Sequential(stack)


def with_precision(network: Model, precision: Precision) -> Model:
    """Copy a network, computing in another precision; its weights stay float32, and so does the probability.

    Args:
        network: Any model of `build_network`; not changed.
        precision: "float32", "mixed_bfloat16", or "auto" for the latter where the processor has instructions for it.

    Returns:
        An uncompiled model of the same layers and weights.
    """
    import keras

    policy = choose_precision() if precision == "auto" else precision

    def convert(layer: keras.Layer) -> keras.Layer:
        is_output = layer is network.layers[-1]
        return type(layer).from_config({**layer.get_config(), "dtype": "float32" if is_output else policy})

    # Not keras.models.clone_model: it copies the optimiser too, which would treble the file of a trained network.
    copy = keras.Sequential([keras.Input(network.input_shape[1:]), *map(convert, network.layers)])
    copy.set_weights(network.get_weights())
    return copy


def without_sigmoid(network: Model) -> Model:
    """Copy a network, leaving out its last step: what comes out are logits, which do not run into 0 and 1.

    Args:
        network: Ends in a Dense layer with a sigmoid; not changed.

    Returns:
        A model of the same weights from the same images to float32 logits of shape (batch, 1).
    """
    import keras

    def convert(layer: keras.Layer) -> keras.Layer:
        linear = {"activation": "linear"} if layer is network.layers[-1] else {}
        return type(layer).from_config({**layer.get_config(), **linear})

    copy = keras.models.clone_model(network, clone_function=convert)
    copy.set_weights(network.get_weights())
    return copy


def choose_precision() -> Precision:
    """Name the faster precision on this processor: bfloat16 where it has AVX512-BF16 or AMX-BF16, else float32."""
    from pathlib import Path

    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8").split() if info.is_file() else []
    return "mixed_bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"
