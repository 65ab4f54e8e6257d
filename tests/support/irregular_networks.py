"""Networks without a regular tiling, and their traffic as hypergraphs."""

from __future__ import annotations

from typing import Any

import numpy as np
from support import nets

from snnc.compiler.hypergraph import Hypergraph
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import SourceSpace
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Sparse

# Connection probabilities between (L2/3e, L2/3i, L4e, L4i, L5e, L5i, L6e, L6i), rows = targets,
# and neurons of the full model: Potjans & Diesmann, Cerebral Cortex 24(3), 2014, tables 4 and 5.
CORTEX_SIZES = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
CORTEX = np.array([
    [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
    [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
    [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0],
    [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
    [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
    [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0],
    [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
    [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
])  # fmt: skip


def hypergraph(source: IntArray, target: IntArray, vertices: int) -> Hypergraph:
    """One net of weight 1 per sender: itself and its targets; vertices of weight 1."""
    senders = np.unique(source)
    pairs = np.unique(
        np.concatenate([source, senders]) * vertices + np.concatenate([target, senders])
    )
    owner = pairs // vertices
    _, start = np.unique(owner, return_index=True)
    pointers = np.append(start, pairs.size).astype(np.int64)
    pin = (pairs % vertices).astype(np.int32)
    return Hypergraph(pointers, pin, np.ones(start.size), np.ones(vertices, np.int64))


def traffic_of(network: IntegerNetwork) -> Hypergraph:
    """All inputs and neurons of a network as vertices."""
    space = SourceSpace.of(network)
    source, target = [], []
    for p in expand(network).projections:
        source.append(
            space.first[p.source] + np.repeat(np.arange(p.row_ptr.size - 1), np.diff(p.row_ptr))
        )
        target.append(space.first[p.population] + p.target.astype(np.int64))
    return hypergraph(np.concatenate(source), np.concatenate(target), space.total)


def conv_snn(rng: np.random.Generator) -> IntegerNetwork:
    """2 x 32 x 32 events, three 3 x 3 convolutions, two dense layers: 30,986 senders."""
    nodes: list[Any] = [Input("in", (2, 32, 32), BIN)]
    source, shape = "in", (2, 32, 32)
    for k, (channels, stride) in enumerate(((16, 1), (32, 2), (64, 2))):
        kernel = rng.integers(1, 64, (channels, shape[0], 3, 3))
        weights = Conv(kernel, (stride, stride), ((1, 1), (1, 1)), (1, 1))
        shape = (channels, shape[1] // stride, shape[2] // stride)
        nodes += [Linear(f"c{k}", (source,), weights), nets.fire(f"n{k}", f"c{k}", shape)]
        source = f"n{k}"
    nodes += [
        Index("flat", (source,), (4096,)),
        Linear("f0", ("flat",), nets.dense(rng, 256, 4096)), nets.fire("n3", "f0", (256,)),
        Linear("f1", ("n3",), nets.dense(rng, 10, 256)), nets.fire("n4", "f1", (10,)),
        Output("out", ("n4",)),
    ]  # fmt: skip
    return IntegerNetwork("conv", tuple(nodes))


def local_pairs(
    rng: np.random.Generator, side: int, fan_out: int, reach: float
) -> tuple[IntArray, IntArray]:
    """Normally distributed synapses on a torus of ``side`` x ``side`` neurons, numbers shuffled."""
    n = side * side
    place = np.arange(n)
    step = np.rint(rng.normal(0, reach, (2, n, fan_out))).astype(np.int64)
    y = (place[:, None] // side + step[0]) % side
    x = (place[:, None] % side + step[1]) % side
    name = rng.permutation(n)
    return np.repeat(name, fan_out), name[(y * side + x).reshape(-1)]


def cortical_pairs(rng: np.random.Generator, scale: float) -> tuple[IntArray, IntArray, int]:
    """(sources, targets, neurons) of the cortical microcircuit with fewer neurons."""
    sizes = np.maximum(np.rint(np.array(CORTEX_SIZES) * scale), 1).astype(np.int64)
    layer = np.repeat(np.arange(8), sizes)
    n = int(sizes.sum())
    met = rng.random((n, n), np.float32) < CORTEX[layer][:, layer]
    target, source = np.nonzero(met)
    return source, target, n


def recurrent(
    source: IntArray, target: IntArray, neurons: int, rng: np.random.Generator, inputs: int = 32
) -> IntegerNetwork:
    """A population with these synapses on itself, one step late, fed by some inputs one to one."""
    key = np.unique(target * neurons + source)
    row, column = key // neurons, key % neurons
    pointers = np.searchsorted(row, np.arange(neurons + 1))
    loop = Sparse(pointers, column, rng.integers(1, 64, key.size), neurons, (neurons,))
    fed = Sparse(
        np.minimum(np.arange(neurons + 1), inputs), np.arange(inputs), np.full(inputs, 100),
        inputs, (neurons,),
    )  # fmt: skip
    return IntegerNetwork(
        "recurrent",
        (
            Input("in", (inputs,), BIN),
            Linear("feed", ("in",), fed),
            Delay("late", ("n",), 1),
            Linear("loop", ("late",), loop),
            Add("sum", ("feed", "loop")),
            nets.fire("n", "sum", (neurons,)),
            Output("out", ("n",)),
        ),
    )
