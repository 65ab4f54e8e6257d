"""Corrections on calibration data: rounding, bias, spike rates."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support.real_nets import conv_net, dense_net, spikes
from support.small_target import small_target

from snnc.backends.targets import load
from snnc.compiler.quantize import QuantizeOptions, fidelity, parse_corrections, quantize
from snnc.compiler.quantize.rounding import moments, rounded
from snnc.compiler.summary import approximations
from snnc.ir.errors import OptionError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Conv
from snnc.simulators.reference import run
from snnc.simulators.reference.operators import linear
from snnc.simulators.reference.real import run_real

TARGET = small_target()
GENERATOR = np.random.default_rng(0)
WEIGHTS = np.concatenate([[[1.0]] * 6, (5.25 + 0.2 * GENERATOR.random((6, 15))) / 15], axis=1) / 8
"""With five bits (largest integer 15) all but the first of a row are rounded down."""
X = spikes((20, 30, 16), 0.5).astype(float)


def measured(network: Network, data: Any, *correct: str, bits: int = 5) -> dict[str, Any]:
    steps = data.shape[1]
    options = QuantizeOptions(bits, steps, correct=correct)
    done = quantize(network, TARGET, options, {"in": data})
    found = fidelity(network, done.network, {"in": data}, len(data))["layers"]["n"]
    return {**found, "report": done.report}


@pytest.mark.parametrize("kind", ["rounding", "bias", "rates"])
@pytest.mark.parametrize("changes", [{"reset": "zero"}, {"reset": "subtract"}, {"decay": 0.9}])
def test_each_correction_brings_the_spikes_nearer(kind: str, changes: dict[str, Any]) -> None:
    network = dense_net(WEIGHTS, **changes)
    plain, better = measured(network, X), measured(network, X, kind)

    def off(found: dict[str, Any]) -> int:
        return abs(found["integer_spikes"] - found["spikes"])

    assert off(plain) > 0.03 * plain["spikes"]
    assert off(better) < 0.5 * off(plain)
    fresh = spikes((20, 30, 16), 0.5, seed=5).astype(float)  # not what it was calibrated on
    done = quantize(network, TARGET, QuantizeOptions(5, 30, correct=(kind,)), {"in": X})
    again = fidelity(network, done.network, {"in": fresh}, 20)["layers"]["n"]
    assert abs(again["integer_spikes"] - again["spikes"]) < 0.5 * off(plain)


def test_the_report_holds_what_was_corrected() -> None:
    found = measured(dense_net(WEIGHTS, reset="zero"), X, "bias", "rates")
    corrections = found["report"]["corrections"]
    assert corrections["samples"] == 20
    layer = corrections["layers"]["n"]
    assert layer["mean_shift"] > 0.01
    assert layer["spikes_off_after"] <= layer["spikes_off"]
    assert any("biases corrected" in line for line in approximations(found["report"]))
    matched = measured(dense_net(WEIGHTS, reset="zero"), X, "rates")["report"]
    assert any("match spike rates" in line for line in approximations(matched))


def test_what_calibrated_rounding_leaves_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    network = dense_net(WEIGHTS)
    assert measured(network, X, "rounding")["report"]["rounded_to_nearest"] == []
    monkeypatch.setattr("snnc.compiler.quantize.rounding.WIDEST", 15)
    report = measured(network, X, "rounding")["report"]
    assert len(report["rounded_to_nearest"]) == 1
    assert any("not by calibration" in line for line in approximations(report))


def test_a_memory_budget_is_reported_beside_corrections() -> None:
    options = QuantizeOptions(8, 30, correct=("bias",), memory_budget=1.0)
    report = quantize(dense_net(WEIGHTS), TARGET, options, {"in": X}).report
    assert report["memory"]["used_kib"] <= 1.0
    assert report["corrections"]["samples"] == 20


def test_exact_integers_stay_exact() -> None:
    weights = GENERATOR.integers(-7, 8, (5, 16)) / 8
    found = measured(dense_net(weights, reset="zero"), X, "rounding", "bias", "rates", bits=8)
    assert found["different"] == 0
    assert found["spikes"] > 0


@pytest.mark.parametrize("seed", range(5))
def test_calibrated_rounding_is_close_to_the_optimum_over_all_integers(seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(40, 5)) @ generator.normal(size=(5, 5)) + 1
    real = generator.normal(size=(3, 5))
    real[0, 2] = 0  # no synapse
    taken = rounded(real, (x.T @ x)[None], 3)
    every = np.array(list(itertools.product(range(-3, 4), repeat=5)))

    def error(w: Any, q: Any) -> Any:
        return (((w - q) @ x.T) ** 2).sum(-1)

    for row, (w, q) in enumerate(zip(real, taken, strict=True)):
        allowed = every[(every[:, w == 0] == 0).all(1)]
        nearest = error(w, np.clip(np.rint(w), -3, 3))
        best = error(w, allowed).min()
        assert best - 1e-9 <= error(w, q) <= nearest * 1.05 + 1e-9, row
    assert taken[0, 2] == 0


def test_calibrated_rounding_of_many_weights_beats_the_nearest() -> None:
    x = GENERATOR.random((200, 60)) < GENERATOR.random((200, 1))  # inputs that fire together
    real = GENERATOR.normal(size=(8, 60))
    nearest = np.rint(real)
    taken = rounded(real, (x.astype(float).T @ x)[None], 7)
    errors = [(((real - q) @ x.T) ** 2).sum() for q in (nearest, taken)]
    assert errors[1] < 0.4 * errors[0]


@pytest.mark.parametrize(
    ("stride", "dilation", "groups"), [((1, 1), (1, 1), 1), ((2, 1), (1, 2), 2)]
)
def test_moments_of_a_convolution_give_the_error_of_its_outputs(
    stride: tuple[int, int], dilation: tuple[int, int], groups: int
) -> None:
    values = GENERATOR.normal(size=(4, 2 // groups, 3, 2))
    weights = Conv(values, stride, ((1, 0), (2, 1)), dilation, groups)
    out = weights.output_shape("w", (2, 6, 7))
    network = conv_net(np.ones((1, 2, 3, 3)), (6, 7))
    nodes = (
        Input("in", (2, 6, 7), BIN),
        Linear("w", ("in",), weights),
        type(network.node["n"])(**{**vars(network.node["n"]), "shape": out}),
        Output("out", ("n",)),
    )
    data = spikes((3, 4, 2, 6, 7)).astype(float)
    found = moments(Network("conv", nodes), {"in": data})["w"]
    assert found.shape == (groups, values[0].size, values[0].size)
    y = linear(weights, data.reshape(12, 2, 6, 7))
    w = values.reshape(groups, 4 // groups, -1)
    quadratic = np.einsum("goi,gij,goj->go", w, found, w).reshape(-1)
    np.testing.assert_allclose(quadratic, (y**2).sum((0, 2, 3)))


def test_a_readout_is_corrected_as_well() -> None:
    network = dense_net(WEIGHTS, threshold=None)
    real = run_real(network, {"in": X}).outputs["out"][:, -1].mean(0)

    def final(*correct: str) -> Any:
        done = quantize(network, TARGET, QuantizeOptions(5, 30, correct=correct), {"in": X}).network
        neuron: Any = done.node["n"]
        return run(done, {"in": X.astype(np.int64)}).outputs["out"][:, -1].mean(0) * neuron.grid

    assert np.abs(final("bias") - real).max() < 0.2 * np.abs(final() - real).max()


def test_what_cannot_be_corrected_is_refused() -> None:
    network = dense_net(WEIGHTS)
    with pytest.raises(OptionError, match="no such correction"):
        QuantizeOptions(correct=parse_corrections("bias,luck"))
    with pytest.raises(OptionError, match="needs calibration data"):
        quantize(network, TARGET, QuantizeOptions(correct=("rounding",)))
    bare = small_target(neuron={"bias_bits": None})
    with pytest.raises(UnsupportedError, match="no bias register"):
        quantize(network, bare, QuantizeOptions(correct=("bias",)), {"in": X})


def test_a_chip_with_few_thresholds_keeps_few() -> None:
    wide = np.tile(WEIGHTS, (4, 1)) * GENERATOR.uniform(0.7, 1, (24, 1))
    done = quantize(dense_net(wide, reset="zero"), load("loihi1"),
                    QuantizeOptions(5, 30, correct=("rates",)), {"in": X})  # fmt: skip
    neuron: Any = done.network.node["n"]
    assert np.unique(neuron.thresholds).size <= 8
