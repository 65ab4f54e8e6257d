"""Input gains that a framework's importer takes for granted, moved into the thresholds.

``v`` in other units is the same neuron: with k = wanted / given gain, thresholds, resets and leaks
scale by k and every spike stays, exactly where k is a power of two, else up to rounding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.ir.arrays import RealArray
from snnc.ir.network import Network
from snnc.ir.real_neuron import RealNeuron


def with_usual_gains(network: Network, reader: str) -> tuple[Network, tuple[str, ...]]:
    """The network with the gains that the reader assumes, and which populations changed."""
    if reader not in ("snntorch", "spikingjelly", "norse"):
        return network, ()
    changed, notes = {}, []
    for neuron in network.of_type(RealNeuron):
        scaled = _scaled(neuron, reader)
        if scaled is not neuron:
            changed[neuron.name] = scaled
            notes.append(
                f"potentials of {neuron.name} are in other units: {reader} takes an input gain for "
                "granted"
            )
    nodes = tuple(changed.get(node.name, node) for node in network.nodes)
    return replace(network, nodes=nodes) if changed else network, tuple(notes)


def _scaled(neuron: RealNeuron, reader: str) -> RealNeuron:
    if neuron.threshold is None or (neuron.decay == 1).all() or neuron.ladder is not None:
        return neuron
    if neuron.current_decay is not None:
        if reader == "norse":  # keeps both gains of CubaLIF
            return neuron
        assert neuron.current_gain is not None
        k = _unless_one(1 / (neuron.gain * neuron.current_gain))
        if k is None:
            return neuron
        return replace(_times(neuron, k, np.ones(())), current_gain=np.ones(()))
    rate = 1 - neuron.decay
    if reader == "spikingjelly" and np.allclose(neuron.gain, rate, rtol=1e-9):
        return neuron  # decay_input
    wanted = rate if reader == "norse" else np.ones(())
    k = _unless_one(wanted / neuron.gain)
    return neuron if k is None else _times(neuron, k, wanted)


def _unless_one(k: RealArray) -> RealArray | None:
    """None where nothing changes, or where a gain of 0 or below cannot be moved."""
    usable = bool(np.isfinite(k).all() and (k > 0).all())
    return k if usable and (np.abs(k - 1) > 1e-9).any() else None


def _times(neuron: RealNeuron, k: RealArray, gain: RealArray) -> RealNeuron:
    """The neuron with potentials k times as large and another gain."""
    assert neuron.threshold is not None
    return replace(
        neuron,
        gain=gain,
        threshold=neuron.threshold * k,
        offset=neuron.offset * k,
        initial=neuron.initial * k,
        reset_value=None if neuron.reset_value is None else neuron.reset_value * k,
        minimum=neuron.minimum if neuron.minimum is None else float(neuron.minimum * k.flat[0]),
    )
