"""Which projections of a network are convolutions, from its operators alone.

Written apart from ``snnc.ir.shared_expansion``: nothing is multiplied out, only the windows are
followed through which a population sees what reaches it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import Shape, size_of
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Add, Barrier, Delay, Index, Input, Linear, Pool
from snnc.ir.weights import Conv


@dataclass(frozen=True)
class Window:
    """How a kernel moves along one axis."""

    extent: int
    stride: int
    dilation: int
    before: int
    after: int


@dataclass(frozen=True)
class Way:
    """A convolution between a sender and some node.

    Attributes:
        inputs, outputs: elements of an input channel and of an output channel.
        shape: of the result, before any reshaping.
        windows: per axis; none where every element stays where it is.
        spaces: extents of what the first convolution reads.
        path: names of the convolutions and pools.
    """

    inputs: int
    outputs: int
    shape: Shape
    windows: tuple[Window, ...] = ()
    spaces: Shape = ()
    path: tuple[str, ...] = ()

    @property
    def taps(self) -> int:
        """Weights of a kernel, zeros included."""
        return size_of(tuple(w.extent for w in self.windows))


Ways = dict[tuple[str, int], Way | None]
"""By sender and logical delay; None: no convolution."""


def ways(network: IntegerNetwork, name: str, known: dict[str, Ways]) -> Ways:
    """Everything that leads to a node from inputs and populations."""
    if name in known:
        return known[name]
    node = network.node[name]
    shapes = [network.shapes[operand] for operand in node.inputs]
    if isinstance(node, Input | Neuron):
        plane = size_of(network.shapes[name][1:])
        return {(name, 0): Way(plane, plane, network.shapes[name])}
    late = node.steps if isinstance(node, Delay) else 0
    late = 1 - node.steps if isinstance(node, Barrier) else late
    result: Ways = {}
    for position, operand in enumerate(node.inputs):
        for (sender, delay), way in ways(network, operand, known).items():
            key, longer = (sender, delay + late), _behind(way, node, position, shapes)
            result[key] = _sum(result[key], longer) if key in result else longer
    known[name] = result
    return result


def _sum(one: Way | None, other: Way | None) -> Way | None:
    """Two ways from one sender that are added up, where their windows move alike."""
    if one is None or other is None or not (one.windows or other.windows):
        return None
    one, other = _written(one, other), _written(other, one)
    same = (one.shape, one.spaces) == (other.shape, other.spaces)
    if not same or [w.stride for w in one.windows] != [w.stride for w in other.windows]:
        return None
    windows = tuple(_both(*pair) for pair in zip(one.windows, other.windows, strict=True))
    path = (*one.path, "+", *other.path)
    return Way(one.inputs, one.outputs, one.shape, windows, one.spaces, path)


def _written(way: Way, other: Way) -> Way:
    """The way; the identity as a window of one tap on what the other one reads."""
    if way.windows or other.spaces != other.shape[1:]:
        return way
    once = (Window(1, 1, 1, 0, 0),) * len(other.spaces)
    return Way(other.inputs, other.outputs, other.shape, once, other.spaces)


def _both(one: Window, other: Window) -> Window:
    """The window that reads what either of them reads, with taps as far apart as that allows."""
    apart = [w.dilation for w in (one, other) if w.extent > 1]
    step = math.gcd(*apart, one.before - other.before) or 1
    first = min(-one.before, -other.before)
    last = max((w.extent - 1) * w.dilation - w.before for w in (one, other))
    after = max(one.after, other.after)
    return Window((last - first) // step + 1, one.stride, step, -first, after)


def _behind(way: Way | None, node: IntegerNode, position: int, shapes: list[Shape]) -> Way | None:
    """The way through one more node, from its operand at this position."""
    shape = shapes[position]
    if isinstance(node, Add | Delay | Barrier):
        return way
    if isinstance(node, Index):
        if node.index is None and len(shapes) == 1:
            return way
        before = sum(size_of(other) for other in shapes[:position])
        steps = _steps(node, before, shape)
        if way is None or steps is None:
            return None
        return _through(
            way, node.name, tuple(Window(1, s, 1, 0, 0) for s in steps), shape, node.shape
        )
    conv = node.weights if isinstance(node, Linear) else None
    if isinstance(node, Pool) and node.op == "sum":
        ones = np.ones((shape[0], 1, *node.kernel), np.int64)
        conv = Conv(ones, node.stride, node.padding, (1,) * len(node.kernel), shape[0])
    if way is None or not isinstance(conv, Conv):
        return None
    out = conv.output_shape("kernels", shape)
    mine = tuple(
        Window(k, s, d, *padding)
        for k, s, d, padding in zip(
            conv.kernel, conv.stride, conv.dilation, conv.padding, strict=True
        )
    )
    return _through(way, node.name, mine, shape, out)


def _steps(node: Index, before: int, shape: Shape) -> Shape | None:
    """Pixels from one to the next that a gather takes along each axis; None: it is no convolution.

    It is one where every channel of the result is all of those pixels of one channel, or nothing.
    """
    out = node.shape
    if len(out) != len(shape) or len(shape) < 2 or not size_of(out):
        return None
    asked = np.arange(size_of(out)) if node.index is None else node.index
    asked = np.reshape(asked, out) - before
    heard = (asked >= 0) & (asked < size_of(shape))
    if not heard.any() or (heard != heard[(slice(None), *(slice(1),) * (len(out) - 1))]).any():
        return None
    channels = np.flatnonzero(heard.reshape(out[0], -1)[:, 0])
    place = np.stack(np.unravel_index(asked[channels], shape))
    steps = []
    for axis in range(1, len(out)):
        along = np.arange(out[axis]).reshape([-1 if a == axis else 1 for a in range(len(out))])
        one = int(place[axis].max()) // max(out[axis] - 1, 1) if out[axis] > 1 else shape[axis]
        if one < 1 or (place[axis] != along * one).any() or out[axis] != -(-shape[axis] // one):
            return None
        steps.append(one)
    same = (place[0] == place[0][(slice(None), *(slice(1),) * (len(out) - 1))]).all()
    return tuple(steps) if same else None


def _through(way: Way, name: str, mine: tuple[Window, ...], shape: Shape, out: Shape) -> Way | None:
    """The way through a node with these windows, from one shape to another."""
    if not way.windows:
        return Way(size_of(shape[1:]), size_of(out[1:]), out, mine, shape[1:], (name,))
    if way.shape != shape:
        return None
    both = [_one_window(*of) for of in zip(way.windows, mine, way.spaces, shape[1:], strict=True)]
    if None in both:
        return None
    windows = tuple(window for window in both if window is not None)
    path = (*way.path, name)
    return Way(way.inputs, size_of(out[1:]), out, windows, way.spaces, path)


def _one_window(first: Window, then: Window, space: int, between: int) -> Window | None:
    """Two windows one behind the other as one; None where what is padded between them matters.

    Behind the border of the values in between the second reads zeros.  One window would read what
    the first makes of the input there, which must be nothing.
    """
    for place in (*range(-then.before, 0), *range(between, between + then.after)):
        for tap in range(first.extent):
            if 0 <= place * first.stride + tap * first.dilation - first.before < space:
                return None
    extent = (then.extent - 1) * then.dilation * first.stride
    extent += (first.extent - 1) * first.dilation + 1
    before = first.before + then.before * first.stride
    after = first.after + then.after * first.stride
    return Window(extent, first.stride * then.stride, 1, before, after)
