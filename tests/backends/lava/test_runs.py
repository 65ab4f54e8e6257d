"""Lava itself, spike by spike against the reference: small and bounded; the rest is a script.

``benchmarks/lava_equality.py`` runs hundreds of networks; here one worker runs a few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.lava import require_lava
from support.lava_networks import lif_network
from support.lava_truth import traced
from support.random_networks import random_inputs, random_network

from snnc.backends.lava import LavaOptions, lower, run_on_lava
from snnc.backends.lava.jobs import Job
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Neuron, Reset
from snnc.ir.nodes import Index, Input, Linear, Lut, MatMul, Mul, Output, Pool, Reduce, Rescale
from snnc.ir.types import ValueType
from snnc.ir.weights import Dense
from snnc.on_lava import as_result
from snnc.simulators import functional, reference
from snnc.simulators.compare import compare_runs

STEPS, SAMPLES = 8, 2


def run_all(networks: list[IntegerNetwork], steps: int = STEPS) -> list[tuple[Any, Any]]:
    """(inputs, result) of every network, all in one worker."""
    options = LavaOptions(require_lava())
    inputs = [random_inputs(n, 7, SAMPLES, steps) for n in networks]
    plans = [lower(network, steps) for network in networks]
    runs = run_on_lava([Job(p, x) for p, x in zip(plans, inputs, strict=True)], options)
    return [
        (x, as_result(n, p, r, SAMPLES))
        for n, p, r, x in zip(networks, plans, runs, inputs, strict=True)
    ]


def test_random_networks_are_equal_on_lava() -> None:
    networks = [lif_network(seed) for seed in range(6)] + [random_network(s) for s in range(4)]
    spikes = 0
    for network, (inputs, result) in zip(networks, run_all(networks), strict=True):
        truth = reference.run(network, inputs)
        assert compare_runs(truth, result).first is None, network.name
        assert compare_runs(functional.run(network, inputs), result).first is None, network.name
        for name, counts in truth.spike_counts.items():
            np.testing.assert_array_equal(result.spike_counts[name], counts)
        spikes += sum(int(c.sum()) for c in truth.spike_counts.values())
    assert spikes > 1000


def operators() -> IntegerNetwork:
    """Maximum pool, reductions, products, a table and a rescale between populations."""
    rng = np.random.default_rng(3)

    def population(name: str, source: str, shape: tuple[int, ...], level: int) -> Neuron:
        theta = np.array([level, 2 * level])
        return Neuron(name, (source,), shape, theta, Reset("subtract", theta[0]), bias=(
            GatedBias(rng.integers(0, 4, shape)),))  # fmt: skip

    nodes = (
        Input("x", (2, 4, 4), ValueType("cnt", 3)),
        population("a", "x", (2, 4, 4), 2),
        Pool("max", ("a",), "max", (2, 2), (1, 1), ((1, 0), (0, 1))),
        population("b", "max", (2, 4, 4), 1),
        Mul("product", ("a", "b")),
        Reduce("sums", ("product",), "sum", (1,)),
        Index("flat", ("sums",), (8,)),
        Lut("table", ("flat",), 0, np.array([5, -2, 7, 0, 9])),
        Linear("w", ("table",), Dense(rng.integers(-3, 5, (6, 8)))),
        Rescale("scaled", ("w",), np.array(3), 1, "half_even", 8),
        population("c", "scaled", (6,), 3),
        Index("left", ("c",), (2, 3)),
        Index("right", ("a",), (3, 3), np.arange(9)),
        MatMul("matrix", ("left", "right"), transpose_b=True),
        population("d", "matrix", (2, 3), 2),
        Output("out", ("d",)),
    )
    return IntegerNetwork("operators", nodes)


def test_operators_lava_lacks_are_equal_in_snncs_own_processes() -> None:
    network = operators()
    ((inputs, result),) = run_all([network])
    truth = reference.run(network, inputs)
    assert min(truth.spike_counts["d"]) > 10
    assert compare_runs(truth, result).first is None


def test_currents_and_potentials_of_lavas_own_neurons_are_the_references() -> None:
    network = lif_network(2)
    plan = lower(network, STEPS)
    inputs = random_inputs(network, 7, 1, STEPS)
    names = [p.name for p in network.populations if p.name not in plan.notes]
    assert names
    probes = [(name, variable) for name in names for variable in ("u", "v")]
    (run,) = run_on_lava([Job(plan, inputs, probes)], LavaOptions(require_lava()))
    patch = pytest.MonkeyPatch()
    with patch.context():
        _, states = traced(network, inputs, patch)
    for name in names:
        window = slice(plan.windows[name].first - 1, plan.windows[name].first - 1 + STEPS)
        current = np.stack(states[name].current).reshape(STEPS, -1)
        potential = np.stack(states[name].potential).reshape(STEPS, -1)
        np.testing.assert_array_equal(run.probes[name, "u"][window], current)
        np.testing.assert_array_equal(run.probes[name, "v"][window], potential)
