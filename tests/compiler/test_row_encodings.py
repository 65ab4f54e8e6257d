"""Every row takes the cheapest of dense, bitmask and sparse storage, and the report says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.compiled import compiled
from support.random_networks import random_inputs

from snnc.backends.targets import load
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.retime import retime
from snnc.compiler.verify import examine
from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset, StateRange
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import cycle, reference

TOY = load("toy-mesh")
DENSE, SPARSE, BITMASK = (TOY.core.encodings.index(name) for name in ("dense", "sparse", "bitmask"))


def layer(weights: Any) -> IntegerNetwork:
    matrix = np.asarray(weights)
    nodes = (
        Input("x", (matrix.shape[1],), BIN),
        Linear("w", ("x",), Dense(matrix)),
        Neuron("n", ("w",), (matrix.shape[0],), np.array([60]), Reset("value"),
               state_range=StateRange(-(2**31), 2**31 - 1)),
        Output("out", ("n",)),
    )  # fmt: skip
    return IntegerNetwork("layer", nodes)


def spread(density: float, seed: int = 0) -> Any:
    """64 targets; every source reaches this share of them, the first and the last included."""
    rng = np.random.default_rng(seed)
    values = np.zeros((64, 8), np.int64)
    for source in range(8):
        count = max(2, round(64 * density))
        chosen = {0, 63, *rng.permutation(np.arange(1, 63))[: count - 2].tolist()}
        values[sorted(chosen), source] = rng.integers(100, 127, len(chosen))
    return values


@pytest.mark.parametrize(
    ("density", "encoding"),
    # Bits per slot of the span, 8-bit weights and 6-bit slots: 8, 1 + 8 p, 14 p.
    [(0.08, SPARSE), (0.14, SPARSE), (0.2, BITMASK), (0.5, BITMASK), (0.85, BITMASK), (0.95, DENSE),
     (1.0, DENSE)],
)  # fmt: skip
def test_the_density_decides(density: float, encoding: int) -> None:
    deployment = compiled(layer(spread(density)), TOY, 3)
    assert set(deployment.cores.axon_encoding.tolist()) == {encoding}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), density=st.floats(0.02, 1.0))
def test_no_other_encoding_of_any_row_is_smaller(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (80, 20)) * (rng.random((80, 20)) < density)
    network = layer(weights)
    deployment = compiled(network, TOY, 4)
    cores, smaller = deployment.cores, 0
    for axon in range(cores.axon_source.size):
        row = cores.synapse_target[cores.synapse_ptr[axon] : cores.synapse_ptr[axon + 1]]
        span = int(row.max() - row.min()) + 1
        bits = {DENSE: 8 * span, SPARSE: 14 * row.size, BITMASK: span + 8 * row.size}
        assert bits[int(cores.axon_encoding[axon])] == min(bits.values())
        smaller += bits[int(cores.axon_encoding[axon])] < bits[DENSE]
    inputs = random_inputs(network, seed, 2, 4)
    got = cycle.run(deployment, inputs)
    assert sum(got.result.mismatches(reference.run(network, inputs)).values()) == 0


def storage(network: IntegerNetwork) -> tuple[Deployment, Any]:
    retiming = retime(network, TOY, 3)
    mapping = map_network(network, retiming, TOY, 1, None, MapOptions(effort="low"))
    deployment = Deployment(
        network, TOY, 1, retiming.schedule, mapping.cores, mapping.routes,
        mapping.certificate, {}, {},
    )  # fmt: skip
    return deployment, mapping.report["synapse_storage"]


def test_the_report_says_what_is_saved_and_the_checker_recounts_it() -> None:
    weights = np.concatenate([spread(0.1), spread(0.5), spread(1.0)], axis=1)
    deployment, found = storage(layer(weights))
    assert found["rows"] == {"dense": 8, "sparse": 8, "bitmask": 8}
    assert found["synapses"] == {"dense": 8 * 64, "sparse": 8 * 6, "bitmask": 8 * 32}
    used = 24 * 16 + 8 * (64 * 8 + 6 * 14 + 64 + 32 * 8)
    assert found["memory"] == {
        "synapse_mem": {"unit": "bit", "used": used, "all_dense": 24 * 16 + 24 * 64 * 8}
    }
    assert examine(deployment).ok
    resources = {
        name: r.model_copy(update={"capacity": r.capacity.model_copy(update={"v": used - 1})})
        if name == "synapse_mem" else r
        for name, r in TOY.core.resources.items()
    }  # fmt: skip
    core = TOY.core.model_copy(update={"resources": resources})
    full = replace(deployment, target=TOY.model_copy(update={"core": core}))
    assert set(examine(full).broken) == {"capacity"}


def test_entries_of_a_bitmask_row_have_their_own_price() -> None:
    deployment = compiled(layer(spread(0.5)), TOY, 2)
    got = cycle.run(deployment, {"x": np.ones((1, 2, 8), np.int64)})
    assert got.counts["synapse_op_bitmask"] == 2 * 8 * 32 == got.counts["all_in_synaptic_event"]
    assert got.counts["synapse_op_dense"] == got.counts["synapse_op_sparse"] == 0
    assert got.energy.by_kind["synapse_op_bitmask"] == pytest.approx(1.5e-12 * 512)
