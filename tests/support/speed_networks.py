"""Networks of realistic shape and activity for benchmarks; random weights, no training."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.paths import shared_data

from snnc.backends.targets import load
from snnc.compiler.frontends import nir
from snnc.compiler.frontends.nir import NirOptions
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.inputs.recordings import bin_events, read_recordings
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Index, Input, Linear, Output, Pool
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense, Sparse

RANGE = StateRange(-(2**23), 2**23 - 1)


def event_cnn(samples: int = 8, steps: int = 300) -> tuple[IntegerNetwork, Any]:
    """2x34x34 events through three convolutions and two dense layers, as cnn_sinabs."""
    rng = np.random.default_rng(0)

    def convolution(name: str, source: str, shape: tuple[int, ...], s: int, p: int) -> Linear:
        values = rng.integers(-60, 80, shape)
        return Linear(name, (source,), Conv(values, (s, s), ((p, p),) * 2, (1, 1)))

    def fire(name: str, source: str, shape: tuple[int, ...], threshold: int) -> Neuron:
        theta = np.array([threshold])
        return Neuron(name, (source,), shape, theta, Reset("subtract", theta[0]), state_range=RANGE)

    def pool(name: str, source: str) -> Pool:
        return Pool(name, (source,), "sum", (2, 2), (2, 2), ((0, 0),) * 2)

    def dense(name: str, source: str, out: int, size: int) -> Linear:
        return Linear(name, (source,), Dense(rng.integers(-60, 80, (out, size))))

    nodes = (
        Input("x", (2, 34, 34), BIN),
        convolution("conv1", "x", (16, 2, 5, 5), 2, 1), fire("n1", "conv1", (16, 16, 16), 400),
        convolution("conv2", "n1", (16, 16, 3, 3), 1, 1), fire("n2", "conv2", (16, 16, 16), 1200),
        pool("pool2", "n2"),
        convolution("conv3", "pool2", (8, 16, 3, 3), 1, 1), fire("n3", "conv3", (8, 8, 8), 2500),
        pool("pool3", "n3"), Index("flat", ("pool3",), (128,)),
        dense("dense4", "flat", 256, 128), fire("n4", "dense4", (256,), 2500),
        dense("dense5", "n4", 10, 256), fire("n5", "dense5", (10,), 2500),
        Output("out", ("n5",)),
    )  # fmt: skip
    x = (rng.random((samples, steps, 2, 34, 34)) < 0.02).astype(np.uint8)
    return IntegerNetwork("event-cnn", nodes), x


def layered_lif(
    neurons: int, samples: int, layers: int = 10, fan_out: int = 100, steps: int = 100
) -> tuple[IntegerNetwork, Any]:
    """Leaky neurons in layers, each reaching ``fan_out`` of the next; about 5 % activity."""
    rng = np.random.default_rng(1)
    size = neurons // layers
    nodes: list[Any] = [Input("x", (size,), BIN)]
    source = "x"
    for layer in range(layers):
        weights = random_sparse(rng, size, fan_out)
        nodes.append(Linear(f"w{layer}", (source,), weights))
        source = f"n{layer}"
        # Uniform initial membranes and a bias keep the neurons from firing in unison.
        nodes.append(
            Neuron(
                source, (f"w{layer}",), (size,), np.array([4096]), Reset("value"),
                leak=Leak(np.array(3995), 12), bias=(GatedBias(rng.integers(150, 400, size)),),
                initial=rng.integers(0, 4096, size), state_range=RANGE,
            )
        )  # fmt: skip
    nodes.append(Output("out", (source,)))
    x = (rng.random((samples, steps, size)) < 0.05).astype(np.uint8)
    return IntegerNetwork(f"layered-lif-{neurons}", tuple(nodes)), x


def random_sparse(rng: np.random.Generator, size: int, fan_out: int) -> Sparse:
    """Rows by target with ``fan_out`` random sources each (so ``fan_out`` on average back)."""
    column = np.stack([rng.choice(size, fan_out, replace=False) for _ in range(size)])
    column.sort(axis=1)
    values = rng.integers(-100, 101, column.size)
    pointers = np.arange(size + 1) * fan_out
    return Sparse(pointers, column.reshape(-1), values, size, (size,))


def nmnist_cnn(samples: int = 20, steps: int = 310) -> tuple[IntegerNetwork, Any] | None:
    """The published N-MNIST network in int8 with real recordings; None without the data."""
    data = shared_data()
    if data is None or not (data / "nir" / "cnn_sinabs.nir").exists():
        return None
    options = NirOptions(dialect="sinabs", reset="zero")
    network = nir.read(data / "nir" / "cnn_sinabs.nir", options)
    recordings = read_recordings(data / "nmnist" / "nmnist_test100_bs2.zip", None, samples)
    (node,) = network.of_type(Input)
    x = np.stack([bin_events(r, node.shape, steps, 1000) for r in recordings.recordings])
    quantized = quantize(
        network, load("loihi1"), QuantizeOptions(timesteps=steps), {node.name: x.astype(float)}
    )
    return quantized.network, x
