"""Small real networks for compiler tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.ir.network import Network
from snnc.ir.nodes import Bias, Input, Linear, Output
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv, Dense


def neuron(name: str, source: str, shape: tuple[int, ...], **changes: Any) -> RealNeuron:
    """An integrate-and-fire population with threshold 1, changed as asked."""
    values: dict[str, Any] = {
        "decay": np.array(1.0), "gain": np.array(1.0), "offset": np.array(0.0),
        "threshold": np.array(1.0), "comparator": ">=", **changes,
    }  # fmt: skip
    for key in ("decay", "gain", "offset", "threshold", "reset_value", "current_decay",
                "current_gain"):  # fmt: skip
        if values.get(key) is not None:
            values[key] = np.asarray(values[key], float)
    return RealNeuron(name, (source,), shape, **values)


def dense_net(weights: Any, bias: Any = None, kind: ValueType = BIN, **changes: Any) -> Network:
    """input -> dense -> (bias) -> population "n" -> output."""
    matrix = np.asarray(weights, float)
    nodes: list[Any] = [
        Input("in", (matrix.shape[1],), kind),
        Linear("w", ("in",), Dense(matrix)),
    ]
    if bias is not None:
        nodes.append(Bias("b", ("w",), np.asarray(bias, float)))
    nodes.append(neuron("n", nodes[-1].name, (matrix.shape[0],), **changes))
    nodes.append(Output("out", ("n",)))
    return Network("dense", tuple(nodes))


def conv_net(kernel: Any, extent: tuple[int, int], **changes: Any) -> Network:
    """input -> 3x3 convolution with padding 1 -> population "n" -> output."""
    values = np.asarray(kernel, float)
    shape = (values.shape[0], *extent)
    weights = Conv(values, (1, 1), ((1, 1), (1, 1)), (1, 1))
    return Network(
        "conv",
        (
            Input("in", (values.shape[1], *extent), BIN),
            Linear("w", ("in",), weights),
            neuron("n", "w", shape, **changes),
            Output("out", ("n",)),
        ),
    )


def spikes(shape: tuple[int, ...], rate: float = 0.4, seed: int = 0, most: int = 1) -> Any:
    """Random integer input [samples, steps, *shape]."""
    generator = np.random.default_rng(seed)
    return generator.integers(1, most + 1, shape) * (generator.random(shape) < rate)
