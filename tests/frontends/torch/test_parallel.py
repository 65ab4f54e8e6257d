"""Neurons with weights of their own in every step: as the framework, and on the cores."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")

from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402
from spikingjelly.activation_based.neuron.few_spike import FewSpikeNode, FewSpikeTable  # noqa: E402
from support.deployed import deployed  # noqa: E402

from snnc.backends.targets import load  # noqa: E402
from snnc.compiler.frontends.torch import from_torch  # noqa: E402
from snnc.compiler.quantize import QuantizeOptions, quantize  # noqa: E402
from snnc.ir.errors import UnsupportedError  # noqa: E402
from snnc.simulators import cycle, reference  # noqa: E402
from snnc.simulators import functional as integers  # noqa: E402
from snnc.simulators.reference.real import run_real  # noqa: E402

STEPS, SAMPLES, WIDTH = 4, 5, 6


def _grid(module, seed=0):
    """Weights and biases that are multiples of 1/4, some of them positive."""
    rng = np.random.default_rng(seed)
    for parameter in module.parameters():
        parameter.data = torch.from_numpy(rng.integers(-4, 6, parameter.shape) / 4.0)
    return module


def _masked(k, fade):
    module = neuron.MaskedPSN(k, STEPS, lambda_init=fade)
    return _grid(module)


def _few_spike(*levels):
    theta, after, weight = (
        torch.tensor(row, dtype=torch.float64) for row in zip(*levels, strict=True)
    )
    return FewSpikeNode(FewSpikeTable(theta, after, weight))


TABLE = ((2.0, 2.0, 1.5), (-0.5, 1.0, -0.5), (0.5, 0.25, 0.25), (0.0, 0.5, 2.0))
NEURONS = {
    "psn": (lambda: _grid(neuron.PSN(STEPS)), "m"),
    "masked psn": (lambda: _masked(2, 1.0), "ms"),
    "masked psn of three": (lambda: _masked(3, 1.0), "ms"),
    "masked psn half faded": (lambda: _masked(2, 0.5), "m"),
    "few spikes": (lambda: _few_spike(*TABLE), "ms"),
}
CASES = [(name, mode) for name, (_, modes) in NEURONS.items() for mode in modes]


def build(name, mode):
    """A linear layer, the neuron, and another linear layer."""
    module = NEURONS[name][0]()
    if hasattr(module, "step_mode") and not isinstance(module, neuron.PSN):
        module.step_mode = mode
    sequence = "m" if mode == "m" else "s"
    parts = [
        _grid(layer.Linear(WIDTH, 7, step_mode=sequence), 1),
        module,
        _grid(layer.Linear(7, 3, bias=False, step_mode=sequence), 2),
    ]
    return torch.nn.Sequential(*parts).double().eval()


def frames():
    rng = np.random.default_rng(5)
    return torch.from_numpy((rng.random((STEPS, SAMPLES, WIDTH)) < 0.4).astype(np.float64))


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_the_cores_compute_what_the_framework_does(name, mode):
    torch.set_num_threads(1)
    model, x, toy = build(name, mode), frames(), load("toy-mesh")
    with torch.no_grad():
        truth = model(x) if mode == "m" else torch.stack([model(step) for step in x])
    functional.reset_net(model)
    example = x[:, :2] if mode == "m" else x[0, :2]
    network = from_torch(model, example, time_axis=0 if mode == "m" else None)
    data = np.ascontiguousarray(np.swapaxes(x.numpy(), 0, 1))
    wanted = np.swapaxes(truth.numpy(), 0, 1)
    result = run_real(network, {"input": data})
    np.testing.assert_array_equal(result.outputs["output"], wanted)
    assert len(np.unique(wanted)) > 4
    assert len({wanted[:, t].tobytes() for t in range(STEPS)}) == STEPS

    integer = quantize(network, toy, QuantizeOptions(8, STEPS), {"input": data}).network
    whole = {"input": data.astype(np.int64)}
    expected = reference.run(integer, whole)
    for population, events in result.spikes.items():
        assert expected.spikes[population].mismatches(events) == 0, population
    grid = np.array(integer.node["output.readout"].grid)
    np.testing.assert_array_equal(expected.outputs["output"] * grid, wanted)
    placed = deployed(integer, toy, STEPS, chips=4)
    for run in (integers.run(integer, whole), cycle.run(placed, whole).result):
        for population, events in expected.spikes.items():
            assert run.spikes[population].mismatches(events) == 0, population
        np.testing.assert_array_equal(run.outputs["output"], expected.outputs["output"])


def test_a_causal_matrix_needs_no_barrier():
    x = frames()[:, :2]
    waits = from_torch(build("masked psn half faded", "m"), x, time_axis=0)
    causal = from_torch(build("masked psn", "m"), x, time_axis=0)
    assert waits.steps == STEPS
    assert causal.steps is None


def test_a_spikeless_matrix_is_refused():
    model = build("psn", "m")
    model[1].weight.data.zero_()
    with pytest.raises(UnsupportedError, match="all zero"):
        from_torch(model, frames(), time_axis=0)
