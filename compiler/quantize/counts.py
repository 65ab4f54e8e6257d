"""How many spikes a population without limit can fire in one step at most: the proof of its type.

A potential after a reset is below the first threshold.  One step adds at most the bound of the
input, so ``v`` stays below ``rest + drive`` and only the levels below that can ever be reached.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.quantize.layer import Layer
from snnc.ir.arrays import IntArray
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network
from snnc.ir.neuron import flat, flat_ladder
from snnc.ir.real_neuron import RealNeuron

MOST = 4095
"""Longest ladder tried; no machine here counts that far in one step."""


def levels_needed(layer: Layer, high: IntArray) -> int:
    """Levels that the population can reach; enough when not more than its ladder has.

    Args:
        layer: quantized with some number of levels.
        high: largest summed input per neuron, before the shift.

    Raises:
        UnsupportedError: nothing bounds the potential.
    """
    neuron, shape = layer.neuron, layer.neuron.shape
    ladder = flat_ladder(neuron.thresholds, shape)
    amount, start = flat(neuron.reset.amount, shape), flat(neuron.initial, shape)
    drive = np.broadcast_to(high, shape).reshape(-1) << neuron.input_shift
    if neuron.current is not None:
        if layer.proof.current is None:
            raise _unbounded(layer.parameters.neuron, "its current grows without a bound")
        drive = np.full_like(drive, layer.proof.current)
    added = sum((np.maximum(flat(b.value, shape), 0) for b in neuron.bias), np.zeros_like(drive))
    top = np.maximum(drive, 0) + added
    if neuron.reset.kind == "subtract":
        taken = np.arange(len(ladder)).reshape(-1, 1) * amount
        rest = np.maximum((ladder - 1 - taken).max(axis=0), start)
        for number, level in enumerate(flat_ladder(neuron.negative_thresholds, shape), 1):
            rest = np.maximum(rest, number * amount - level)  # what a negative count leaves
        beyond = rest + top - ladder[0]
        step = amount
    elif neuron.reset.kind == "value":
        rest = np.maximum(np.maximum(ladder[0] - 1, amount), start)
        beyond = rest + top - ladder[0]
        step = ladder[0]
    elif layer.proof.state[1] is not None:
        beyond, step = layer.proof.state[1] - ladder[0], ladder[0]
    else:
        raise _unbounded(layer.parameters.neuron, "its potential is never reset")
    return max(1, int((beyond // step).max(initial=0)) + 1)


def check_order(network: Network, neuron: RealNeuron, known: set[str]) -> None:
    """Raise where a population hears another whose counts are not bounded yet: a loop."""
    waiting, seen = list(neuron.inputs), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        node = network.node[name]
        if isinstance(node, RealNeuron):
            if name not in known:
                raise _unbounded(node, f"it feeds back to {neuron.name}, which comes before it")
        else:
            waiting.extend(node.inputs)


def too_many(neuron: RealNeuron, levels: int) -> UnsupportedError:
    """The proof ends at a count that no machine here sends."""
    return _unbounded(neuron, f"up to {levels} in one step")


def _unbounded(neuron: RealNeuron, why: str) -> UnsupportedError:
    return UnsupportedError(
        "a population fires any number of spikes per step, and no small number can be proven",
        where=neuron.name,
        found=why,
        allowed=f"at most {MOST} spikes per step",
        remedy="limit it with --max-spikes N (approximates where more would fire), or re-read the "
        "file with one spike per step (--dialect nir)",
    )
