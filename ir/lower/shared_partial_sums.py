"""As ``partial_sums`` for a population that adds up convolutions: their weights stay shared.

A slice is a part of the kernels' weights (input channel by input channel, tap by tap), for all
neurons at once, so that its sums are convolutions again.  Neurons at the border, which might fit a
core, are split with the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from snnc.ir.arrays import AnyArray, Shape, size_of
from snnc.ir.graph import topological_order
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.lower.builder import Bounds, Builder
from snnc.ir.lower.limits import Limits
from snnc.ir.lower.partial_sums import check_steps, late, without_unread
from snnc.ir.lower.staircase import digits
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Index, Linear
from snnc.ir.shared_expansion import ConvTerm
from snnc.ir.weights import Conv, Dense


@dataclass(frozen=True, eq=False)
class _Part:
    """Some weights of a term; ``kept`` [in / groups, *kernel] bool says which."""

    term: ConvTerm
    kept: AnyArray

    @property
    def conv(self) -> Conv:
        conv = self.term.conv
        values = np.where(self.kept, conv.values, 0)
        return Conv(values, conv.stride, conv.padding, conv.dilation, conv.groups)


def with_shared_partial_sums(
    network: IntegerNetwork, name: str, terms: Sequence[ConvTerm], slices: int, limits: Limits
) -> tuple[IntegerNetwork, tuple[str, ...]]:
    """Split the fan-in of one population.

    Args:
        network: populations and linear operators only.
        name: of the population.
        terms: all that it adds up.
        slices: partial sums per neuron.
        limits: of the machine.

    Returns:
        The network, in which all populations keep their names and spikes, and the helpers.

    Raises:
        RewriteError: the machine's neurons cannot send partial sums exactly.
    """
    builder = Builder(network, limits, convolutions=True)
    neurons = frozenset(node.name for node in network.nodes if isinstance(node, Neuron))
    for node in topological_order(network.nodes, neurons):
        builder.keep(node)
    builder.owner = name
    check_steps([term.delay for term in terms])
    node = network.node[name]
    assert isinstance(node, Neuron)
    senders = [late(builder, term.source, term.delay) for term in terms]
    sums: list[str] = []
    for parts in _slices(terms, slices):
        for sign in (1, -1):
            made = [_convolved(builder, senders[k], part, sign, node.shape) for k, part in parts]
            x = builder.add(made)
            for digit in digits(builder, "partial", x, 0, builder.extent(x)[1]):
                sums.append(builder.scale(digit.tensor, sign))
    total = builder.add(sums) if sums else builder.zero(senders[0], node.shape)
    builder.nodes[name] = replace(node, inputs=(total,))
    nodes = without_unread(builder.nodes)
    made_names = tuple(builder.made.get(name, ()))
    return IntegerNetwork(network.name, nodes, network.assumptions), made_names


def _slices(terms: Sequence[ConvTerm], count: int) -> list[list[tuple[int, _Part]]]:
    """By slice: (number of the term, its part), of near-equal numbers of weights per neuron."""
    sizes = [size_of(term.conv.values.shape[1:]) for term in terms]
    first = np.cumsum([0, *sizes])
    ends = [int(first[-1]) * k // count for k in range(count + 1)]
    result = []
    for low, high in pairwise(ends):
        parts = []
        for k, term in enumerate(terms):
            place = np.arange(first[k], first[k + 1])
            kept = (place >= low) & (place < high)
            if kept.any():
                parts.append((k, _Part(term, kept.reshape(term.conv.values.shape[1:]))))
        if parts:
            result.append(parts)
    return result


def _convolved(b: Builder, sender: str, part: _Part, sign: int, shape: Shape) -> str:
    """The part's sum times the sign, as a tensor of the population's shape."""
    conv, image = part.conv, part.term.shape
    low, high = b.extent(sender)
    flat = image[1:] == (1,) and conv.kernel == (1,) and conv.groups == 1
    x = _shaped(b, sender, image[:1] if flat else image)
    values = sign * conv.values
    weights = Dense(values[..., 0]) if flat else Conv(
        values, conv.stride, conv.padding, conv.dilation, conv.groups
    )  # fmt: skip
    x = b.keep(Linear(b.name("sum"), (x,), weights))
    b.claim(x, _window(values, low, high, b.shape(x)))
    return _shaped(b, x, shape)


def _shaped(b: Builder, x: str, shape: Shape) -> str:
    return x if b.shape(x) == shape else b.keep(Index(b.name("shape"), (x,), shape))


def _window(values: AnyArray, low: int, high: int, shape: Shape) -> Bounds:
    """Bounds of a convolution of values from ``low`` <= 0 to ``high`` >= 0, by output channel.

    A window at the border holds fewer of them, so that its sums lie within.
    """
    flat = values.reshape(values.shape[0], -1)
    positive, negative = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
    pixels = size_of(shape) // values.shape[0]
    least, most = positive * low + negative * high, positive * high + negative * low
    return np.repeat(least, pixels), np.repeat(most, pixels)
