"""From the layers of a ``.net`` file to an ``IntegerNetwork``.

Tensors are (channels, height, width) or (features,), as stored; Lava's own are (x, y, channels)
with flipped kernels, which is the same network.  Within a step spikes pass through all layers;
Lava's synapses take one step each, so what is step s here is seen there n steps later behind n of
them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.compiler.frontends.netx import sigma_delta, synapses
from snnc.compiler.frontends.netx.alif import KIND as ALIF
from snnc.compiler.frontends.netx.alif import alif, always, forgets, is_alif
from snnc.compiler.frontends.netx.neurons import (
    BIAS_RANGE,
    STATE_SHIFT,
    bias,
    gated,
    input_neuron,
    neuron,
)
from snnc.compiler.frontends.netx.options import NetxOptions
from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode, linear_bound
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output, Pool, Readout
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv, Dense, Sparse, Weights

VALUE = ValueType("int", BIAS_RANGE[1].bit_length() + 1)
"""What netx writes to ``bias_mant``: 13 bits with sign."""
MAX_NEURONS = 2**24
# |u| <= 2^23 before a step and one wrap afterwards bring 2^23 + 64 a back only up to here.
ONE_WRAP = 1 << 18
_WEIGHTED = ("type", "shape", "weight", "bias", "delay", "neuron")
_WINDOW = ("kernelSize", "stride", "padding", "dilation")
FIELDS = {
    "input": ("type", "shape", "weight", "bias", "neuron"),
    "dense": (*_WEIGHTED, "inFeatures", "outFeatures"),
    "dense_rec": (*_WEIGHTED, "inFeatures", "outFeatures", "weight_rec"),
    "conv": (*_WEIGHTED, *_WINDOW, "inChannels", "outChannels", "groups"),
    "pool": (*_WEIGHTED, *_WINDOW),
    "convT": (*_WEIGHTED, *_WINDOW, "inChannels", "outChannels", "groups"),
    "unpool": (*_WEIGHTED, *_WINDOW),
    "flatten": ("type", "shape"),
    "average": ("type", "shape"),
}


class Builder:
    """Appends nodes layer by layer; ``last`` is the tensor that flows into the next."""

    def __init__(self, layers: tuple[RawNode, ...], options: NetxOptions, notes: Notes) -> None:
        self.layers = layers
        self.options = options
        self.notes = notes
        self.nodes: list[IntegerNode] = []
        self.last = ""
        self.shape: Shape = ()
        self.changes = self._sends_changes()

    def network(self) -> IntegerNetwork:
        """The network of all layers."""
        if self.layers[0].kind != "input":
            self._implied_input(self.layers[0])
        for position, layer in enumerate(self.layers):
            check_kind(layer)
            last = position == len(self.layers) - 1
            if layer.kind == "input":
                self._input(layer, position)
            elif layer.kind == "flatten":
                self._reshape(layer.name, (size_of(self.shape),))
            elif layer.kind == "average":
                self._average(layer, last)
            else:
                self._weighted(layer, last)
            self._check_shape(layer)
        file = self.layers[0].file
        if not any(isinstance(node, Neuron) for node in self.nodes):
            raise ModelError("a network without neurons", where=file)
        readout: Readout = "last" if self._reads_state() else "sum"
        self.nodes.append(Output("output", (self.last,), readout))
        self.notes.add(
            "time",
            "a layer takes no time: what is step s here, Lava shows n steps later behind n layers "
            "of synapses",
        )
        return IntegerNetwork(file.removesuffix(".net"), tuple(self.nodes), self.notes.values)

    def _reads_state(self) -> bool:
        node = self.nodes[-1]
        return isinstance(node, Neuron) and node.emit == "state"

    def _add(self, node: IntegerNode, shape: Shape) -> None:
        self.nodes.append(node)
        self.last, self.shape = node.name, shape

    def _sends_changes(self) -> bool:
        """Whether the network is one of sigma-delta neurons; lava-dl trains no mixed ones."""
        neurons = [layer for layer in self.layers if layer.has("neuron/type")]
        others = [layer for layer in neurons if not sigma_delta.is_sigma_delta(layer)]
        if others and len(others) < len(neurons):
            raise UnsupportedError(
                "spiking and sigma-delta neurons in one network",
                where=others[0].where("neuron/type"),
                found=others[0].text("neuron/type"),
                allowed="one of the two",
                remedy="export the two parts as networks of their own",
            )
        return bool(neurons) and not others

    def _implied_input(self, first: RawNode) -> None:
        if not first.has("inFeatures"):
            raise ModelError(
                "the size of the network's input is not in the file",
                where=first.where(),
                allowed="an input layer before a layer of this type",
                remedy="begin the network with slayer.block.cuba.Input and export it again",
            )
        shape = (first.integers("inFeatures")[0],)
        self._add(Input("input", shape, self._events()), shape)

    def _events(self) -> ValueType:
        """What enters a network whose encoder is not part of it."""
        limit = 1 << (sigma_delta.MESSAGE_BITS - 1)
        return ValueType("scnt", limit) if self.changes else BIN

    def _input(self, layer: RawNode, position: int) -> None:
        if position:
            raise UnsupportedError(
                "an input layer inside the network", where=layer.where(), remedy="use it first"
            )
        shape = file_shape(layer)
        spiking = any(label.startswith("neuron/") for label in layer.fields)
        if not spiking or self.options.input_layer == "spikes":
            sent = self._events()
            if spiking and self.changes:
                sent = sigma_delta.changes(layer, self.options.spike_exponent)
            self._add(Input("input", shape, sent), shape)
            if spiking:
                self.notes.add(layer.name, "left to the host; the input is what its neurons send")
            return
        if self.changes:
            self._add(Input("input", shape, sigma_delta.values(layer)), shape)
            exponent = self.options.spike_exponent
            self._add(sigma_delta.encoder(layer, "input", shape, exponent), shape)
        elif is_alif(layer):
            raise UnsupportedError(
                "an input layer of adaptive neurons, which netx does not load",
                where=layer.where("neuron/type"),
                remedy="--input-layer spikes leaves the layer to the host",
            )
        else:
            self._add(Input("input", shape, VALUE), shape)
            self._add(input_neuron(layer, "input", shape), shape)
        if layer.has("weight") or layer.has("bias"):
            factor, offset = layer.real("weight", 64).flat[0], layer.real("bias", 0).flat[0]
            text = f"feed {factor:g} x + {offset:g} in every step, x as in training"
            self.notes.add(layer.name, text)

    def _average(self, layer: RawNode, last: bool) -> None:
        groups, size = size_of(file_shape(layer)), size_of(self.shape)
        if not last or size % groups or size == groups:
            raise UnsupportedError(
                "an average that is not a sum over groups of the last layer",
                where=layer.where(),
                found=f"{size} to {groups} values" + ("" if last else ", inside the network"),
                remedy="average the output of the network on the host",
            )
        each = size // groups
        self._reshape(f"{layer.name}.groups", (groups, each))
        sums = Pool(f"{layer.name}.sum", (self.last,), "sum", (each,), (each,), ((0, 0),))
        self._add(sums, (groups, 1))
        self._reshape(layer.name, (groups,))
        self.notes.add(layer.name, f"the output is the sum of each {each}, not divided by {each}")

    def _weighted(self, layer: RawNode, last: bool) -> None:
        if layer.kind.startswith("dense"):
            self._squeeze(layer)
            shape: Shape = (layer.integers("outFeatures")[0],)
        elif layer.kind in ("convT", "unpool"):
            shape = file_shape(layer)
            window: Conv | Sparse = synapses.transposed(layer, self.shape, shape)
        else:
            window = (synapses.convolution if layer.kind == "conv" else synapses.pooling)(
                layer, self.shape
            )
            shape = window.output_shape(layer.where(), self.shape)
        _check_size(layer, shape)
        delay = synapses.delays(layer, shape)
        constant, sent, size = self._constant(layer, shape), self.last, size_of(self.shape)
        if layer.kind == "dense_rec":
            shift = self._recurrent(layer, shape, delay, constant)
        else:
            weights = self._matrix(layer, shape) if layer.kind == "dense" else window
            shift, (values, *constant) = synapses.without_factor(weights.values, *constant)
            self._linear(layer, replace(weights, values=values), shape, shift)
            self._add_constant(layer, constant, shape, sent, size)
        self._delayed(layer, delay)
        if is_alif(layer):
            added = () if constant else gated(bias(layer, shape), delay)
            self._add(replace(alif(layer, self.last, shape, shift), bias=added), shape)
        elif self.changes:
            self._add(
                sigma_delta.neuron(
                    layer, self.last, shape, shift - STATE_SHIFT, delay, last,
                    self.options.spike_exponent, self.notes,
                ),
                shape,
            )  # fmt: skip
        else:
            self._add(neuron(layer, self.last, shape, shift, delay, last, self.notes), shape)

    def _constant(self, layer: RawNode, shape: Shape) -> list[IntArray]:
        """A bias that joins the input before the current, as that of adaptive neurons does."""
        mantissa = bias(layer, shape) if is_alif(layer) else None
        if mantissa is None or forgets(layer, shape):
            return []
        return [np.broadcast_to(mantissa, shape).reshape(-1, 1)]

    def _add_constant(
        self, layer: RawNode, constant: list[IntArray], shape: Shape, sent: str, size: int
    ) -> None:
        """Add what a neuron that fires in every step brings through these weights.

        It listens to what was ``sent`` to the layer, ``size`` spikes, through no synapse.
        """
        if not constant:
            return
        name, summed = layer.name, self.last
        rows, none = np.zeros(2, np.int64), np.zeros(0, np.int64)
        self.nodes += [
            Index(f"{name}.spikes", (sent,), (size,)),
            Linear(f"{name}.nothing", (f"{name}.spikes",), Sparse(rows, none, none, size, (1,))),
            always(f"{name}.always", f"{name}.nothing"),
            Linear(f"{name}.constant", (f"{name}.always",), Dense(constant[0])),
            Index(f"{name}.bias", (f"{name}.constant",), shape),
        ]
        self._add(Add(f"{name}.biased", (summed, f"{name}.bias")), shape)

    def _matrix(self, layer: RawNode, shape: Shape) -> Dense:
        return Dense(synapses.matrix(layer, "weight", shape[0], self.shape[0]))

    def _squeeze(self, layer: RawNode) -> None:
        """(features, 1, 1) is what lava-dl calls a dense layer's shape."""
        features = layer.integers("inFeatures")[0]
        if len(self.shape) == 3 and self.shape == (features, 1, 1):
            self._reshape(f"{layer.name}.flat", (features,))
        if self.shape != (features,):
            raise ModelError(
                "the layer does not fit what flows into it",
                where=layer.where("inFeatures"),
                found=f"input {self.shape}",
                allowed=f"({features},)",
                remedy="put a flatten layer before a dense layer",
            )

    def _linear(self, layer: RawNode, weights: Weights, shape: Shape, shift: int) -> None:
        self._add(Linear(f"{layer.name}.weight", (self.last,), weights), shape)
        self._check_wrap(layer, linear_bound(weights, 1), shift)

    def _recurrent(
        self, layer: RawNode, shape: Shape, delay: IntArray, constant: list[IntArray]
    ) -> int:
        """Spikes of the last step come back through ``weight_rec``."""
        if delay.any():
            raise UnsupportedError(
                "delays of a recurrent layer",
                where=layer.where("delay"),
                remedy="netx delays its loop and drops the weight exponent; train without delays",
            )
        forward = synapses.matrix(layer, "weight", shape[0], self.shape[0])
        back = synapses.matrix(layer, "weight_rec", shape[0], shape[0])
        shift, (forward, back, *constant) = synapses.without_factor(forward, back, *constant)
        name, source, size = layer.name, self.last, size_of(self.shape)
        self.nodes += [
            Linear(f"{name}.weight", (source,), Dense(forward)),
            Delay(f"{name}.past", (name,), 1),
            Linear(f"{name}.weight_rec", (f"{name}.past",), Dense(back)),
        ]
        self._add(Add(f"{name}.sum", (f"{name}.weight", f"{name}.weight_rec")), shape)
        self._check_wrap(layer, linear_bound(Dense(np.hstack([forward, back])), 1), shift)
        self._add_constant(layer, constant, shape, source, size)
        return shift

    def _check_wrap(self, layer: RawNode, bound: int, shift: int) -> None:
        wraps = layer.text("neuron/type") not in (ALIF, *sigma_delta.KINDS)
        if wraps and bound << (shift - STATE_SHIFT) > ONE_WRAP:
            self.notes.add(
                layer.name,
                f"an input beyond {ONE_WRAP} would leave Lava's 24 bits; here u wraps around",
            )

    def _delayed(self, layer: RawNode, delay: IntArray) -> None:
        """Delay what flows into each neuron: its spikes are late by the same steps."""
        if not delay.any():
            return
        name, source, size = layer.name, self.last, size_of(self.shape)
        if delay.size == 1:
            self._add(Delay(f"{name}.late", (source,), int(delay.flat[0])), self.shape)
        else:
            steps = [int(s) for s in np.unique(delay) if s]
            self.nodes += [Delay(f"{name}.late{s}", (source,), s) for s in steps]
            choice = np.searchsorted([0, *steps], delay.reshape(-1))
            sources = (source, *(f"{name}.late{s}" for s in steps))
            picked = choice * size + np.arange(size)
            self._add(Index(f"{name}.late", sources, self.shape, picked), self.shape)
        self.notes.add(
            name, "axonal delays act as in training; netx starts the bias early" if
            layer.has("bias") else "axonal delays act as in training",
        )  # fmt: skip
        if layer.kind == "conv":
            self.notes.add(name, "netx ignores the delays of a conv layer")

    def _reshape(self, name: str, shape: Shape) -> None:
        self._add(Index(name, (self.last,), shape), shape)

    def _check_shape(self, layer: RawNode) -> None:
        stored = file_shape(layer)
        if size_of(stored) != size_of(self.shape) or (
            len(self.shape) == 3 and stored != self.shape
        ):
            raise ModelError(
                "the stored shape is not what the layer computes",
                where=layer.where("shape"),
                found=stored,
                allowed=self.shape,
                remedy="the file was edited or written by another version of lava-dl",
            )


