"""The zoo of trained structures on the toy mesh: quantized, rewritten, placed, and exact."""

from __future__ import annotations

import numpy as np
import pytest
from support.deployed import deployed
from support.real_nets import spikes
from support.zoo import ZOO

from snnc.backends.targets import load
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.ir.nodes import Input
from snnc.simulators import cycle, reference

QUICK = {"SEW-IAND", "MS-ResNet / EMS", "SDT-v1 (SDSA)", "SpikeLM ternary", "SEMM"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ZOO]
)
def test_the_zoo_runs_on_the_cores_of_the_toy_mesh(name: str) -> None:
    entry, toy = ZOO[name], load("toy-mesh")
    network = entry.make()
    kind = network.of_type(Input)[0]
    x = spikes((1, entry.steps, *kind.shape), entry.rate, seed=3, most=kind.type.high)
    options = QuantizeOptions(entry.bits, entry.steps)
    integer = quantize(network, toy, options, {"in": x.astype(float)}).network
    expected = reference.run(integer, {"in": x})
    emulated = cycle.run(deployed(integer, toy, entry.steps, chips=16), {"in": x}).result
    for population, events in expected.spikes.items():
        assert emulated.spikes[population].mismatches(events) == 0, population
    for output, values in expected.outputs.items():
        np.testing.assert_array_equal(emulated.outputs[output], values)
    assert sum(int(c.sum()) for c in expected.spike_counts.values()) > 0
