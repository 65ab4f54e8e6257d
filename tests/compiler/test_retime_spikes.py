"""Retimed execution equals the reference in logical time; the naive mapping does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.physical import run_ticks
from support.real_nets import neuron, spikes
from support.small_target import small_target

from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.compiler.retime import retime
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.nodes import Add, Bias, Delay, Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators.reference import run

STEPS = 15


def dense(rng: np.random.Generator, rows: int, columns: int) -> Dense:
    return Dense(rng.normal(size=(rows, columns)) / 2 + 0.15)


def residual() -> list[Any]:
    """Two residual blocks with biases and two inputs of different depth."""
    rng = np.random.default_rng(0)
    nodes: list[Any] = [Input("in", (6,), BIN), Input("late", (3,), BIN)]
    nodes += [Linear("w0", ("in",), dense(rng, 8, 6)), neuron("n0", "w0", (8,), decay=0.8)]
    for k in (1, 2):
        nodes += [
            Linear(f"a{k}", (f"n{2 * k - 2}",), dense(rng, 8, 8)),
            Bias(f"ab{k}", (f"a{k}",), rng.normal(size=8) / 10),
            neuron(f"n{2 * k - 1}", f"ab{k}", (8,), reset="subtract"),
            Linear(f"b{k}", (f"n{2 * k - 1}",), dense(rng, 8, 8)),
            Add(f"s{k}", (f"b{k}", f"n{2 * k - 2}")),
            Bias(f"sb{k}", (f"s{k}",), rng.normal(size=8) / 10),
            neuron(f"n{2 * k}", f"sb{k}", (8,)),
        ]
    nodes += [
        Linear("head", ("n4",), dense(rng, 4, 8)),
        Linear("side", ("late",), dense(rng, 4, 3)),
        Add("logits", ("head", "side")),
        Output("out", ("logits",)),
    ]
    return nodes


def recurrent() -> list[Any]:
    """A loop through two populations with one logical step of delay."""
    rng = np.random.default_rng(1)
    return [
        Input("in", (6,), BIN),
        Linear("w", ("in",), dense(rng, 8, 6)),
        Delay("z", ("back",), 1),
        Add("s", ("w", "z")),
        neuron("a", "s", (8,), decay=0.7),
        Linear("f", ("a",), dense(rng, 8, 8)),
        neuron("b", "f", (8,)),
        Linear("back", ("b",), Dense(rng.normal(size=(8, 8)) / 4)),
        Output("out", ("b",)),
    ]


def quantized(nodes: list[Any]) -> tuple[IntegerNetwork, dict[str, Any]]:
    network = Network("net", tuple(nodes))
    done = quantize(network, small_target(), QuantizeOptions(timesteps=STEPS)).network
    data = {n.name: spikes((5, STEPS, *n.shape)).astype(np.int64) for n in done.of_type(Input)}
    return done, data


def wrong(nodes: list[Any], balance: bool, min_delay: int = 1) -> int:
    """Differing (sample, step, neuron) entries between ticks and logical time."""
    network, data = quantized(nodes)
    target = small_target(min_delay=min_delay)
    reference = run(network, data)
    assert min(counts.sum() for counts in reference.spike_counts.values()) > 0
    timing = retime(network, target, STEPS, balance=balance)
    found = run_ticks(network, timing, data, min_delay)
    return sum(found[name].mismatches(events) for name, events in reference.spikes.items())


@pytest.mark.parametrize("min_delay", [1, 2])
@pytest.mark.parametrize("nodes", [residual(), recurrent()], ids=["residual", "recurrent"])
def test_retimed_networks_spike_as_in_logical_time(nodes: list[Any], min_delay: int) -> None:
    assert wrong(nodes, balance=True, min_delay=min_delay) == 0


def test_a_residual_network_without_retiming_gives_wrong_spikes() -> None:
    assert wrong(residual(), balance=False) > 0
