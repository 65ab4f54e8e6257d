"""Trained networks that sum over all steps of a sample: quantized, deployed, and exact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.deployed import deployed
from support.real_nets import neuron, spikes
from support.zoo import ZOO

import snnc
from snnc.backends.targets import load
from snnc.compiler.analysis.values import values_of
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.ir.errors import ModelError, OptionError
from snnc.ir.network import Network
from snnc.ir.nodes import Bias, Delay, Input, Linear, Output, Reduce
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import cycle, functional, reference
from snnc.simulators.reference.real import run_real

TOY, STEPS = load("toy-mesh"), 4


def whole(*between: Any, source: str = "w", op: Any = "sum", late: int = 0) -> Network:
    """input -> weights -> ``between`` -> over time -> population that forgets -> output."""
    weights = np.random.default_rng(2).integers(-4, 9, (3, 5)) / 8
    nodes = [Input("in", (5,), BIN), Linear("w", ("in",), Dense(weights)), *between]
    nodes += [Reduce("r", (source,), op, (), STEPS)]
    if late:
        nodes += [Delay("late", ("r",), late)]
    fire = neuron("n", nodes[-1].name, (3,), decay=0.0, threshold=1.5, reset="none")
    return Network("whole", (*nodes, fire, Output("out", ("n",))))


def exact(network: Network, samples: int = 12, chips: int = 1) -> int:
    """Spikes compared: real numbers, integers, both simulators of the deployment."""
    kind = network.of_type(Input)[0]
    steps = network.steps
    assert steps is not None
    x = spikes((samples, steps, *kind.shape), 0.5, seed=3)
    integer = quantize(network, TOY, QuantizeOptions(8), {"in": x.astype(float)}).network
    assert integer.steps == steps
    expected, integers = (
        run_real(network, {"in": x.astype(float)}),
        reference.run(integer, {"in": x}),
    )
    emulated = cycle.run(deployed(integer, TOY, steps, chips), {"in": x}).result
    for run in (integers, functional.run(integer, {"in": x}), emulated):
        for name in expected.spikes.keys() & integers.spikes.keys():
            assert run.spikes[name].mismatches(expected.spikes[name]) == 0, name
        for name, values in integers.outputs.items():
            np.testing.assert_array_equal(run.outputs[name], values)
    return sum(int(c.sum()) for c in expected.spike_counts.values())


BIAS = Bias("b", ("w",), np.array([0.5, -0.25, 1.0]))


@pytest.mark.parametrize(
    "network",
    [
        whole(),
        whole(late=1),
        whole(BIAS, source="b"),
        whole(Delay("d", ("w",), 1), source="d"),
        whole(BIAS, Delay("d", ("b",), 2), source="d", late=1),
    ],
    ids=["plain", "delayed after", "bias", "delayed before", "bias from step 2, delayed after"],
)
def test_a_sum_of_weighted_spikes_over_the_sample_is_exact(network: Network) -> None:
    assert exact(network) > 10


def test_attention_over_the_tokens_of_all_steps_is_exact() -> None:
    entry = ZOO["SDHA over all steps"]
    assert exact(entry.make(), samples=1, chips=16) > 100


def test_the_number_of_steps_is_the_networks() -> None:
    with pytest.raises(OptionError, match="another number") as error:
        quantize(whole(), TOY, QuantizeOptions(8, STEPS + 1))
    assert (error.value.found, error.value.allowed) == (str(STEPS + 1), str(STEPS))
    with pytest.raises(ModelError, match="different lengths"):
        whole(Reduce("r1", ("w",), "sum", (), STEPS + 1), source="r1")


def test_compiling_takes_the_steps_of_the_network() -> None:
    options = snnc.CompileOptions(target="toy-mesh")
    assert snnc.compile(whole(), options).deployment.schedule.timesteps == STEPS
    with pytest.raises(OptionError, match="another number"):
        snnc.compile(whole(), replace(options, timesteps=STEPS + 1))


def test_the_type_of_a_sum_counts_all_steps() -> None:
    nodes = (Input("in", (5, 2), BIN), Reduce("r", ("in",), "sum", (0,), STEPS),
             neuron("n", "r", (1, 2)), Output("out", ("n",)))  # fmt: skip
    assert values_of(Network("count", nodes))["r"].text == f"cnt({5 * STEPS})"
