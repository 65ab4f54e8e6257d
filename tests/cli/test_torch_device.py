"""The functional simulator on PyTorch equals the reference: every spike, output and count."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.cli import Snnc, refused
from support.random_networks import Options, random_inputs, random_network
from support.same_run import assert_same_run
from support.speed_networks import event_cnn

from snnc.ir.errors import MissingPackageError, OptionError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Leak, Recovery
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import reference
from snnc.simulators.functional import torch_device
from snnc.simulators.functional.torch_device import TorchDevice


def assert_equal(network: IntegerNetwork, inputs: dict[str, np.ndarray]) -> None:
    assert_same_run(TorchDevice(network, "cpu-torch").run(inputs), reference.run(network, inputs))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), weight=st.sampled_from([20, 3000, 2**24]))
def test_random_networks_equal_the_reference(seed: int, weight: int) -> None:
    pytest.importorskip("torch")
    network = random_network(seed, Options(weight=weight))
    assume(all(n.delta is None and n.recovery is None for n in network.populations))
    assert_equal(network, random_inputs(network, seed, samples=3, steps=7))


def test_a_convolutional_network_equals_the_reference_in_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    network, raster = event_cnn(samples=3, steps=5)
    inputs = {"x": raster}
    assert_equal(network, inputs)
    monkeypatch.setattr(torch_device, "STATE_BYTES", 1)  # one sample at a time
    assert_equal(network, inputs)


def test_only_what_is_asked_for_is_recorded() -> None:
    pytest.importorskip("torch")
    network = random_network(1, Options())
    inputs = random_inputs(network, 1, samples=1, steps=3)
    device = TorchDevice(network, "cpu-torch")
    name = network.populations[0].name
    assert set(device.run(inputs, (name,)).spikes) == {name}
    with pytest.raises(OptionError, match="only populations"):
        device.run(inputs, ("nobody",))


def test_what_it_does_not_run_is_refused_by_name() -> None:
    torch = pytest.importorskip("torch")
    network = random_network(1, Options())
    with pytest.raises(OptionError, match="no such device"):
        TorchDevice(network, "tpu")  # type: ignore[arg-type]
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="no CUDA device"):
            TorchDevice(network, "cuda")
    plain = next(n for n in network.populations if n.reset.kind == "subtract" or n.levels == 1)
    tired = replace(
        network,
        nodes=tuple(
            replace(n, thresholds=np.array([9]), negative_thresholds=np.zeros(0, np.int64),
                    refractory=0, emission=None, recovery=Recovery(Leak(np.array(1), 1)))
            if n is plain else n
            for n in network.nodes
        ),
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match=rf"{plain.name}: .*no such neuron"):
        TorchDevice(tired, "cpu-torch")
    neuron = network.populations[0]
    huge = IntegerNetwork(
        "huge",
        (
            Input("x", (64,), BIN),
            Linear("w", ("x",), Dense(np.full((neuron.size, 64), 1 << 48))),
            replace(neuron, inputs=("w",), shape=(neuron.size,), input_shift=0),
            Output("out", (neuron.name,)),
        ),
    )
    with pytest.raises(UnsupportedError, match=rf"{neuron.name}: .*exact"):
        TorchDevice(huge, "cpu-torch")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingPackageError, match=r"snnc\[torch\]"):
        TorchDevice(random_network(1, Options()), "cpu-torch")


def test_the_command_runs_on_a_device(
    snnc: Snnc, compiled: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", compiled, "--input", data)
    refused(snnc(*words, "--device", "cuda"), "--device", "--backend functional")
    on = (*words, "--backend", "functional", "--device", "cpu-torch")
    refused(snnc(*on, "--threads", 2), "--threads", "leave one")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)
        refused(snnc(*on), "snnc[torch]")
    pytest.importorskip("torch")
    found, plain = snnc(*on, "--json").json, snnc(*on[:-2], "--json").json
    assert found["mismatches"] == 0
    assert {k: v for k, v in found.items() if k != "seconds"} == {
        k: v for k, v in plain.items() if k != "seconds"
    }
