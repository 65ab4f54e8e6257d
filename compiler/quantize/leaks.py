"""Decays in the leak formats of simpler chips, asked for by name and measured like all rounding.

``shift``: the nearest 1 - 2^-k, a decay that a chip computes with one shift and one subtraction.
``linear``: no decay, but a constant taken off per step: what the decay took on average on the
calibration data, per channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.ir.arrays import RealArray, Shape
from snnc.ir.errors import OptionError
from snnc.ir.network import Network
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.reference.real import RealState, run_real

LARGEST_SHIFT = 12


def with_leaks(
    network: Network, kind: str, data: Mapping[str, RealArray] | None
) -> tuple[Network, dict[str, Any]]:
    """The network with other decays, and by population what was taken instead.

    Args:
        network: real and normalised.
        kind: of ``options.LEAKS``.
        data: by input name, [samples, steps, *shape]; needed for "linear".

    Raises:
        OptionError: a linear leak without data, or of a synaptic current.
    """
    changed, told = {}, {}
    leaky = [n for n in network.of_type(RealNeuron) if n.threshold is not None and _decays(n)]
    for neuron in leaky:
        if kind == "shift":
            changed[neuron.name], told[neuron.name] = _shifted(neuron)
        else:
            changed[neuron.name], told[neuron.name] = _linear(network, neuron, data)
    nodes = tuple(changed.get(node.name, node) for node in network.nodes)
    return replace(network, nodes=nodes), told


def _decays(neuron: RealNeuron) -> bool:
    return neuron.current_decay is not None or bool((neuron.decay != 1).any())


def _shifted(neuron: RealNeuron) -> tuple[RealNeuron, dict[str, float]]:
    decay = _nearest(neuron.decay)
    error = float(np.abs(decay - neuron.decay).max())
    if neuron.current_decay is None:
        return replace(neuron, decay=decay), {"decay_error": error}
    current = _nearest(neuron.current_decay)
    off = float(np.abs(current - neuron.current_decay).max())
    changed = replace(neuron, decay=decay, current_decay=current)
    return changed, {"decay_error": error, "current_decay_error": off}


def _nearest(decay: RealArray) -> RealArray:
    """0, 1 and 1 - 2^-k are what a shift can keep."""
    known = np.array([1.0, *(1 - 0.5 ** np.arange(LARGEST_SHIFT + 1))])
    result: RealArray = known[np.abs(np.asarray(decay)[..., None] - known).argmin(-1)]
    return result


def _linear(
    network: Network, neuron: RealNeuron, data: Mapping[str, RealArray] | None
) -> tuple[RealNeuron, dict[str, float]]:
    if neuron.current_decay is not None or not data:
        current = neuron.current_decay is not None
        raise OptionError(
            "a synaptic current cannot leak by a constant" if current
            else "the constant is measured on calibration data",
            where="--leak", found=neuron.name,
            remedy="choose --leak shift, or train without a current" if current
            else "give --calibration",
        )  # fmt: skip
    samples = next(iter(data.values())).shape[0]
    state, lost, steps = RealState(neuron, samples, np.float64), np.zeros(neuron.shape), 0

    def add(value: Mapping[str, Any]) -> None:
        nonlocal steps
        lost[...] += ((1 - neuron.decay) * state.v).mean(0)
        state.step(value[neuron.inputs[0]])
        steps += 1

    run_real(network, data, record=(), observe=add)
    each = lost.reshape(neuron.shape[0] if neuron.shape else 1, -1).mean(1) / steps
    offset = neuron.offset - spread(each, neuron.shape)
    changed = replace(neuron, decay=np.ones(()), offset=offset)
    return changed, {"lost_per_step": float(np.abs(each).max())}


def spread(channels: RealArray, shape: Shape) -> RealArray:
    """One number per channel as an array of the population's shape."""
    column = channels.reshape(-1, *(1,) * (len(shape) - 1)) if shape else channels.reshape(())
    return np.broadcast_to(column, shape)
