"""The bit-exact gate: every zoo network's integers equal its float64 run, spike for spike."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from support.real_nets import spikes
from support.zoo import ZOO, Entry

from snnc.backends.targets import load
from snnc.compiler.quantize import Quantized, QuantizeOptions, quantize
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.target import Target
from snnc.simulators.reference import run
from snnc.simulators.reference.real import run_real

SAMPLES = 6


def data(network: Network, entry: Entry) -> Any:
    kind = network.of_type(Input)[0]
    return spikes((SAMPLES, entry.steps, *kind.shape), entry.rate, seed=3, most=kind.type.high)


def compare(network: Network, entry: Entry, target: Target) -> tuple[Quantized, int]:
    """Quantize and run both; every spike and every logit must be equal.  Returns the spikes."""
    x = data(network, entry)
    real_data = {"in": x.astype(float)}
    done = quantize(network, target, QuantizeOptions(entry.bits, entry.steps), real_data)
    integer, real = run(done.network, {"in": x}), run_real(network, real_data)
    differing = {
        name: integer.spikes[name].mismatches(events)
        for name, events in real.spikes.items()
        if name in integer.spikes
    }
    assert not any(differing.values()), differing
    for name, values in real.outputs.items():
        readout: Any = done.network.node[done.network.node[name].inputs[0]]
        assert isinstance(readout, Neuron)
        np.testing.assert_array_equal(integer.outputs[name] * np.array(readout.grid), values)
        assert np.unique(values).size > 5
    return done, sum(int(real.spike_counts[name].sum()) for name in differing)


@pytest.mark.parametrize("name", ZOO)
def test_zoo_networks_are_exact(name: str) -> None:
    entry = ZOO[name]
    _, counted = compare(entry.make(), entry, load("toy-mesh"))
    sys.stdout.write(f"{name}: {counted} spikes compared\n")
    assert counted > 50
