"""A classifier like GeNN's, end to end: latency code, a tenth of the synapses, LI readout."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.compiled import compiled

import snnc
from snnc.backends.targets import load
from snnc.inputs import InputOptions
from snnc.inputs.encode import encode
from snnc.ir import artifact
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense, Sparse
from snnc.simulators import reference

STEPS, HIDDEN, TAU, TRAINED = 50, 128, 20.0, 240
CODE = "latency:rule=genn,tau=20,nu=0.1"
RANGE = StateRange(-(2**31), 2**31 - 1)
LEAK = Leak(np.array(round(65536 * math.exp(-1 / TAU))), 16)


def digits() -> tuple[Any, Any]:
    """360 images in [0, 1], flat, and their classes."""
    with np.load(str(files("snnc") / "demo_data" / "digits_test.npz")) as data:
        return data["x"].reshape(-1, 64) / 16.0, data["y"].astype(np.int64)


def sparse_layer(seed: int) -> Sparse:
    """Each of 64 sources reaches a tenth of the hidden neurons."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(40, 128, (HIDDEN, 64)) * rng.choice([1, 1, -1], (HIDDEN, 64))
    weights = weights * (rng.random((HIDDEN, 64)) < 0.1)
    rows, columns = np.nonzero(weights)
    pointers = np.searchsorted(rows, np.arange(HIDDEN + 1))
    return Sparse(pointers, columns, weights[rows, columns], 64, (HIDDEN,))


def network(readout: Any) -> IntegerNetwork:
    hidden = Neuron(
        "hidden", ("w",), (HIDDEN,), np.array([160 << 6]), Reset("value"), leak=LEAK,
        input_shift=6, refractory=5, refractory_hold=True, state_range=RANGE,
    )  # fmt: skip
    integrator = Neuron(
        "li", ("v",), (10,), np.zeros((0, 1), int), Reset("none"), leak=LEAK, input_shift=12,
        emit="state", state_range=RANGE,
    )  # fmt: skip
    return IntegerNetwork(
        "sparse-latency",
        (
            Input("x", (64,), BIN),
            Linear("w", ("x",), sparse_layer(0)),
            hidden,
            Linear("v", ("hidden",), Dense(readout)),
            integrator,
            Output("out", ("li",), "last"),
        ),
    )


@pytest.fixture(scope="module")
def trained() -> IntegerNetwork:
    """The readout is a ridge regression on the leaky traces of the hidden spikes."""
    x, y = digits()
    blank = network(np.zeros((10, HIDDEN), np.int64))
    spikes = {"x": encode(x[:TRAINED], CODE, STEPS, 0).astype(np.int64)}
    events = reference.run(blank, spikes).spikes["hidden"]
    trace = np.zeros((TRAINED, HIDDEN))
    np.add.at(trace, (events.sample, events.index), np.exp((events.step - STEPS + 1) / TAU))
    wanted = np.eye(10)[y[:TRAINED]] - 0.1
    weights = np.linalg.solve(trace.T @ trace + 0.5 * np.eye(HIDDEN), trace.T @ wanted).T
    return network(np.rint(weights * 127 / np.abs(weights).max()).astype(np.int64))


def test_a_sparse_latency_coded_classifier_runs_on_the_chip(
    trained: IntegerNetwork, tmp_path: Path
) -> None:
    x, y = digits()
    np.savez(tmp_path / "test.npz", x=x[TRAINED:], y=y[TRAINED:])
    deployment = replace(
        compiled(trained, load("toy-mesh"), STEPS), provenance={"inputs": {"encode": CODE}}
    )
    artifact.write(deployment, tmp_path / "net.snnc")
    run = snnc.run(tmp_path / "net.snnc", tmp_path / "test.npz", compare=120)
    assert run.mismatches == 0
    assert run.accuracy is not None
    assert run.accuracy > 0.65  # of a hidden layer that nobody trained
    assert run.cycle is not None
    assert run.cycle["stray_inputs"] == 0
    sparse = deployment.target.core.encodings.index("sparse")
    cores, first = deployment.cores, deployment.sources.first["hidden"]
    thin = cores.axon_encoding[cores.axon_source < first] == sparse
    assert thin.mean() > 0.5
    assert run.cycle["events"]["synapse_op_sparse"] > 0
    # Every pixel spikes at most once; a bright one before a dark one.
    raster = encode(x, CODE, STEPS, 0)
    assert raster.sum(axis=1).max() == 1
    stopped = snnc.run(
        tmp_path / "net.snnc", tmp_path / "test.npz", backend="functional",
        inputs=InputOptions(encode=CODE), early_stop=float(1 << 20), decode="max",
    )  # fmt: skip
    assert stopped.early_stop is not None
    assert stopped.early_stop["share_saved"] > 0
