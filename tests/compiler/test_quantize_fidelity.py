"""The measured difference between the trained network and its integers."""

from __future__ import annotations

import numpy as np
from support.real_nets import dense_net, spikes
from support.small_target import small_target

from snnc.compiler.quantize import QuantizeOptions, fidelity, quantize
from snnc.compiler.summary import _measured

X = spikes((6, 20, 12), 0.5).astype(float)
LABELS = np.arange(6) % 5


def measured(weights: np.ndarray, bits: int, samples: int = 4) -> dict:  # type: ignore[type-arg]
    network = dense_net(weights, reset="zero")
    done = quantize(network, small_target(), QuantizeOptions(bits, 20), {"in": X})
    return fidelity(network, done.network, {"in": X}, samples, LABELS)


def test_exact_integers_differ_nowhere_and_rough_ones_are_counted() -> None:
    weights = np.random.default_rng(0).integers(-7, 8, (5, 12)) / 8
    exact = measured(weights, 8)
    assert exact["samples"] == 4
    assert exact["layers"]["n"]["different"] == 0
    assert exact["layers"]["n"]["spikes"] == exact["layers"]["n"]["integer_spikes"] > 0
    assert exact["outputs"]["out"]["alike"] == 4
    assert _measured(exact) == []
    rough = measured(np.random.default_rng(1).normal(size=(5, 12)) / 3, 2)
    assert rough["layers"]["n"]["different"] > 0
    text = " ".join(_measured(rough))
    assert "on 4 calibration sample(s)" in text
    assert "correct before" in text


def test_networks_that_would_take_long_are_not_run() -> None:
    network = dense_net(np.ones((5000, 5000)))
    data = {"in": np.broadcast_to(np.zeros(()), (1, 100, 5000))}
    found = fidelity(network, None, data, 1)  # type: ignore[arg-type]
    assert found["samples"] == 0
    assert "too many" in found["skipped"]
