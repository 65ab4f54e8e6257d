"""What the report says about numbers that are not the trained ones, and about the schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
from support import nets
from support.mapping_check import deployment
from support.real_nets import dense_net

from snnc.backends.targets import load
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.compiler.retime import retime
from snnc.compiler.summary import summarize
from snnc.compiler.verify import verify
from snnc.ir.integer_network import IntegerNetwork

WEIGHTS = np.random.default_rng(0).normal(size=(3, 4))


class Stage:
    """A stage result that is only its report."""

    def __init__(self, report: Any) -> None:
        self.report = report


def report_of(network: IntegerNetwork, target: str, quantized: Any) -> dict[str, Any]:
    machine = load(target)
    retiming = retime(network, machine, 4)
    mapping = map_network(network, retiming, machine, options=MapOptions(effort="low"))
    draft = deployment(network, retiming, machine, 1, mapping)
    stages = {"quantize": Stage(quantized), "retime": retiming, "map": mapping}
    return dict(summarize(draft, verify(draft).as_dict(), stages, None).report)


def approximations(target: str, weights: Any = WEIGHTS, **changes: Any) -> list[str]:
    done = quantize(dense_net(weights, **changes), load(target), QuantizeOptions(timesteps=4))
    lines: list[str] = report_of(done.network, target, done.report)["approximations"]
    return lines


def test_rounded_decays_and_biases_are_told() -> None:
    lines = approximations("loihi1", decay=0.9, current_decay=0.33, current_gain=1.0)
    assert "n: the decay is off by up to 9.8e-05 per step" in lines
    assert any(line.startswith("n: the decay of the current is off by up to") for line in lines)
    lines = approximations("truenorth", np.ones((3, 4)), offset=0.31415)
    assert any("biases are off by up to 0.31 of the threshold" in line for line in lines)


def test_resets_off_the_grid_are_told() -> None:
    lines = approximations("loihi1", WEIGHTS * 1000, reset="subtract")
    assert any("thresholds are off by up to 0.06" in line for line in lines)
    assert any("resets are off by up to 0.00" in line for line in lines)


def test_exact_numbers_are_not_told() -> None:
    assert approximations("loihi1", np.ones((3, 4))) == []


def test_what_the_schedule_takes_for_granted_is_an_assumption() -> None:
    loop = report_of(nets.two_population_loop(), "toy-mesh", {})["assumptions"]
    assert loop["schedule.period"].startswith("a population updates in one of 2 ticks")
    assert "schedule.bias" not in loop
    straight = report_of(nets.small_conv(), "toy-mesh", {})["assumptions"]
    assert not any(name.startswith("schedule") for name in straight)
