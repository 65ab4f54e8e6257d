"""Sigma-delta neurons of a ``.net`` file, as netx builds them from ``lava.proc.sdn`` 0.10.0.

``PySigmaDeltaModelFixed``, ``PyDeltaModelFixed``, ``PySigmaModelFixed``, in 32-bit integers that
wrap, F = spike_exp + 6, in every step::

    sigma = sigma + (sum of weights)
    act   = max(sigma + (bias << F), 0)             a Delta input: value << F
    delta = act - act of the step before + residue
    s     = |delta| >= vThMant << F ? delta : 0
    residue = delta - s;  send s >> 6               a Sigma output: send sigma

What was sent is act - residue: one number, the normal form's ``a``.  lava-dl's training computes
the same in real numbers of 1/4096 as long as its threshold is a multiple of 1/64.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.frontends.netx.neurons import BIAS_RANGE, bias, check, gated, parameter
from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.arrays import IntArray, Shape
from snnc.ir.errors import UnsupportedError
from snnc.ir.neuron import MEMORYLESS, NO_LEAK, DeltaCode, Neuron, Reset, StateRange
from snnc.ir.types import ValueType

KINDS = ("SDNN",)
STATE_EXPONENT = 6
"""``state_exp`` of netx: messages are in units of 2^6 of the state."""
SUM = StateRange(-(2**31), 2**31 - 1, "wrap")
EIGHT_BITS = 256
"""lava-dl quantizes what enters the network to even numbers of -256..254."""
MESSAGE_BITS = 16
"""``num_message_bits`` of netx, for an input that is already coded as changes."""


def is_sigma_delta(layer: RawNode) -> bool:
    """Whether the layer's neurons send changes."""
    return layer.text("neuron/type") in KINDS


def values(layer: RawNode) -> ValueType:
    """What is fed to an input layer: netx hands it to the delta encoder in every step."""
    affine = layer.has("weight") or layer.has("bias")
    return ValueType("scnt", 1 + BIAS_RANGE[1] if affine else EIGHT_BITS)


def changes(layer: RawNode, spike_exponent: int) -> ValueType:
    """What the delta encoder of an input layer sends, where it is left to the host."""
    return ValueType("scnt", 2 * values(layer).high << spike_exponent)


def encoder(layer: RawNode, source: str, shape: Shape, spike_exponent: int) -> Neuron:
    """The delta encoder of an input layer."""
    check(layer)
    shift = spike_exponent + STATE_EXPONENT
    reach = 2 * values(layer).high << shift
    return Neuron(
        layer.name, (source,), shape, _threshold(layer, shape, shift), Reset("none"), MEMORYLESS,
        None, shift, state_range=StateRange(-reach, reach), emit="delta",
        delta=DeltaCode("unit", STATE_EXPONENT),
    )  # fmt: skip


def neuron(
    layer: RawNode,
    source: str,
    shape: Shape,
    shift: int,
    delay: IntArray,
    last: bool,
    spike_exponent: int,
    notes: Notes,
) -> Neuron:
    """The population of a layer with weights; arguments as of ``neurons.neuron``."""
    check(layer)
    unit = spike_exponent + STATE_EXPONENT
    if layer.has("neuron/sigma_output"):
        if not last:
            raise UnsupportedError(
                "a sigma output inside the network",
                where=layer.where("neuron/sigma_output"),
                remedy="only the last layer may show its sums",
            )
        if layer.has("bias"):
            raise UnsupportedError(
                "a sigma output with a bias, which netx does not load",
                where=layer.where("bias"),
                remedy="slayer.block.sigma_delta.Output has none",
            )
        notes.add(layer.name, f"the output is the sum of all input, in units of 2^-{unit + 6}")
        none = np.zeros((0, *(1,) * len(shape)), np.int64)
        return Neuron(
            layer.name, (source,), shape, none, Reset("none"), MEMORYLESS, NO_LEAK, shift,
            state_range=SUM, current_range=SUM, emit="state",
        )  # fmt: skip
    activation = layer.text("neuron/activation")
    if activation != "relu":
        raise UnsupportedError(
            "netx computes a ReLU whatever the activation is",
            where=layer.where("neuron/activation"),
            found=activation,
            allowed="relu",
            remedy="train with activation=torch.nn.functional.relu",
        )
    return Neuron(
        layer.name, (source,), shape, _threshold(layer, shape, unit), Reset("none"), MEMORYLESS,
        NO_LEAK, shift, gated(bias(layer, shape), delay, unit), state_range=SUM,
        current_range=SUM, emit="delta", delta=DeltaCode("relu", STATE_EXPONENT),
    )  # fmt: skip


def _threshold(layer: RawNode, shape: Shape, shift: int) -> IntArray:
    register = parameter(layer, "neuron/vThMant", shape, 0, (1 << 24 >> shift) - 1)
    ladder: IntArray = (register << shift)[None]
    return ladder
