"""Rule "kernels", and a recount of the kernels that every core stores, from its tables.

Which projections are convolutions is worked out from the network's operators, apart from the
mapper.  A kernel is needed on a core for every pair of an input channel and an output channel with
a synapse in a row that is stored as kernels; the rule "function" says that the synapses are the
network's, so the kernels are the convolution's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnc.compiler.verify.fanout import Link
from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject, wide
from snnc.compiler.verify.timing import least_delay, physical_delay
from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.jit import lean_kernel
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
    for operand, shape in zip(node.inputs, shapes, strict=True):
        for (sender, delay), way in ways(network, operand, known).items():
            key = sender, delay + late
            # What comes on two ways is a sum of two operators.
            result[key] = None if key in result else _behind(way, node, shape, len(shapes))
    known[name] = result
    return result


def _behind(way: Way | None, node: IntegerNode, shape: Shape, operands: int) -> Way | None:
    """The way through one more node, of which this operand has a shape."""
    if isinstance(node, Add | Delay | Barrier):
        return way
    if isinstance(node, Index):
        return way if node.index is None and operands == 1 else None
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
    if not way.windows:
        return Way(size_of(shape[1:]), size_of(out[1:]), out, mine, shape[1:], (node.name,))
    if way.shape != shape:
        return None
    both = [_one_window(*of) for of in zip(way.windows, mine, way.spaces, shape[1:], strict=True)]
    if None in both:
        return None
    windows = tuple(window for window in both if window is not None)
    path = (*way.path, node.name)
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


@dataclass(frozen=True, eq=False)
class Convolutions:
    """The convolutions that lead to populations, in a list; from all senders added up before.

    Attributes:
        table: [senders * delays, populations] number in the list, or -1; by extra delay.
        delays: one more than the largest extra delay of any axon.
        inputs, outputs, taps: as those of ``Way``.
        cell: [convolutions + 1] where the pairs of an input and an output channel of each begin.
        channels: [convolutions] output channels.
    """

    table: IntArray
    delays: int
    inputs: IntArray
    outputs: IntArray
    taps: IntArray
    channels: IntArray
    cell: IntArray

    @staticmethod
    def of(subject: Subject, links: Sequence[Link]) -> Convolutions:
        """Those of these links, under the deployment's schedule."""
        network, sources = subject.deployment.network, subject.sources
        populations = {node.name: k for k, node in enumerate(subject.populations)}
        senders = {name: k for k, name in enumerate(sources.first)}
        delays = int(subject.deployment.cores.axon_delay.max(initial=0)) + 1
        table = np.full((len(senders) * delays, len(populations)), -1, np.int32)
        known: dict[str, Ways] = {}
        number: dict[object, int] = {}
        found: list[tuple[int, int, int, int, int]] = []
        for link in links:
            extra = physical_delay(subject, link) - least_delay(subject, link)
            begin = network.node[link.population].inputs[0]
            way = ways(network, begin, known)[link.source, link.delay]
            if way is None or not 0 <= extra < delays:
                continue
            key = link.population, way.path, way.inputs, way.outputs, way.taps
            row = senders[link.source] * delays + extra
            table[row, populations[link.population]] = number.setdefault(key, len(number))
            if len(number) > len(found):
                pairs = -(-sources.size[link.source] // way.inputs)
                out = -(-sources.size[link.population] // way.outputs)
                found.append((way.inputs, way.outputs, way.taps, out, pairs * out))
        inputs, outputs, taps, channels, cells = np.array(found, np.int64).reshape(-1, 5).T.copy()
        cell = np.concatenate([[0], np.cumsum(cells)])
        return Convolutions(table, delays, inputs, outputs, taps, channels, cell)


@dataclass(frozen=True, eq=False)
class StoredKernels:
    """What cores store as kernels.

    Attributes:
        kernels: [cores, 2 * convolutions] how many, those of positive (or all) pulses first.
        taps: [2 * convolutions] weights of each.
        row_synapses: [cores] of rows that are stored as such.
    """

    kernels: IntArray
    taps: IntArray
    row_synapses: IntArray

    @property
    def counts(self) -> dict[str, IntArray]:
        """[cores] what formulas count."""
        return {
            "n_kernels": self.kernels.sum(axis=1),
            "n_kernel_weights": self.kernels @ self.taps,
            "n_row_synapses": self.row_synapses,
        }


def stored_kernels(subject: Subject, links: Sequence[Link], findings: Findings) -> StoredKernels:
    """Count the kernels of every core, and report rows stored as kernels that are none."""
    cores, rows, sources = subject.deployment.cores, subject.rows, subject.sources
    convolutions = Convolutions.of(subject, links)
    size = np.array([sources.size[name] for name in sources.first], np.int64)
    place = {node.name: k for k, node in enumerate(subject.populations)}
    population = np.array([place.get(name, -1) for name in sources.first], np.int32)
    stored = cores.axon_encoding == subject.deployment.target.core.encodings.index("kernel")
    kernels = np.zeros((cores.count, 2 * convolutions.taps.size), np.int64)
    bad = np.zeros(stored.size, np.uint8)
    _count(
        wide(cores.axon_ptr), cores.axon_source, cores.axon_delay, cores.axon_sign, stored,
        rows.shape, rows.shift, rows.shape_ptr, rows.offset, subject.neuron_first,
        cores.neuron_source, np.repeat(np.arange(size.size, dtype=np.int32), size),
        np.cumsum(size) - size, population, convolutions.table, convolutions.delays,
        convolutions.inputs, convolutions.outputs, convolutions.channels, convolutions.cell,
        np.full(2 * int(convolutions.cell[-1]), -1, np.int32), kernels, bad,
    )  # fmt: skip
    findings.count("kernels", int(stored.sum()))
    for axon in np.flatnonzero(bad)[:50].tolist():
        where = f"axon {axon} of {subject.core_name(int(subject.axon_core[axon]))}"
        name = subject.name(int(cores.axon_source[axon]))
        found = f"the row of {name} is stored as kernels"
        findings.add("kernels", where, found, "rows of convolutions")
    length = np.where(stored, 0, subject.shapes.length[rows.shape])
    before = np.concatenate([[0], np.cumsum(length)])
    ptr = wide(cores.axon_ptr)
    return StoredKernels(kernels, np.tile(convolutions.taps, 2), before[ptr[1:]] - before[ptr[:-1]])


@lean_kernel
def _count(
    axon_ptr: IntArray, axon_source: IntArray, axon_delay: IntArray, axon_sign: IntArray,
    stored: IntArray, shape: IntArray, shift: IntArray, shape_ptr: IntArray, offset: IntArray,
    neuron_first: IntArray, neuron_source: IntArray, sender_of: IntArray, begin: IntArray,
    population: IntArray, table: IntArray, delays: int, inputs: IntArray, outputs: IntArray,
    channels: IntArray, cell: IntArray, stamp: IntArray, kernels: IntArray, bad: IntArray,
) -> None:  # fmt: skip
    """Count the kernels of every core.

    Args:
        stored: [axons] bool.
        sender_of: [sources]; begin, population: [senders] first source, number or -1.
        stamp: [2 * pairs of channels] core that needed the kernel last; at first -1.
        kernels, bad: to be filled.
    """
    most = outputs.size
    for core in range(axon_ptr.size - 1):
        for axon in range(axon_ptr[core], axon_ptr[core + 1]):
            if not stored[axon]:
                continue
            source = axon_source[axon]
            sender = sender_of[source]
            row = sender * delays + axon_delay[axon]
            half = 1 if axon_sign[axon] < 0 else 0
            first = neuron_first[core] + shift[axon]
            for k in range(shape_ptr[shape[axon]], shape_ptr[shape[axon] + 1]):
                target = neuron_source[first + offset[k]]
                owner = sender_of[target]
                which = table[row, population[owner]]
                if which < 0:
                    bad[axon] = 1
                    continue
                into = (source - begin[sender]) // inputs[which]
                out = (target - begin[owner]) // outputs[which]
                at = half * cell[most] + cell[which] + into * channels[which] + out
                if stamp[at] != core:
                    stamp[at] = core
                    kernels[core, half * most + which] += 1