def check_kind(layer: RawNode) -> None:
    """Raise ``UnsupportedError`` for a layer type or field that is not known."""
    if layer.kind not in FIELDS:
        raise UnsupportedError(
            f"layer type {layer.kind} is not supported",
            where=layer.where("type"),
            found=layer.kind,
            allowed=", ".join(FIELDS),
            remedy="replace the layer before training",
        )
    for label in layer.fields:
        if label.split("/")[0] not in FIELDS[layer.kind]:
            raise UnsupportedError(
                "unknown field of a layer",
                where=layer.where(label),
                allowed=", ".join(FIELDS[layer.kind]),
                remedy="lava-dl 0.6.0 writes and reads no such field",
            )


def file_shape(layer: RawNode) -> Shape:
    """The stored shape: (channels, height, width) or (features,)."""
    shape = layer.integers("shape")
    if len(shape) not in (1, 2, 3) or min(shape) < 1:
        raise ModelError(
            "a shape has one to three positive extents", where=layer.where("shape"), found=shape
        )
    _check_size(layer, shape)
    return shape


def _check_size(layer: RawNode, shape: Shape) -> None:
    if size_of(shape) > MAX_NEURONS or size_of(shape) < 1:
        raise ModelError(
            "too many neurons in a layer",
            where=layer.where("shape"),
            found=shape,
            allowed=f"1 to {MAX_NEURONS}",
        )
