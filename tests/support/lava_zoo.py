"""Trained networks with data, for comparisons with Lava; what needs absent data is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from support.lava_truth import unfinished_sample
from support.netx_files import cuba, dense, write
from support.paths import shared_data
from support.speed_networks import nmnist_cnn

import snnc
from snnc.compiler.frontends import netx
from snnc.inputs import InputOptions
from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input

INTERVAL, TRUTH_STEPS = 17, 24  # sample length and recorded steps of PilotNet
PILOTNET_LAYERS = ("input", *(f"conv-{i}" for i in range(5)), *(f"fc-{i}" for i in range(3)))


@dataclass(frozen=True, eq=False)
class Case:
    """A network and its input [samples, steps, *shape]; a deployment where there is one."""

    name: str
    network: IntegerNetwork
    inputs: dict[str, Any]
    deployment: Deployment | None = None

    @property
    def extent(self) -> tuple[int, int]:
        """Samples and steps."""
        samples, steps = next(iter(self.inputs.values())).shape[:2]
        return samples, steps


def digits(samples: int) -> Case:
    """The shipped network on its first test images."""
    data = files("snnc") / "demo_data"
    options = snnc.CompileOptions(target="loihi1", timesteps=10, time_limit_s=0.5)
    with as_file(data / "digits_cnn.nir") as model, as_file(data / "digits_test.npz") as images:
        encoded = InputOptions(encode="direct")
        done = snnc.compile(model, options, calibration=images, inputs=encoded)
        x = np.load(images)["x"][:samples].reshape(-1, 1, 1, 8, 8).astype(np.int64)
    assert done.deployment is not None
    network = done.deployment.network
    inputs = {network.of_type(Input)[0].name: np.repeat(x, 10, axis=1)}
    return Case("digits_cnn (loihi1)", network, inputs, done.deployment)


def lava_dl(samples: int, steps: int) -> Iterator[Case]:
    """Networks of lava-dl on random input."""
    base = shared_data()
    for name in ("tiny.net", "mnist_784_128_64_10.net", "oxford_from_nir_repo.net"):
        if base is None or not (base / "lava_dl" / name).exists():
            continue
        network = netx.read(base / "lava_dl" / name)
        node = network.of_type(Input)[0]
        high = min(node.type.high, 70)
        rng = np.random.default_rng(3)
        x = rng.integers(1, high + 1, (samples, steps, *node.shape))
        x *= rng.random(x.shape) < (1 if high > 1 else 0.05)
        yield Case(name, network, {"input": x})


def dense_recording() -> Case | None:
    """lava-dl's recorded dense layer: 2000 steps, 512,000 entries."""
    base = shared_data()
    if base is None or not (base / "lava_dl" / "gts_dense").exists():
        return None
    folder = base / "lava_dl" / "gts_dense"
    x = np.load(folder / "in.npy").T.astype(np.int64)[None]
    layer = dense(np.load(folder / "weight.npy"), cuba(4096, 415, 6))
    with TemporaryDirectory() as place:
        network = netx.read(write(Path(place) / "gts_dense.net", layer))
    return Case("gts_dense", network, {"input": x})


def pilotnet() -> tuple[Case, Case] | None:
    """PilotNet-LIF: what happens before the first reset, and the sample Intel recorded."""
    base = shared_data()
    if base is None or not (base / "lava_dl" / "pilotnet_lif").exists():
        return None
    folder = base / "lava_dl" / "pilotnet_lif"
    network = netx.read(folder / "network.net")
    image = np.load(folder / "image.npy").T.astype(np.int64)
    x = np.broadcast_to(image, (1, INTERVAL, *image.shape))
    before = unfinished_sample(network, INTERVAL)
    return (
        Case("pilotnet_lif, before", before, {"input": np.zeros_like(x)}),
        Case("pilotnet_lif", network, {"input": x}),
    )


def nmnist(samples: int, steps: int) -> Case | None:
    """The published N-MNIST network of the NIR paper on real recordings."""
    found = nmnist_cnn(samples, steps)
    if found is None:
        return None
    network, x = found
    return Case("cnn_sinabs (int8)", network, {network.of_type(Input)[0].name: x})


def zoo() -> Iterator[Case]:
    """All of them."""
    yield digits(100)
    yield from lava_dl(4, 40)
    for case in (dense_recording(), nmnist(1, 60), *(pilotnet() or ())):
        if case is not None:
            yield case
