"""Random small integer networks of linear operators between populations, for hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from snnc.ir.arrays import size_of
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output, Pool
from snnc.ir.types import ValueType
from snnc.ir.weights import Conv, Dense, Sparse, Weights


def integer_arrays(shape: tuple[int, ...], low: int, high: int) -> st.SearchStrategy[Any]:
    """Arrays of uniform integers [low, high]; hypothesis draws the seed, NumPy the numbers."""
    return st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).integers(low, high + 1, shape)
    )


@st.composite
def convolutions(draw: st.DrawFn, shape: tuple[int, ...], bound: int = 9) -> Conv:
    """A convolution that fits an input of ``shape`` = (channels, *spatial)."""
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
    padding, stride, dilation, kernel = [], [], [], []
    for extent in shape[1:]:
        before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        reach = extent + before + after
        tap = draw(st.integers(1, min(3, reach)))
        widest = max(1, (reach - 1) // max(1, tap - 1)) if tap > 1 else 2
        padding.append((before, after))
        kernel.append(tap)
        dilation.append(draw(st.integers(1, min(2, widest))))
        stride.append(draw(st.integers(1, 3)))
    out = groups * draw(st.integers(1, 2))
    values = draw(integer_arrays((out, shape[0] // groups, *kernel), -bound, bound))
    return Conv(values, tuple(stride), tuple(padding), tuple(dilation), groups)


@st.composite
def sparse_weights(draw: st.DrawFn, inputs: int, bound: int = 9) -> Sparse:
    """Random rows, some empty, duplicates of a column allowed."""
    rows = draw(st.integers(1, 5))
    lengths = draw(integer_arrays((rows,), 0, 3))
    row_ptr = np.concatenate([[0], np.cumsum(lengths)])
    entries = int(row_ptr[-1])
    column = draw(integer_arrays((entries,), 0, inputs - 1))
    return Sparse(row_ptr, column, draw(integer_arrays((entries,), -bound, bound)), inputs, (rows,))


@st.composite
def weights_for(draw: st.DrawFn, shape: tuple[int, ...]) -> Weights:
    """Weights of any kind that accept an input of ``shape``."""
    kinds = ["sparse"] + (["dense"] if len(shape) == 1 else ["conv"])
    kind = draw(st.sampled_from(kinds))
    if kind == "conv":
        return draw(convolutions(shape))
    if kind == "dense":
        return Dense(draw(integer_arrays((draw(st.integers(1, 6)), shape[0]), -9, 9)))
    return draw(sparse_weights(size_of(shape)))


@st.composite
def _operator(draw: st.DrawFn, name: str, shapes: dict[str, tuple[int, ...]]) -> Any:
    source = draw(st.sampled_from(sorted(shapes)))
    shape = shapes[source]
    kind = draw(st.sampled_from(["linear", "add", "index", "reshape", "concat", "delay", "pool"]))
    if kind == "linear":
        return Linear(name, (source,), draw(weights_for(shape)))
    if kind == "add":
        same = sorted(n for n, s in shapes.items() if s == shape)
        return Add(name, tuple(draw(st.lists(st.sampled_from(same), min_size=1, max_size=3))))
    if kind == "index":
        size = draw(st.integers(1, 6))
        return Index(
            name, (source,), (size,), draw(integer_arrays((size,), -1, size_of(shape) - 1))
        )
    if kind == "reshape":
        return Index(name, (source,), (size_of(shape),))
    if kind == "concat":
        other = draw(st.sampled_from(sorted(shapes)))
        return Index(name, (source, other), (size_of(shape) + size_of(shapes[other]),))
    if kind == "delay":
        return Delay(name, (source,), draw(st.integers(1, 3)))
    if len(shape) == 3:
        window = (min(2, shape[1]), min(2, shape[2]))
        return Pool(name, (source,), "sum", window, (1, 2), ((0, 0), (0, 0)))
    return Linear(name, (source,), draw(weights_for(shape)))


@st.composite
def linear_networks(draw: st.DrawFn) -> IntegerNetwork:
    """input -> a random chain of linear operators, with populations in between -> output."""
    shape = draw(st.sampled_from([(3,), (2, 4, 3), (3, 5)]))
    nodes: list[IntegerNode] = [Input("in", shape, ValueType("cnt", 3))]
    for position in range(draw(st.integers(1, 6))):
        known = IntegerNetwork("probe", (*nodes, Output("probe", (nodes[-1].name,)))).shapes
        shapes = {name: known[name] for name in known if name != "probe"}
        nodes.append(draw(_operator(f"op{position}", shapes)))
        if draw(st.booleans()):
            nodes.append(_population(f"pop{position}", nodes, draw(st.integers(1, 20))))
    nodes.append(_population("last", nodes, draw(st.integers(1, 20))))
    return IntegerNetwork("random", (*nodes, Output("out", ("last",))))


def _population(name: str, nodes: list[IntegerNode], threshold: int) -> Neuron:
    source = nodes[-1].name
    shape = IntegerNetwork("probe", (*nodes, Output("probe", (source,)))).shapes[source]
    return Neuron(name, (source,), shape, np.array([threshold]), Reset("subtract", np.array(3)))
