"""Our integers against what Intel recorded: spikes, currents and potentials of lava-dl's networks.

The files are in no repository of ours; without them these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.lava_truth import in_file_order, in_lava_time, raster, traced, unfinished_sample
from support.netx_files import cuba, dense, write
from support.paths import require_data

import snnc
from snnc.compiler.frontends import netx
from snnc.compiler.options import CompileOptions
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Linear
from snnc.simulators import cycle, functional, reference

INTERVAL, STEPS = 17, 24  # sample length and recorded steps of PilotNet
LAYERS = ("input", *(f"conv-{i}" for i in range(5)), *(f"fc-{i}" for i in range(3)))
STATED = LAYERS[2:]
AFTER_SPIKE = 128  # what the files hold as v in a step with a spike, where v is 0


def stored(folder: Path, name: str) -> Any:
    """A recording (x, y, channels, time) or (features, time) as [time, channels, y, x]."""
    return np.load(folder / f"{name}.npy").T


@pytest.fixture(scope="module")
def pilotnet() -> tuple[Path, IntegerNetwork, dict[str, Any]]:
    folder = require_data("lava_dl", "pilotnet_lif")
    image = stored(folder, "image").astype(np.int64)
    inputs = {"input": np.broadcast_to(image, (1, INTERVAL, *image.shape))}
    return folder, netx.read(folder / "network.net"), inputs


def differing_spikes(folder: Path, network: IntegerNetwork, before: Any, sample: Any) -> list[int]:
    found, entries = [], 0
    for position, (name, population) in enumerate(
        zip(LAYERS, in_file_order(network), strict=False)
    ):
        truth = stored(folder, name)
        mine = in_lava_time(
            raster(before, population, INTERVAL), raster(sample, population, INTERVAL),
            position, STEPS,
        )  # fmt: skip
        assert mine.shape == truth.shape
        found.append(int(np.count_nonzero(mine != truth)))
        entries += truth.size
    assert entries == 3_804_192
    return found


def test_pilotnet_spikes_and_states_are_those_intel_recorded(
    pilotnet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, network, inputs = pilotnet
    silence = {"input": np.zeros_like(inputs["input"])}
    unfinished = unfinished_sample(network, INTERVAL)
    before, early = traced(unfinished, silence, monkeypatch)
    sample, states = traced(network, inputs, monkeypatch)
    assert differing_spikes(folder, network, before, sample) == [0] * 9

    populations = in_file_order(network)
    for name in STATED:
        position = LAYERS.index(name)
        population = populations[position].name
        for what, attribute in (("u", "current"), ("v", "potential")):
            first, later = (
                np.stack(getattr(trace[population], attribute))[:, 0] for trace in (early, states)
            )
            mine = in_lava_time(first, later, position, STEPS)
            truth = stored(folder, f"{name}-{what}")
            if what == "v":
                truth = np.where(stored(folder, name), truth - AFTER_SPIKE, truth)
            assert np.count_nonzero(mine != truth) == 0, (name, what)


@pytest.mark.slow
def test_the_functional_simulator_gives_the_recorded_pilotnet_spikes(pilotnet: Any) -> None:
    folder, network, inputs = pilotnet
    silence = {"input": np.zeros_like(inputs["input"])}
    before = functional.run(unfinished_sample(network, INTERVAL), silence)
    sample = functional.run(network, inputs)
    assert differing_spikes(folder, network, before, sample) == [0] * 9


def test_pilotnet_behind_its_input_layer_is_the_same_network(pilotnet: Any) -> None:
    folder, network, inputs = pilotnet
    whole = reference.run(network, inputs)
    spikes = raster(whole, in_file_order(network)[0], INTERVAL)
    behind = netx.read(folder / "network.net", netx.NetxOptions("spikes"))
    part = reference.run(behind, {"input": spikes[None].astype(np.int64)})
    assert len(part.spikes) == len(whole.spikes) - 1
    assert set(part.mismatches(whole).values()) == {0}


@pytest.mark.slow
def test_pilotnet_compiled_for_loihi2_fires_what_intel_recorded(pilotnet: Any) -> None:
    """The file Intel ran on Loihi 2, on the emulated chip; its input layer is left to the host."""
    folder, network, inputs = pilotnet
    silence = {"input": np.zeros_like(inputs["input"])}
    before = functional.run(unfinished_sample(network, INTERVAL), silence)
    host = in_file_order(network)[0]
    sent = raster(functional.run(network, inputs), host, INTERVAL)
    options = CompileOptions(target="loihi2", input_layer="spikes", timesteps=INTERVAL)
    deployment = snnc.compile(folder / "network.net", options).deployment
    assert deployment is not None
    part = {"input": sent[None].astype(np.int64)}
    for result in (
        cycle.run(deployment, part).result,
        functional.run(deployment.network, part),
    ):
        found = [
            np.count_nonzero(
                in_lava_time(
                    raster(before, neurons, INTERVAL), raster(result, neurons, INTERVAL),
                    position, STEPS,
                )
                != stored(folder, name)
            )
            for position, (name, neurons) in enumerate(
                zip(LAYERS, in_file_order(network), strict=False)
            )
            if position
        ]  # fmt: skip
        assert found == [0] * 8


def test_the_dense_recording_is_reproduced(tmp_path: Path) -> None:
    folder = require_data("lava_dl", "gts_dense")
    spikes, out = (np.load(folder / f"{name}.npy").T.astype(np.int64) for name in ("in", "out"))
    layer = dense(np.load(folder / "weight.npy"), cuba(4096, 415, 6))
    network = netx.read(write(tmp_path / "dense.net", layer))
    for simulator in (reference, functional):
        found = raster(
            simulator.run(network, {"input": spikes[None]}), network.populations[0], 2000
        )
        # Lava shows what happens in a step behind one layer of synapses one step later.
        in_lava = np.concatenate([np.zeros_like(found[:1]), found[:-1]])
        assert out.size == 512_000
        assert np.count_nonzero(in_lava != out.astype(bool)) == 0


@pytest.mark.parametrize(
    ("name", "synapses", "neurons"),
    [
        ("tiny.net", 1_800 + 21_600, 768 + 864 + 36),
        ("mnist_784_128_64_10.net", 784 * 128 + 128 * 64 + 64 * 10, 202),
        ("oxford_from_nir_repo.net", 200 * 256 + 256 * 200, 456),
    ],
)
def test_other_files_of_lava_dl_load_and_both_simulators_agree(
    name: str, synapses: int, neurons: int
) -> None:
    network = netx.read(require_data("lava_dl", name))
    assert sum(p.size for p in network.populations) == neurons
    assert sum(n.weights.values.size for n in network.of_type(Linear)) == synapses
    node = network.of_type(Input)[0]
    high = min(node.type.high, 70)
    rng = np.random.default_rng(3)
    inputs = {"input": rng.integers(1, high + 1, (2, 60, *node.shape))}
    inputs["input"] *= rng.random(inputs["input"].shape) < (1 if high > 1 else 0.02)
    ours, fast = reference.run(network, inputs), functional.run(network, inputs)
    assert sum(counts.sum() for counts in ours.spike_counts.values()) > 100
    assert set(ours.mismatches(fast).values()) == {0}
