"""Layers as machines see them whose cores hold one layer each: pool, kernel, map.

A layer is a population and the one weight operator that feeds it; a sum pool and a flattening may
stand before.  A dense layer is a convolution whose kernel is as large as its input.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc.ir.arrays import Shape, size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Add, Index, Input, Linear, Pool
from snnc.ir.target import LayerLimits
from snnc.ir.weights import Conv, Dense


@dataclass(frozen=True)
class Layer:
    """Sizes of one layer; maps are (channels, height, width).

    Attributes:
        population: the neurons.
        sources: inputs and populations whose events it takes.
        in_shape: map the kernel runs over, after the pool.
        kernel, stride: (height, width).
        padding: (top, bottom, left, right).
        out_shape: map of the neurons.
        pools: sizes of the sum pools before it.
        problems: why it is no layer that such a core can hold, in words; empty when it is.
    """

    population: str
    sources: tuple[str, ...] = ()
    in_shape: Shape = (0, 0, 0)
    kernel: Shape = (0, 0)
    stride: Shape = (1, 1)
    padding: Shape = (0, 0, 0, 0)
    out_shape: Shape = (0, 0, 0)
    pools: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """The variables of ``ir.target.LayerResource.use``."""
        return {
            "c_in": self.in_shape[0], "in_h": self.in_shape[1], "in_w": self.in_shape[2],
            "k_h": self.kernel[0], "k_w": self.kernel[1],
            "c_out": self.out_shape[0], "out_h": self.out_shape[1], "out_w": self.out_shape[2],
        }  # fmt: skip

    def beyond(self, limits: LayerLimits) -> tuple[str, ...]:
        """What of these sizes the hardware cannot address, in words."""
        found = []
        for name, values, most in (
            ("an input", self.in_shape[1:], limits.input_extent),
            ("an output", self.out_shape[1:], limits.output_extent),
            ("channels", (self.in_shape[0], self.out_shape[0]), limits.channels),
            ("a kernel", self.kernel, limits.kernel),
            ("padding", self.padding, limits.padding),
        ):
            if most is not None and max(values) > most:
                size = " x ".join(map(str, values))
                found.append(f"{name} of {size}, at most {most}")
        if limits.square_kernel and self.kernel[0] != self.kernel[1]:
            found.append(f"a kernel of {self.kernel[0]} x {self.kernel[1]}, not square")
        for name, numbers, allowed in (
            ("stride", self.stride, limits.strides),
            ("sum pool", self.pools, limits.pools),
        ):
            for number in sorted(set(numbers) - set(allowed)):
                found.append(f"a {name} of {number}, one of {', '.join(map(str, allowed))}")
        return tuple(found)


def layers_of(network: IntegerNetwork) -> tuple[Layer, ...]:
    """One layer per population, in execution order; one that is none says so in ``problems``."""
    return tuple(_layer(network, neuron) for neuron in network.populations)


def _layer(network: IntegerNetwork, neuron: Neuron) -> Layer:
    node = _through_reshapes(network, neuron.inputs[0])
    if not isinstance(node, Linear):
        what = type(node).__name__
        return Layer(neuron.name, problems=(f"{what} feeds it, not one layer of weights",))
    sources, pools, shapes, problems = [], [], [], []
    for name in _summands(network, node.inputs[0]):
        source, size, shape, problem = _source(network, name)
        sources.append(source)
        pools.append(size)
        shapes.append(shape)
        problems += [problem] if problem else []
    problems += _parameters(neuron)
    weights, shape = node.weights, shapes[0]
    if any(other != shape for other in shapes):
        problems.append(f"it sums maps of different shapes, {shapes}")
    out = _map(neuron.shape)
    if isinstance(weights, Dense):
        return Layer(neuron.name, tuple(sources), shape, shape[1:], (1, 1), (0, 0, 0, 0),
                     (size_of(neuron.shape), 1, 1), tuple(pools), tuple(problems))  # fmt: skip
    if not isinstance(weights, Conv) or len(weights.kernel) != 2:
        problems.append("its weights are neither dense nor a convolution over two axes")
        return Layer(neuron.name, tuple(sources), problems=tuple(problems))
    if weights.groups != 1 or set(weights.dilation) != {1}:
        problems.append(f"a convolution of {weights.groups} groups, dilation {weights.dilation}")
    (top, bottom), (left, right) = weights.padding
    return Layer(neuron.name, tuple(sources), shape, weights.kernel, weights.stride,
                 (top, bottom, left, right), out, tuple(pools), tuple(problems))  # fmt: skip


def _parameters(neuron: Neuron) -> list[str]:
    """Thresholds and reset are registers of the layer, not of a neuron or channel."""
    ladder = neuron.thresholds.reshape(neuron.levels, -1)
    uniform = bool((ladder == ladder[:, :1]).all()) and len(set(neuron.reset.amount.flat)) <= 1
    return [] if uniform else ["thresholds that differ within the layer"]


def _through_reshapes(network: IntegerNetwork, name: str) -> object:
    node = network.node[name]
    while isinstance(node, Index) and node.index is None:
        node = network.node[node.inputs[0]]
    return node


def _summands(network: IntegerNetwork, name: str) -> list[str]:
    """The tensors a layer takes: several where they are summed before its weights."""
    node = network.node[name]
    if isinstance(node, Index) and node.index is None:
        inner = _through_reshapes(network, name)
        if isinstance(inner, Add):
            return _summands(network, inner.name)
    if isinstance(node, Add):
        return [found for source in node.inputs for found in _summands(network, source)]
    return [name]


def _source(network: IntegerNetwork, name: str) -> tuple[str, int, Shape, str]:
    """(sender, size of its pool, shape of the map after the pool, problem)."""
    node = _through_reshapes(network, name)
    size, problem = 1, ""
    shape: Shape = (0, 0, 0)
    if isinstance(node, Pool):
        size = node.kernel[0]
        square = node.op == "sum" and set(node.kernel) == {size} and node.stride == node.kernel
        if not square or any(ab != (0, 0) for ab in node.padding) or len(node.kernel) != 2:
            problem = f"{node.name}: a pool that is no square sum with stride = size"
        shape = _map(network.shapes[node.name])
        node = _through_reshapes(network, node.inputs[0])
    if not isinstance(node, Input | Neuron):
        what = type(node).__name__
        return getattr(node, "name", name), size, shape, f"{what} stands before its weights"
    return node.name, size, shape if any(shape) else _map(node.shape), problem


def _map(shape: Shape) -> Shape:
    """(channels, height, width) of a tensor; one without space is a column of channels."""
    if len(shape) == 3:
        return shape
    return (size_of(shape), 1, 1)
