"""Lava's arithmetic on a Loihi-class chip: every population becomes Lava's fixed-point LIF exactly.

The quantizer has already taken one grid per layer, so that one threshold serves a population, and
the target's registers: thresholds ``vth << 6`` compared by ``>``, 12-bit decays rounded toward
zero, 8-bit weights (Lava's are the even numbers, twice ours), bias mantissa and exponent.  What
remains are the ranges: Lava's current wraps into (-2^23, 2^23], its potential clips to
+-(2^23 - 1).  The result runs unchanged on Lava, and so on an INRC machine; a population that
cannot be Lava's is refused with the reason.
"""

from __future__ import annotations

from dataclasses import replace

from snnc.backends.lava.natives import M, NotLifError, as_lif
from snnc.ir.errors import OptionError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, StateRange
from snnc.ir.target import Target

POTENTIAL = StateRange(-M + 1, M - 1)
CURRENT = StateRange(-M + 1, M, "wrap")
STATE_SHIFT = 6


def lava_registers(target: Target) -> Target:
    """The target as the quantizer shall see it: Lava's weights are even, so one bit is shifted in.

    Below an input shift of 7 an odd mixed-sign weight would not fit Lava's convolution.
    """
    low, high = target.neuron.input_shift
    least = min(max(low, STATE_SHIFT + 1), high)
    neuron = target.neuron.model_copy(update={"input_shift": (least, high)})
    return target.model_copy(update={"neuron": neuron})


def lava_semantics(network: IntegerNetwork, target: Target, timesteps: int) -> IntegerNetwork:
    """The network with Lava's ranges, every spiking population proven to be Lava's LIF.

    Args:
        network: quantized for the target, one grid per layer.
        target: must have Loihi's neuron.
        timesteps: of one sample, for the proofs about overflow.

    Raises:
        OptionError: the target's neuron is not Loihi's.
        UnsupportedError: a population that Lava's LIF cannot be, with the reason.
    """
    model = target.neuron
    if model.comparator != ">" or model.threshold_shift != STATE_SHIFT or model.state_bits != 24:
        raise OptionError(
            "Lava's arithmetic is that of Loihi-class chips",
            where="--semantics",
            found=f"lava for {target.id}",
            remedy="choose loihi1 or loihi2, or leave --semantics out",
        )
    nodes = tuple(
        _with_ranges(node) if isinstance(node, Neuron) else node for node in network.nodes
    )
    result = IntegerNetwork(network.name, nodes, {**network.assumptions, "semantics": "lava"})
    for neuron in result.populations:
        if neuron.emit == "state":  # read by the host, never Lava's spikes
            continue
        try:
            as_lif(neuron, result.types[neuron.inputs[0]].magnitude, timesteps)
        except NotLifError as reason:
            raise UnsupportedError(
                "Lava's LIF cannot be this population",
                where=neuron.name,
                found=reason,
                remedy="train with reset to zero and one threshold and decay per layer, or leave "
                "--semantics out",
            ) from reason
    return result


def _with_ranges(neuron: Neuron) -> Neuron:
    return replace(neuron, state_range=POTENTIAL, current_range=CURRENT)
