"""Adaptive LIF and sigma-delta neurons on Lava: which processes, the same values, both exports."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.lava import require_lava
from support.lava_dl_networks import (
    CLIPS,
    alif_network,
    encoder,
    random_values,
    sigma,
    sigma_delta_network,
)
from support.netx_files import alif, conv, dense, flatten, input_layer, sdnn, write

import snnc
from snnc.backends.lava import LavaError, LavaOptions, lower, run_on_lava, widths
from snnc.backends.lava.alif import as_alif
from snnc.backends.lava.jobs import Job
from snnc.backends.lava.natives import NotLifError
from snnc.backends.lava.netx import write_netx
from snnc.backends.lava.plan import Process
from snnc.backends.lava.sigma_delta import as_sdn
from snnc.compiler.frontends import netx
from snnc.compiler.frontends.netx import NetxOptions
from snnc.exporting import LavaExportOptions
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset
from snnc.on_lava import as_result
from snnc.simulators import reference
from snnc.simulators.compare import compare_runs

STEPS, SAMPLES = 8, 2
RNG = np.random.default_rng(8)


def adaptive(path: Path) -> IntegerNetwork:
    """Convolution and dense layers, with a bias that joins the current."""
    rng = np.random.default_rng(1)
    return netx.read(write(
        path,
        input_layer((2, 5, 5)),
        conv(rng.integers(-10, 25, (3, 2, 3, 3)) * 2, (3, 3, 3), alif(step=9),
             bias=np.array([4, -2, 8], np.float32)),
        flatten(27),
        dense(rng.integers(-10, 25, (4, 27)) * 2,
              alif(i=4096, ref=np.array([0, 100, 2000, 4096])), bias=np.ones(4, np.float32) * 6),
    ))  # fmt: skip


def changes(path: Path, exponent: int = 6) -> IntegerNetwork:
    """Encoder, convolution, dense layer, sigma output."""
    rng = np.random.default_rng(2)
    return netx.read(
        write(
            path,
            input_layer((2, 5, 5), neuron=sdnn(3)),
            conv(rng.integers(-10, 14, (3, 2, 3, 3)) * 2, (3, 3, 3), sdnn(7),
                 bias=np.array([20, -3, 9], np.float32)),
            flatten(27),
            dense(rng.integers(-10, 12, (4, 27)) * 2, sdnn(0)),
            dense(rng.integers(-10, 12, (2, 4)) * 2, sdnn(sigma_output=True)),
        ),
        NetxOptions(spike_exponent=exponent),
    )  # fmt: skip


def inputs_of(network: IntegerNetwork, seed: int) -> dict[str, Any]:
    if "x" in network.node:
        return random_values(network, seed, SAMPLES, STEPS)
    rng = np.random.default_rng(seed)
    node = network.shapes["input"]
    high = 2 if network.types["input"].high == 1 else 60
    low = 0 if high == 2 else -60
    return {"input": np.repeat(rng.integers(low, high, (SAMPLES, STEPS // 2, *node)), 2, axis=1)}


def kinds(network: IntegerNetwork) -> dict[str, str]:
    plan = lower(network, STEPS)
    return {p.name: plan_kind(plan.processes, p.name) for p in network.populations}


def plan_kind(processes: tuple[Process, ...], name: str) -> str:
    return next(p.kind for p in processes if p.name == name)


def test_layers_of_lava_dl_become_lavas_own_processes(tmp_path: Path) -> None:
    found = kinds(changes(tmp_path / "s.net"))
    assert list(found.values()) == ["Delta", "SigmaDelta", "SigmaDelta", "Sigma"]
    found = kinds(adaptive(tmp_path / "a.net"))
    assert found == {"layer1.always": "IntegerNeuron", "layer1": "ALIF", "layer3": "ALIF"}


def test_parameters_are_those_of_the_file(tmp_path: Path) -> None:
    network = changes(tmp_path / "s.net", 4)
    first, middle = (network.node[name] for name in ("layer0", "layer1"))
    assert isinstance(first, Neuron)
    assert isinstance(middle, Neuron)
    delta = as_sdn(first, 256, STEPS)
    assert (delta.kind, delta.vth, delta.spike_exp, delta.state_exp) == ("Delta", 3, 4, 6)
    sdn = as_sdn(middle, 10**6, STEPS)
    assert sdn.bias is not None
    unit = sdn.spike_exp + sdn.state_exp
    assert (sdn.vth << unit, (sdn.bias << unit)[:: 9].tolist()) == (
        7 << 10, [20 << 10, -3 << 10, 9 << 10],
    )  # fmt: skip
    population = adaptive(tmp_path / "a.net").node["layer3"]
    assert isinstance(population, Neuron)
    found = as_alif(population)
    assert (found.dref.tolist(), set(found.du)) == ([0, 100, 2000, 4096], {4096})
    assert (set(found.vth), set(found.vth_step), set(found.bias)) == ({40}, {20}, {6})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"leak": Leak(np.array(1))}, "leaks"),
        ({"thresholds": np.array([[1 << 12, 1 << 13]])}, "thresholds that differ"),
        ({"bias": (GatedBias(np.array(1)),)}, "no multiple of 2"),
        ({"bias": (GatedBias(np.array(64), 2),)}, "starts late"),
        ({"initial": np.array(3)}, "initial"),
        ({"message_bits": 4}, "may reach ends"),
        ({"feedback": "message"}, "makes up for rounding"),
        ({"state_range": CLIPS}, "may reach ends"),
        ({"emit": "state", "delta": None, "thresholds": np.zeros(0, np.int64),
          "bias": (GatedBias(np.array(64)),)}, "is read"),
    ],
)  # fmt: skip
def test_what_is_not_lavas_sigma_delta_is_said(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    base = changes(tmp_path / "s.net").node["layer3"]
    assert isinstance(base, Neuron)
    assert base.delta is not None
    code = {k: change.pop(k) for k in ("message_bits", "feedback") if k in change}
    if code:
        change["delta"] = replace(base.delta, **code)
    if "thresholds" in change and change["thresholds"].ndim == 2:
        change["thresholds"] = np.array([[1 << 12, 1 << 13, 0, 0]])
    with pytest.raises(NotLifError, match=reason):
        as_sdn(replace(base, **change), 10**9, 100)


def test_what_a_delta_encoder_and_a_sigma_cannot_be_is_said() -> None:
    delta = encoder(RNG, "e", "x", (3,))
    as_sdn(delta, 100, STEPS)
    with pytest.raises(NotLifError, match="may reach ends"):
        as_sdn(delta, 1 << 20, STEPS)
    assert delta.delta is not None
    with pytest.raises(NotLifError, match="delta encoder with"):
        as_sdn(replace(delta, delta=replace(delta.delta, activation="relu")), 100, STEPS)
    with pytest.raises(NotLifError, match="no multiple"):
        as_sdn(replace(delta, input_shift=delta.input_shift + 1,
                       thresholds=delta.thresholds | 1), 100, STEPS)  # fmt: skip
    assert as_sdn(sigma("s", "x", (3,)), 1 << 40, STEPS).kind == "Sigma"
    assert as_sdn(sigma("s", "x", (3,), CLIPS), 100, STEPS).kind == "Sigma"
    with pytest.raises(NotLifError, match="may reach ends"):
        as_sdn(sigma("s", "x", (3,), CLIPS), 1 << 40, STEPS)


def test_what_is_not_lava_dls_adaptive_lif_is_said(tmp_path: Path) -> None:
    base = adaptive(tmp_path / "a.net").node["layer1"]
    assert isinstance(base, Neuron)
    assert base.adaptation is not None
    assert base.recovery is not None
    changes: list[tuple[dict[str, Any], str]] = [
        ({"adaptation": replace(base.adaptation, kind="decay")}, "other adaptation"),
        ({"recovery": replace(base.recovery, factor=3)}, "other adaptation"),
        ({"reset": Reset("value")}, "reset"),
        ({"initial": np.array(1)}, "initial"),
        ({"state_range": replace(CLIPS, high=2**20)}, "32 bits"),
        ({"bias": (GatedBias(np.array(64)),)}, "joins the potential"),
        ({"leak": Leak(np.array(3), 2, "floor")}, "rounds floor"),
        ({"leak": Leak(np.array(3), 13, "toward_zero")}, "13 bits"),
        ({"thresholds": np.array([65])}, "no multiple of 64"),
    ]
    for change, reason in changes:
        with pytest.raises(NotLifError, match=reason):
            as_alif(replace(base, **change))


def test_parameters_beyond_their_widths_are_refused() -> None:
    for kind, parameters in (
        ("SigmaDelta", {"vth": 1 << 24}),
        ("SigmaDelta", {"state_exp": 8}),
        ("Delta", {"spike_exp": -1}),
        ("ALIF", {"du": 4097}),
        ("ALIF", {"vth": -1}),
    ):
        with pytest.raises(LavaError, match="beyond the width"):
            widths.check([Process("n", kind, parameters)])


def test_they_give_the_references_values_on_lava(tmp_path: Path) -> None:
    networks = [
        changes(tmp_path / "s.net"),
        changes(tmp_path / "s.net", 1),
        adaptive(tmp_path / "a.net"),
        *(sigma_delta_network(seed, None) for seed in (0, 1, 18)),  # 18 wraps at 32 bits
        *(alif_network(seed) for seed in range(3)),
    ]
    inputs = [inputs_of(n, seed) for seed, n in enumerate(networks)]
    plans = [lower(network, STEPS) for network in networks]
    used = {process.kind for plan in plans for process in plan.processes}
    assert {"Delta", "SigmaDelta", "Sigma", "ALIF", "IntegerNeuron"} <= used
    jobs = [Job(plan, x) for plan, x in zip(plans, inputs, strict=True)]
    runs = run_on_lava(jobs, LavaOptions(require_lava()))
    for network, plan, run, x in zip(networks, plans, runs, inputs, strict=True):
        truth = reference.run(network, x)
        found = compare_runs(truth, as_result(network, plan, run, SAMPLES))
        assert found.first is None, (network.name, found.first)
        assert sum(int(c.sum()) for c in truth.spike_counts.values()) > 10, network.name


@pytest.mark.parametrize("name", ["alif", "sigma-delta"])
def test_an_exported_project_needs_no_snnc(name: str, tmp_path: Path) -> None:
    network = (adaptive if name == "alif" else changes)(tmp_path / "n.net")
    folder = tmp_path / "project"
    snnc.export(network, "lava", folder, LavaExportOptions(timesteps=6))
    command = [str(require_lava()), str(folder / "run.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, timeout=600, check=False)
    assert (checked.returncode, checked.stdout) == (0, b"all spikes as snnc's reference\n"), checked


@pytest.mark.parametrize("exponent", [6, 2])
def test_files_are_written_and_read_again(tmp_path: Path, exponent: int) -> None:
    for network in (adaptive(tmp_path / "a.net"), changes(tmp_path / "s.net", exponent)):
        notes = write_netx(network, tmp_path / "again.net", STEPS)
        assert any("spike_exp 2" in note for note in notes) == (
            exponent == 2 and network.populations[0].delta is not None
        )
        again = netx.read(tmp_path / "again.net", NetxOptions(spike_exponent=exponent))
        inputs = inputs_of(network, 3)
        truth, other = reference.run(network, inputs), reference.run(again, inputs)
        np.testing.assert_array_equal(other.outputs["output"], truth.outputs["output"])
        assert again.types["input"] == network.types["input"]


def test_a_file_of_thirteen_bit_values_keeps_that(tmp_path: Path) -> None:
    layer = input_layer((3,), neuron=sdnn(2), weight=np.array([40.0]), bias=np.array([3.0]))
    network = netx.read(write(tmp_path / "a.net", layer, dense(np.eye(3) * 8, sdnn(1))))
    write_netx(network, tmp_path / "b.net", STEPS)
    assert netx.read(tmp_path / "b.net").types["input"] == network.types["input"]


@pytest.mark.parametrize(
    ("layers", "change", "reason"),
    [
        ([dense(np.eye(2) * 8, sdnn(3))], {"bias": (GatedBias(np.array([1, 2])),)}, "multiple"),
        (
            [dense(np.eye(2) * 8, sdnn(3))],
            {"bias": (GatedBias(np.array([1 << 26, 2 << 26])),)},
            "13 bits",
        ),
        ([dense(np.eye(2) * 8, sdnn(3))], {"thresholds": np.array([1 << 7])}, "multiple"),
        ([dense(np.eye(2) * 8, alif())], {"thresholds": np.array([[64, 128]])}, "thresholds"),
    ],
)
def test_what_the_format_cannot_say_is_refused(
    tmp_path: Path, layers: list[Any], change: dict[str, Any], reason: str
) -> None:
    network = netx.read(write(tmp_path / "a.net", *layers))
    nodes = tuple(replace(n, **change) if isinstance(n, Neuron) else n for n in network.nodes)
    with pytest.raises(UnsupportedError, match=reason) as caught:
        write_netx(IntegerNetwork("n", nodes), tmp_path / "b.net", STEPS)
    assert caught.value.where == "layer0"
    assert not (tmp_path / "b.net").exists()
