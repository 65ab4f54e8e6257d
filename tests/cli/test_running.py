"""What a run counts and compares: no state passes for spikes, no difference goes unseen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import snnc as package
from snnc import equality
from snnc.equality import differences
from snnc.inputs import Dataset
from snnc.inputs.dataset import InputOptions
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset, StateRange
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import reference
from snnc.simulators.decoding import tied
from snnc.simulators.result import decode
from snnc.tallies import spikes_of


def network_with_readout() -> IntegerNetwork:
    """x -> one spiking neuron "n" -> a readout "v" of weight 50 that keeps its sum."""
    return IntegerNetwork(
        "readout",
        (
            Input("x", (1,), BIN),
            Neuron("n", ("x",), (1,), np.array([1]), Reset("value")),
            Linear("w", ("n",), Dense(np.array([[50]]))),
            Neuron(
                "v", ("w",), (1,), np.zeros((0, 1), np.int64), Reset("none"),
                emit="state", state_range=StateRange(-1000, 1000),
            ),
            Output("y", ("v",)),
        ),
    )  # fmt: skip


X = np.array([[[1], [0], [1]], [[0], [0], [0]]])


def test_a_readouts_state_is_not_counted_as_spikes() -> None:
    network = network_with_readout()
    result = reference.run(network, {"x": X})
    assert result.outputs["y"][0, :, 0].tolist() == [50, 50, 100]
    assert spikes_of(network, result) == {"n": 2}


def test_the_mapper_expects_no_packets_of_a_readout() -> None:
    from snnc.backends import targets
    from snnc.execution import measure_rates

    data = Dataset(2, 3, None, (), {"x": (1,)}, {"x": X}, None, InputOptions())
    rates = measure_rates(network_with_readout(), targets.load("loihi1"), {}, data, 2)
    assert {name: rate.tolist() for name, rate in rates.items()} == {"x": [1], "n": [1], "v": [0]}


def test_every_kind_of_difference_counts() -> None:
    truth = reference.run(network_with_readout(), {"x": X})
    assert differences(truth, truth) == 0
    unrecorded = dataclasses.replace(truth, spikes={"v": truth.spikes["v"]})
    assert differences(truth, unrecorded) == 2
    miscounted = dataclasses.replace(
        truth, spike_counts={**truth.spike_counts, "n": np.array([2, 1])}
    )
    assert differences(truth, miscounted) == 1
    wrong = dataclasses.replace(truth, outputs={"y": truth.outputs["y"] + 1})
    assert differences(truth, wrong) == 6


def test_samples_without_a_single_best_class_are_undecided() -> None:
    values = np.array([[[0, 0, 0]], [[3, 1, 3]], [[1, 2, 0]]])
    assert tied(decode(values, "sum")) == 2


def test_simulators_are_compared_part_by_part(
    compiled: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = package.verify(compiled, data, samples=3)
    monkeypatch.setattr(equality, "COMPARED_BYTES", 1)
    parts = package.verify(compiled, data, samples=3)
    assert parts.equality == whole.equality
    monkeypatch.setattr(equality, "differences", lambda _truth, _other: 1)
    found = package.verify(compiled, data, samples=3).equality
    assert found is not None
    assert found.mismatches == {"functional": 3, "cycle": 3}
