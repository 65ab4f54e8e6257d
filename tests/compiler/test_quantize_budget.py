"""Weight widths chosen under a memory budget."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.small_target import small_target
from support.zoo import cnn

from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.compiler.quantize.budget import BITS_PER_KIB, Candidate, choose_widths
from snnc.ir.errors import OptionError
from snnc.ir.expand import expand
from snnc.ir.network import Network
from snnc.ir.nodes import Linear
from snnc.ir.weights import with_values

TARGET = small_target(core={"weight": {"bits": (2, 3, 4, 6, 8)}}, neuron={"reset": {"zero": {}}})


def test_the_choice_is_the_best_of_all_that_fit() -> None:
    rng = np.random.default_rng(0)
    widths = (2, 4, 8)
    candidates = [
        Candidate(f"n{k}", int(rng.integers(50, 900)),
                  dict(zip(widths, sorted(rng.random(3))[::-1], strict=True)))
        for k in range(5)
    ]  # fmt: skip
    budget = 1.1
    chosen = choose_widths(candidates, budget)
    feasible = [
        sum(c.error[b] for c, b in zip(candidates, combination, strict=True))
        for combination in itertools.product(widths, repeat=5)
        if sum(c.synapses * b for c, b in zip(candidates, combination, strict=True))
        <= budget * BITS_PER_KIB
    ]
    assert sum(c.error[chosen[c.name]] for c in candidates) == pytest.approx(min(feasible))
    with pytest.raises(OptionError, match="do not fit the memory budget"):
        choose_widths(candidates, 0.1)


def network() -> Network:
    rng = np.random.default_rng(1)
    net = cnn("net")
    nodes = [
        Linear(n.name, n.inputs, with_values(n.weights, rng.normal(size=n.weights.values.shape)))
        if isinstance(n, Linear) else n for n in net.nodes
    ]  # fmt: skip
    return Network("net", tuple(nodes))


def test_a_tighter_budget_narrows_weights_and_the_synapses_are_those_of_the_chip() -> None:
    net = network()
    errors, used = [], [100.0]
    for share in (1.0, 0.6, 0.35):
        budget = used[0] * share
        done = quantize(net, TARGET, QuantizeOptions(8, 4, memory_budget=budget))
        errors.append(sum(layer["weight_mse"] for layer in done.report["layers"].values()))
        memory = done.report["memory"]
        assert memory["used_kib"] <= budget
        stored = dict.fromkeys(memory["widths"], 0)
        for projection in expand(done.network).projections:
            stored[projection.population] += projection.synapses
        bits = sum(stored[name] * width for name, width in memory["widths"].items())
        assert bits / BITS_PER_KIB == pytest.approx(memory["used_kib"], rel=0.35)
        assert bits / BITS_PER_KIB <= memory["used_kib"]  # zeros are not stored
        used = [memory["used_kib"]] if share == 1.0 else used
    assert errors[0] < errors[1] < errors[2]


def test_a_budget_and_widths_exclude_each_other() -> None:
    with pytest.raises(OptionError, match="chooses the widths itself"):
        QuantizeOptions(layer_bits={"a": 4}, memory_budget=3.0)
