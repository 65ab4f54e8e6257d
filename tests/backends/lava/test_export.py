"""Networks as a Python project for Lava, and as lava-dl's files."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.lava import require_lava
from support.lava_networks import lif_network
from support.netx_files import conv, cuba, dense, flatten, input_layer, write
from support.random_networks import random_inputs, random_network

import snnc
from snnc.compiler.frontends import netx
from snnc.exporting import LavaExportOptions
from snnc.ir.errors import OptionError, OutputError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset, StateRange
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import reference

BOUNDS = StateRange(-(2**23) + 1, 2**23 - 1)
STEPS = LavaExportOptions(timesteps=6)


def run_project(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [str(require_lava()), str(folder / "run.py"), *words]
    return subprocess.run(command, capture_output=True, timeout=600, check=False)


@pytest.mark.parametrize("name", ["native", "general"])
def test_an_exported_project_gives_the_references_spikes_without_snnc(
    name: str, tmp_path: Path
) -> None:
    network = lif_network(0) if name == "native" else random_network(3)
    folder = tmp_path / "project"
    snnc.export(network, "lava", folder, STEPS)
    checked = run_project(folder, "--check")
    assert (checked.returncode, checked.stdout) == (0, b"all spikes as snnc's reference\n"), checked
    assert "import snnc\n" not in (folder / "run.py").read_text()

    inputs = random_inputs(network, 5, 3, 6)
    np.savez(tmp_path / "x.npz", **inputs)
    ran = run_project(folder, str(tmp_path / "x.npz"), str(tmp_path / "spikes.npz"))
    assert ran.returncode == 0, ran
    truth = reference.run(network, inputs).spikes
    with np.load(tmp_path / "spikes.npz") as found:
        for population, events in truth.items():
            columns = (events.sample, events.step, events.index, events.value)
            np.testing.assert_array_equal(found[population], np.stack(columns, axis=1))


def test_other_spikes_than_expected_fail_the_check(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    snnc.export(lif_network(0), "lava", folder, STEPS)
    with np.load(folder / "check.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = next(name for name in arrays if name.startswith("spikes ") and len(arrays[name]))
    arrays[name] = arrays[name][:-1]
    np.savez(folder / "check.npz", **arrays)
    checked = run_project(folder, "--check")
    assert checked.returncode == 1
    assert checked.stdout.startswith(b"different: ")


def test_names_of_a_model_stay_texts(tmp_path: Path) -> None:
    """A name is no code: quotes and line breaks end no literal and no docstring."""
    base = lif_network(14)
    bad = 'x"""\nimport os\n'
    nodes = tuple(
        replace(
            node,
            name=bad if node.name == "x" else node.name,
            inputs=tuple(bad if source == "x" else source for source in node.inputs),
        )
        for node in base.nodes
    )
    folder = tmp_path / "project"
    snnc.export(IntegerNetwork(bad, nodes), "lava", folder, STEPS)
    text = (folder / "network.py").read_text()
    compile(text, "network.py", "exec")
    assert "\nimport os" not in text


def test_a_folder_is_never_replaced_and_steps_are_needed(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        snnc.export(lif_network(0), "lava", tmp_path, STEPS)
    with pytest.raises(OptionError, match="needs its steps per sample"):
        snnc.export(lif_network(0), "lava", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def small_net(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    return write(
        tmp_path / "small.net",
        input_layer((2, 6, 5)),
        conv(
            2 * rng.integers(-50, 60, (4, 2, 3, 3)), (4, 3, 3), cuba(), (2, 2), (1, 1),
            bias=rng.integers(-9, 20, 4),
        ),
        flatten(36),
        dense(2 * rng.integers(-60, 70, (7, 36)), cuba(2000, 300, 60)),
        dense(2 * rng.integers(0, 100, (3, 7)), cuba(), bias=np.array([4, -4, 0])),
    )  # fmt: skip


def test_a_netx_file_comes_back_as_the_same_network(tmp_path: Path) -> None:
    network = netx.read(small_net(tmp_path))
    snnc.export(network, "netx", tmp_path / "again.net")
    again = netx.read(tmp_path / "again.net")
    inputs = random_inputs(network, 3, 2, 20)
    ours, theirs = reference.run(network, inputs), reference.run(again, inputs)
    assert sum(int(c.sum()) for c in ours.spike_counts.values()) > 50
    for mine, other in zip(network.populations, again.populations, strict=True):
        assert ours.spikes[mine.name].mismatches(theirs.spikes[other.name]) == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"thresholds": np.array([[1, 65, 129]])}, "not Lava's .thresholds differ"),
        ({"reset": Reset("subtract", np.array(1))}, "not Lava's .reset subtract"),
        ({"input_shift": 15}, "not even numbers"),
    ],
)
def test_what_a_netx_file_cannot_hold_is_named(
    change: dict[str, object], problem: str, tmp_path: Path
) -> None:
    neuron = Neuron(
        "n", ("w",), (3,), np.array([65]), Reset("value"), input_shift=7, state_range=BOUNDS
    )
    nodes = (
        Input("x", (3,), BIN),
        Linear("w", ("x",), Dense(np.eye(3, dtype=np.int64))),
        replace(neuron, **change),  # type: ignore[arg-type]
        Output("out", ("n",)),
    )
    with pytest.raises(UnsupportedError, match=problem):
        snnc.export(IntegerNetwork("bad", nodes), "netx", tmp_path / "bad.net")
    assert list(tmp_path.iterdir()) == []
