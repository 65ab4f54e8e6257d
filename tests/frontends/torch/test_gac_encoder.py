"""The example's encoder on the host, and graded events into the network behind it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
pytest.importorskip("spikingjelly", reason="spikingjelly is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from scipy.signal import correlate  # noqa: E402
from support import torch_zoo  # noqa: E402
from support.deployed import deployed  # noqa: E402

from snnc.backends.targets import load  # noqa: E402
from snnc.compiler.frontends.torch import from_torch  # noqa: E402
from snnc.compiler.quantize import QuantizeOptions, quantize  # noqa: E402
from snnc.simulators import cycle, functional, reference  # noqa: E402
from snnc.simulators.reference.real import run_real  # noqa: E402

SAMPLES = 3
SOURCE = Path(__file__).parents[3] / "examples" / "gac_encoder.py"


def example():
    spec = importlib.util.spec_from_file_location("gac_encoder", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images(seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 17, (SAMPLES, 1, 8, 8)) / 16.0)


def convolve(x, weight, bias):
    """[C, H, W] by kernels [D, C, 3, 3], padded."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    planes = [sum(correlate(p, k, "valid") for p, k in zip(padded, w, strict=True)) for w in weight]
    return np.stack(planes) + bias.reshape(-1, 1, 1)


def by_the_equations(encoder, image):
    """Payloads [T, C, H, W] of one image [1, H, W]."""
    state = {name: value.double().numpy() for name, value in encoder.state_dict().items()}
    norm = state["norm.weight"] / np.sqrt(state["norm.running_var"] + encoder.norm.eps)
    offset = state["norm.bias"] - state["norm.running_mean"] * norm
    x = convolve(image, state["convolve.weight"], 0 * norm)
    x = x * norm.reshape(-1, 1, 1) + offset.reshape(-1, 1, 1)
    potential, spikes = np.zeros_like(x), []
    for _ in range(encoder.steps):
        potential = 0.5 * potential + x
        spikes.append(potential > 1)
        potential = np.where(spikes[-1], 0, potential)
    s = np.array(spikes, float)

    def mlp(v):
        hidden = np.maximum(state["over_time.0.weight"] @ v + state["over_time.0.bias"], 0)
        return state["over_time.2.weight"] @ hidden + state["over_time.2.bias"]

    time = mlp(s.mean((1, 2, 3))) + mlp(s.max((1, 2, 3)))
    first, last = "over_places.0", "over_places.2"

    def gates(one):
        hidden = convolve(one, state[f"{first}.weight"], state[f"{first}.bias"])
        return convolve(np.maximum(hidden, 0), state[f"{last}.weight"], state[f"{last}.bias"])

    places = [gates(one) for one in s]
    gate = 1 / (1 + np.exp(-time.reshape(-1, 1, 1, 1) * np.array(places)))
    return np.rint(gate * s * 255)


def built():
    """Encoder and network with random weights, the network's on a grid."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    gac = example()
    encoder = gac.GatedEncoder(4).double()
    torch.nn.init.uniform_(encoder.norm.bias, 0.0, 1.0)
    net = torch_zoo.ZooNet("gac", gac.network(4), gac.STEPS, "sequence", (4, 8, 8))
    for module in net.model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 2.0, 3.0)
    return gac, encoder.eval(), torch_zoo.snap(net, 3).model


def test_the_payloads_are_those_of_the_equations():
    gac, encoder, _ = built()
    sent = gac.graded_events(encoder, images())
    wanted = np.array([by_the_equations(encoder, image) for image in images().numpy()])
    assert sent.dtype == np.uint8
    np.testing.assert_array_equal(sent, wanted)
    assert np.unique(sent).size > 20


def test_the_network_behind_it_takes_graded_events():
    gac, encoder, body = built()
    toy = load("toy-mesh")
    sent = gac.graded_events(encoder, images())
    with torch.no_grad():
        network = from_torch(body, encoder(images()[:1]), time_axis=0)
    data = {"input": sent / 255.0}
    # Weights of events on 1/255 and of spikes meet in the shortcut's sum: 8 bits would round.
    done = quantize(network, toy, QuantizeOptions(16, gac.STEPS), data).network
    kind = done.types["input"]
    assert kind.kind == "cnt"
    np.testing.assert_array_equal(np.rint(sent / 255 / kind.grid[0]), sent)
    events = {"input": sent.astype(np.int64)}
    real, expected = run_real(network, data), reference.run(done, events)
    for run in (expected, functional.run(done, events),
                cycle.run(deployed(done, toy, gac.STEPS, chips=8), events).result):  # fmt: skip
        for name, train in real.spikes.items():
            assert run.spikes[name].mismatches(train) == 0, name
        np.testing.assert_array_equal(run.outputs["output"], expected.outputs["output"])
    assert sum(train.count for train in real.spikes.values()) > 100
