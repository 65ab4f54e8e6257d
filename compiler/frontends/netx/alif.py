"""The adaptive LIF of a ``.net`` layer, as ``lava.lib.dl.slayer.neuron.alif`` 0.6.0 computes it.

``dynamics/leaky_integrator.py`` and ``dynamics/adaptive_threshold.py``, in integers of 1/4096, tz
rounding toward zero, in every step::

    u = tz(u (4096 - iDecay)) + ((sum of weights + bias) << 6)
    v = tz(v (4096 - vDecay)) + u
    r = tz(r (4096 - refDecay))
    th = tz((th - th0) (4096 - thDecay)) + th0            th0 = vThMant << 6
    s = v >= th + r
    r += 2 th where s;  th += vThStep << 6 where s

There is no process for it in Lava, and netx does not load it.  The normal form keeps ``th - th0``
as its adaptation and ``r`` as its recovery, each after the decay that the next step begins with.
lava-dl's bias joins the input, before the current: one more neuron, which fires in every step,
brings it through synapses.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.frontends.netx.neurons import (
    STATE_SHIFT,
    check,
    leak_of,
    parameter,
)
from snnc.compiler.frontends.record import RawNode
from snnc.ir.arrays import Shape
from snnc.ir.neuron import (
    MEMORYLESS,
    Adaptation,
    GatedBias,
    Neuron,
    Recovery,
    Reset,
    StateRange,
)

KIND = "ALIF"
RANGE = StateRange(-(2**31), 2**31 - 1)
_REGISTER = (0, (1 << 24) - 1)


def is_alif(layer: RawNode) -> bool:
    """Whether the layer's neurons are adaptive."""
    return layer.text("neuron/type") == KIND


def alif(layer: RawNode, source: str, shape: Shape, shift: int) -> Neuron:
    """The population of a layer; ``shift`` is that of the weighted input."""
    check(layer)
    step = parameter(layer, "neuron/vThStep", shape, *_REGISTER) << STATE_SHIFT
    threshold = parameter(layer, "neuron/vThMant", shape, *_REGISTER) << STATE_SHIFT
    return Neuron(
        layer.name, (source,), shape, threshold[None], Reset("none"),
        leak_of(layer, "neuron/vDecay", shape), leak_of(layer, "neuron/iDecay", shape), shift,
        adaptation=Adaptation("raise_decay", step, leak_of(layer, "neuron/thDecay", shape)),
        recovery=Recovery(leak_of(layer, "neuron/refDecay", shape)),
        state_range=RANGE, current_range=RANGE,
    )  # fmt: skip


def always(name: str, source: str) -> Neuron:
    """One neuron that fires in every step, whatever the nothing it receives from ``source``."""
    return Neuron(
        name, (source,), (1,), np.ones(1, np.int64), Reset("value"), MEMORYLESS,
        bias=(GatedBias(np.ones(1, np.int64)),), state_range=RANGE,
    )  # fmt: skip


def forgets(layer: RawNode, shape: Shape) -> bool:
    """Whether the current holds one step only, so that a bias may as well join the potential."""
    return not leak_of(layer, "neuron/iDecay", shape).multiplier.any()
