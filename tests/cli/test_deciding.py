"""Decoders and early stopping of a run: the same decisions on every simulator."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.cli import Snnc
from support.compiled import compiled
from support.simple_mapping import Options, simple_mapping
from support.small_targets import small_target

import snnc
from snnc.backends.targets import load
from snnc.deciding import Rules
from snnc.inputs import InputOptions
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import MEMORYLESS, Neuron, Reset, StateRange
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Dense
from snnc.ir.wire import WireCode
from snnc.simulators import cycle
from snnc.simulators.decoding import Decoder, EarlyStop

STEPS = 20
RANGE = StateRange(-(2**31), 2**31 - 1)


def network(emit: str = "count", levels: int = 3) -> IntegerNetwork:
    rng = np.random.default_rng(4)
    ladder, reset = 12 * np.arange(1, levels + 1), Reset("subtract", np.array(12))
    out = Neuron("out_n", ("v",), (4,), ladder, reset, state_range=RANGE)
    if emit == "state":
        none = np.zeros((0, 1), np.int64)
        out = replace(out, thresholds=none, reset=Reset("none"), leak=MEMORYLESS, emit="state")
    return IntegerNetwork(
        "net",
        (
            Input("x", (10,), BIN),
            Linear("w", ("x",), Dense(rng.integers(-5, 12, (16, 10)))),
            Neuron("h", ("w",), (16,), np.array([20]), Reset("subtract", np.array(20)),
                   state_range=RANGE),
            Linear("v", ("h",), Dense(rng.integers(-6, 10, (4, 16)))),
            out,
            Output("out", ("out_n",)),
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("d") / "d.npz"
    np.savez(path, x=(rng.random((12, STEPS, 10)) < 0.4).astype(np.uint8), y=np.arange(12) % 4)
    return path


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return compiled(network(), load("toy-mesh"), STEPS)


@pytest.mark.parametrize(
    ("decode", "margin"), [(None, 3), ("max", 2), ("first", 4), ("leaky:tau=5", 2.5)]
)
def test_all_simulators_stop_after_the_same_steps_with_the_same_classes(
    deployment: Deployment, data: Path, decode: str | None, margin: float
) -> None:
    found = {}
    for backend in ("cycle", "functional", "reference"):
        run = snnc.run(deployment, data, backend=backend, decode=decode, early_stop=margin)  # type: ignore[arg-type]
        assert run.early_stop is not None
        assert run.mismatches in (0, None)
        found[backend] = (run.predictions, run.early_stop["steps"], run.ties)
        total = run.early_stop["spent"] + run.early_stop["saved"]
        assert 0 < run.early_stop["share_saved"] == run.early_stop["saved"] / total < 1
    assert found["cycle"] == found["functional"] == found["reference"]
    assert found["cycle"][1]["mean"] < STEPS


def test_a_margin_never_reached_changes_nothing(deployment: Deployment, data: Path) -> None:
    plain = snnc.run(deployment, data)
    late = snnc.run(deployment, data, early_stop=1e6)
    assert late.early_stop is not None
    assert (late.early_stop["saved"], late.early_stop["steps"]["min"]) == (0, STEPS)
    assert late.predictions == plain.predictions
    assert plain.cycle is not None
    assert late.cycle is not None
    for key in ("timing", "energy", "events", "packets"):
        assert late.cycle[key] == plain.cycle[key]


@pytest.mark.parametrize("refire", [False, True])
def test_the_chip_pays_for_what_it_did_until_the_stop(refire: bool) -> None:
    """Counts, ticks and time are those of a run that is cut after the deciding tick."""
    codes = {"out_n": WireCode("unary", 3, refire=refire)} if refire else {}
    deployment = simple_mapping(
        network(), small_target(3, 2), STEPS, options=Options(8, codes=codes)
    )
    rng = np.random.default_rng(2)
    inputs = {"x": (rng.random((3, STEPS, 10)) < 0.5).astype(np.int64)}
    stop = EarlyStop("out", Decoder.parse("sum"), 3)
    full, got = cycle.run(deployment, inputs), cycle.run(deployment, inputs, stop=stop)
    assert got.stopped is not None
    assert (got.stopped.steps == stop.steps(full.result.outputs["out"])).all()
    assert (got.result.outputs["out"] == full.result.outputs["out"]).all()
    events = got.counts["all_in_synaptic_event"]
    assert events == got.stopped.spent.sum()
    assert events + got.stopped.saved.sum() == full.counts["all_in_synaptic_event"]
    schedule = deployment.schedule
    last = schedule.offset["out_n"] + schedule.slots("out_n") - 1
    ticks = (got.stopped.steps - 1) * schedule.period + last + 1
    assert got.counts["neuron_access"] == 20 * ticks.sum()
    assert got.timing is not None
    assert full.timing is not None
    ran = ~np.isnan(got.timing.tick_cycles)
    assert (ran.sum(axis=1) == ticks + 1).all()
    assert (got.timing.tick_cycles[ran] == full.timing.tick_cycles[ran]).all()
    assert sum(got.timing.limited_by.values()) == ran.sum()
    assert (got.timing.seconds < full.timing.seconds).any()
    json.dumps(got.as_dict(), allow_nan=False)


def test_a_potential_has_no_spikes_to_decode(data: Path) -> None:
    deployment = compiled(network("state"), load("toy-mesh"), STEPS)
    for decode in ("first", "count"):
        with pytest.raises(OptionError, match="output is a potential"):
            Rules.of(deployment, decode, None)
    run = snnc.run(deployment, data, decode="max", early_stop=50)
    assert run.decode == {"out": "max"}
    assert run.mismatches == 0


@pytest.mark.parametrize("margin", [0, -1, float("nan"), float("inf")])
def test_margins_are_positive(deployment: Deployment, data: Path, margin: float) -> None:
    with pytest.raises(OptionError, match="--early-stop"):
        snnc.run(deployment, data, early_stop=margin)


def test_the_command_shows_steps_and_savings(
    snnc: Snnc, deployment: Deployment, data: Path, tmp_path: Path
) -> None:
    from snnc.ir import artifact

    path = tmp_path / "net.snnc"
    artifact.write(replace(deployment, report={"schema": "snnc-report/1"}), path)
    found = snnc("run", path, "--input", data, "--decode", "count", "--early-stop", 4)
    assert found.code == 0, found.err
    assert "of the synaptic events saved" in found.out
    assert "margin 4" in found.out
    assert snnc("run", path, "--input", data, "--decode", "vote").code == 2


def test_a_static_image_may_be_phase_coded_end_to_end(tmp_path: Path) -> None:
    """Eight weighted bit planes bring the pixel's value: direct coding of pixels in one step."""
    weights = np.random.default_rng(0).integers(-3, 6, (5, 4))
    nodes = (
        Input("x", (4,), ValueType("cnt", 128)),
        Linear("w", ("x",), Dense(weights)),
        Neuron("n", ("w",), (5,), np.zeros((0, 1), int), Reset("none"), state_range=RANGE,
               emit="state"),
        Output("out", ("n",), "last"),
    )  # fmt: skip
    deployment = compiled(IntegerNetwork("phase", nodes), load("toy-mesh"), 8, "bitplane")
    pixels = np.random.default_rng(1).integers(0, 256, (6, 4), np.uint8)
    np.savez(tmp_path / "p.npz", x=pixels)
    encoded = InputOptions(encode="phase:weighted=1")
    run = snnc.run(deployment, tmp_path / "p.npz", inputs=encoded, compare=6)
    assert run.mismatches == 0
    assert run.predictions["out"] == tuple(
        np.argmax(pixels.astype(int) @ weights.T, axis=1).tolist()
    )
