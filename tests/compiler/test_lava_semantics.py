"""Compiling for Lava's own arithmetic: every population becomes Lava's LIF, or is refused."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import snnc
from snnc.backends import targets
from snnc.backends.lava import lower
from snnc.compiler.legalize.lava import lava_semantics
from snnc.compiler.pipeline import Compilation
from snnc.inputs import InputOptions
from snnc.ir.errors import OptionError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense

DATA = Path(str(files("snnc"))) / "demo_data"
DIGITS = DATA / "digits_cnn.nir"


def legalized(semantics: str, target: str = "loihi1") -> IntegerNetwork:
    options = snnc.CompileOptions(target=target, timesteps=10, semantics=semantics)
    job = Compilation(DIGITS, options)
    job.run("legalize")
    network = job.results["legalize"]
    assert isinstance(network, IntegerNetwork)
    return network


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_every_population_of_the_digits_network_becomes_lavas(target: str) -> None:
    network = legalized("lava", target)
    plan = lower(network, 10)
    assert plan.notes == {}
    assert {p.kind for p in plan.processes if p.name in plan.emitters} == {"LIF"}
    for process in plan.processes:  # even where signs are mixed, also where Lava would not care
        if process.kind == "Conv":
            assert not (process.arrays["weight"] & 1).any()
    assert network.assumptions["semantics"] == "lava"
    assert lower(legalized("chip", target), 10).notes != {}


def test_the_effect_on_accuracy_is_in_report_and_notes() -> None:
    options = snnc.CompileOptions(timesteps=10, semantics="lava", time_limit_s=0.2)
    encoded = InputOptions(encode="direct")
    done = snnc.compile(DIGITS, options, calibration=DATA / "digits_test.npz", inputs=encoded)
    assert done.deployment is not None
    effect = done.deployment.report["semantics"]
    assert effect["name"] == "lava"
    assert effect["samples"] == 256
    assert effect["correct"] > 240
    assert effect["correct_chip"] > 240
    assert any("lava semantics: " in note for note in done.notes)


def test_what_lavas_lif_cannot_be_is_refused_by_name() -> None:
    theta = np.array([65])
    nodes = (
        Input("x", (3,), BIN),
        Linear("w", ("x",), Dense(np.eye(3, dtype=np.int64))),
        Neuron("soft", ("w",), (3,), theta, Reset("subtract", theta[0]), input_shift=7),
        Output("out", ("soft",)),
    )
    with pytest.raises(UnsupportedError, match=r"soft: Lava's LIF cannot be this") as raised:
        lava_semantics(IntegerNetwork("soft", nodes), targets.load("loihi1"), 10)
    assert "reset subtract" in raised.value.found


def test_only_for_loihi_class_targets_and_known_names() -> None:
    with pytest.raises(OptionError, match="Loihi-class"):
        legalized("lava", "toy-mesh")
    with pytest.raises(OptionError, match="--semantics"):
        snnc.CompileOptions(semantics="brian")
