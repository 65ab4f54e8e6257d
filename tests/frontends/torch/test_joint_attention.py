"""Hamming attention over the tokens of all steps: from PyTorch to the cores, spike by spike."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")

from support import torch_compare, torch_zoo  # noqa: E402
from support.deployed import deployed  # noqa: E402

from snnc.backends.targets import load  # noqa: E402
from snnc.compiler.quantize import QuantizeOptions, quantize  # noqa: E402
from snnc.simulators import cycle, functional, reference  # noqa: E402
from snnc.simulators.reference.real import run_real  # noqa: E402

STEPS = 3


def network():
    """Two heads of four channels, four tokens per step."""
    body = torch.nn.Sequential(
        torch_zoo.conv_bn(1, 8, 3, 2), torch_zoo.lif(), torch_zoo.conv_bn(8, 8, 3, 2),
        torch_zoo.HammingAttention(8, 2, torch_zoo.lif, torch_zoo.lif),
        torch_zoo.lif(), torch_zoo.GlobalPool(8),
    )  # fmt: skip
    torch.manual_seed(0)
    net = torch_zoo.ZooNet("joint", torch_zoo.Repeated(body, STEPS), STEPS)
    torch_zoo.settle(net, 0)
    return torch_zoo.snap(net, 3)


def test_the_cores_fire_what_the_framework_fires():
    torch.set_num_threads(1)
    net, toy = network(), load("toy-mesh")
    assert torch_compare.compare(net, samples=3).spike_differences == {}
    imported = torch_compare.imported(net)
    assert imported.steps == STEPS
    inputs = torch_zoo.network_inputs(net, torch_zoo.example(net, 3))
    real = run_real(imported, inputs)
    done = quantize(imported, toy, QuantizeOptions(8), inputs).network
    integers = {
        name: np.rint(values / done.types[name].grid[0]).astype(np.int64)
        for name, values in inputs.items()
    }
    expected = reference.run(done, integers)
    placed = deployed(done, toy, STEPS, chips=8)
    for run in (expected, functional.run(done, integers), cycle.run(placed, integers).result):
        for name, events in real.spikes.items():
            assert run.spikes[name].mismatches(events) == 0, name
        np.testing.assert_array_equal(run.outputs["output"], expected.outputs["output"])
    assert sum(events.count for events in real.spikes.values()) > 100
