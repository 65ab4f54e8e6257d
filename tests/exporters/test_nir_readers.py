"""Frameworks read our NIR files, run them, and spike as our own reference does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.real_nets import neuron

from snnc.compiler.exporters.nir import NirExportOptions, export_nir
from snnc.ir.network import Network
from snnc.ir.nodes import Bias, Index, Input, Linear, Output, Pool
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense
from snnc.simulators.reference.real import run_real

SAMPLES, STEPS = 3, 20
X = (np.random.default_rng(1).random((SAMPLES, STEPS, 2, 6, 6)) < 0.3).astype(np.float32)


def network(**rule: Any) -> Network:
    """Convolution, sum pool, flatten and a dense layer, with weights of few bits."""
    random = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return np.round(random.normal(0, 0.5, shape) * 64) / 64

    kernel = Conv(weights(4, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    return Network(
        "net",
        (
            Input("input", (2, 6, 6), BIN),
            Linear("conv", ("input",), kernel),
            Bias("conv_bias", ("conv",), weights(4, 1, 1)),
            neuron("n1", "conv_bias", (4, 6, 6), **rule),
            Pool("pool", ("n1",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0))),
            Index("flat", ("pool",), (36,)),
            Linear("fc", ("flat",), Dense(weights(8, 36))),
            Bias("fc_bias", ("fc",), weights(8)),
            neuron("n2", "fc_bias", (8,), **rule),
            Output("output", ("n2",)),
        ),
    )


def package(name: str) -> Any:
    """A framework, or skip the test: absent, or broken by what it depends on."""
    pytest.importorskip("torch").set_num_threads(1)
    pytest.importorskip("nir")
    return pytest.importorskip(name, exc_type=ImportError)


def stepped(module: Any) -> Any:
    """Outputs [samples, steps, ...] of a module that takes a step and a state."""
    import torch

    state, rows = None, []
    for t in range(STEPS):
        found = module(torch.tensor(X[:, t]), state)
        row, state = found if isinstance(found, tuple) else (found, None)
        rows.append(row.detach().numpy())
    return np.stack(rows, axis=1)


def spikingjelly(path: Path) -> Any:
    exchange = package("spikingjelly.activation_based.nir_exchange.from_nir")
    return stepped(exchange.import_from_nir(str(path), dt=1e-4))


def snntorch(path: Path) -> Any:
    reader = package("snntorch.import_nir")
    import nir

    return stepped(reader.import_from_nir(nir.read(path)))


def norse(path: Path) -> Any:
    torch = package("norse.torch")
    import nir

    return stepped(torch.from_nir(nir.read(path), ignore_warnings=True))


def sinabs(path: Path) -> Any:
    reader = package("sinabs.nir")
    import nir
    import torch

    module = reader.from_nir(nir.read(path), batch_size=SAMPLES)
    found = module(torch.tensor(X.reshape(SAMPLES * STEPS, *X.shape[2:])))
    rows = found[0] if isinstance(found, tuple) else found
    return rows.detach().numpy().reshape(SAMPLES, STEPS, -1)


LEAKY = {"decay": 0.9}
COUNTING = {"reset": "subtract", "multi_spike": 0, "minimum": -1.0}
CASES: dict[str, tuple[Callable[[Path], Any], dict[str, Any], dict[str, Any]]] = {
    "snntorch": (snntorch, {**LEAKY, "comparator": ">"}, {}),
    "snntorch in 32 bits": (snntorch, {**LEAKY, "comparator": ">"}, {"precision": "float32"}),
    "snntorch with other gains": (
        snntorch, {**LEAKY, "comparator": ">", "gain": 0.5}, {"reader": "snntorch"},
    ),
    "spikingjelly LIF": (spikingjelly, LEAKY, {}),
    "spikingjelly LIF with decaying input": (spikingjelly, {"decay": 0.5, "gain": 0.5}, {}),
    "spikingjelly IF": (spikingjelly, {}, {"reader": "spikingjelly"}),
    "norse": (norse, {**LEAKY, "comparator": ">"}, {"reader": "norse"}),
    "sinabs": (sinabs, COUNTING, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_framework_reads_our_file_and_spikes_alike(name: str, tmp_path: Path) -> None:
    run, rule, options = CASES[name]
    net = network(**rule)
    told = export_nir(net, tmp_path / "net.nir", NirExportOptions(**options))
    assert told.reader == name.split(" ")[0]
    want = run_real(net, {"input": X}, dtype=np.float32).outputs["output"]
    found = run(tmp_path / "net.nir")
    assert want.sum() > 50
    assert int(np.count_nonzero(found != want)) == 0
