"""sinabs' layers: imported networks against sinabs itself, float32, short numbers."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
sl = pytest.importorskip("sinabs.layers", reason="sinabs is not installed", exc_type=ImportError)

from sinabs.activation import (  # noqa: E402
    MaxSpike,
    MembraneReset,
    MembraneSubtract,
    MultiSpike,
    SingleSpike,
)
from support.torch_frameworks import check, network_of, outputs, quarters, spikes  # noqa: E402

from snnc.compiler.frontends.torch import from_torch  # noqa: E402
from snnc.ir.errors import UnsupportedError  # noqa: E402

STEPS, FEATURES = 12, 6
X = spikes(4, STEPS, FEATURES)
HALF = {"tau_mem": 1.0, "train_alphas": True}


def halved(layer: Any, **alphas: float) -> Any:
    """The layer with decays that are powers of two, which no time constant gives exactly."""
    with torch.no_grad():
        for name in ("alpha_mem", "alpha_syn", "alpha_adapt"):
            parameter = getattr(layer, name, None)
            if parameter is not None:
                parameter.fill_(alphas.get(name, 0.5))
    return layer


def compare(layer: Any, least: float = 50) -> None:
    """A dense layer and a neuron, and another pair behind them."""
    more = (torch.nn.Linear(9, 5), sl.IAF(min_v_mem=-1.0))
    model = quarters(torch.nn.Sequential(torch.nn.Linear(FEATURES, 9), layer, *more))
    theirs = model(torch.from_numpy(X).float())
    network = network_of(model, torch.zeros(2, STEPS, FEATURES))
    check(outputs(network, X), theirs, least)


LAYERS = {
    "IAF": lambda: sl.IAF(),
    "IAF with a clamp": lambda: sl.IAF(min_v_mem=-0.5, spike_threshold=torch.tensor(0.75)),
    "IAF with one spike per step": lambda: sl.IAF(spike_fn=SingleSpike),
    "IAF with at most three": lambda: sl.IAF(spike_fn=MaxSpike(3), min_v_mem=-2.0),
    "IAF with any number": lambda: sl.IAF(spike_fn=MaxSpike()),
    "IAF reset to zero": lambda: sl.IAF(spike_fn=MultiSpike, reset_fn=MembraneReset()),
    "IAF with another subtraction": lambda: sl.IAF(
        spike_fn=MaxSpike(2), reset_fn=MembraneSubtract(0.5)
    ),
    "LIF": lambda: halved(sl.LIF(**HALF)),
    "LIF without norm": lambda: halved(sl.LIF(**HALF, norm_input=False)),
    "LIF with a current": lambda: halved(sl.LIF(**HALF, tau_syn=1.0, norm_input=False)),
    "LIF with a normalised current": lambda: halved(
        sl.LIF(**HALF, tau_syn=1.0, spike_fn=SingleSpike), alpha_syn=0.25
    ),
    "ALIF": lambda: halved(
        sl.ALIF(torch.tensor(1.0), torch.tensor(1.0), adapt_scale=0.5, train_alphas=True)
    ),
    "ALIF reset to zero": lambda: halved(
        sl.ALIF(torch.tensor(1.0), torch.tensor(1.0), adapt_scale=0.25, train_alphas=True,
                reset_fn=MembraneReset(), norm_input=False, min_v_mem=-1.0)
    ),
    "ALIF with a current": lambda: halved(
        sl.ALIF(torch.tensor(1.0), torch.tensor(1.0), torch.tensor(1.0), adapt_scale=0.5,
                train_alphas=True, norm_input=False)
    ),
    "ExpLeak": lambda: halved(sl.ExpLeak(tau_mem=1.0, train_alphas=True)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_equals_sinabs(name: str) -> None:
    compare(LAYERS[name]())


@pytest.mark.parametrize("kind", ["IAFRecurrent", "LIFRecurrent"])
def test_recurrent_weights_with_a_bias_act_one_step_later(kind: str) -> None:
    options = HALF if kind == "LIFRecurrent" else {}
    layer = halved(getattr(sl, kind)(rec_connect=torch.nn.Linear(9, 9), **options,
                                     spike_fn=SingleSpike, min_v_mem=-1.0))  # fmt: skip
    compare(layer, 30)


def test_a_squeezed_convolutional_network() -> None:
    model = quarters(
        torch.nn.Sequential(
            torch.nn.Conv2d(2, 4, 3, padding=1), sl.IAFSqueeze(batch_size=3, min_v_mem=-1.0),
            sl.SumPool2d(2), torch.nn.Conv2d(4, 4, 3),
            halved(sl.LIFSqueeze(batch_size=3, tau_mem=1.0, train_alphas=True)),
            torch.nn.Flatten(), torch.nn.Linear(16, 5),
            halved(sl.ExpLeakSqueeze(batch_size=3, tau_mem=1.0, train_alphas=True)),
        ), 1 / 4
    )  # fmt: skip
    x = spikes(3, 6, 2, 8, 8, rate=0.2)
    theirs = model(torch.from_numpy(x).float().reshape(18, 2, 8, 8)).reshape(3, 6, 5)
    network = network_of(model, torch.zeros(18, 2, 8, 8), time_axis=None)
    check(outputs(network, x), theirs, 100)


def test_time_constants_are_taken_as_sinabs_computes_them() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), sl.LIF(tau_mem=20.0)).eval()
    network = network_of(model, torch.zeros(2, 5, 3))
    decay = network.node["1"].decay  # type: ignore[union-attr]
    assert decay.item() == float(torch.exp(-1.0 / torch.tensor(20.0)))


class Custom(torch.autograd.Function):
    """A spike function nobody knows."""

    required_states = ("v_mem",)


REFUSED = {
    "adds to silent neurons": lambda: sl.IAF(reset_fn=MembraneReset(0.5)),
    "this spike function": lambda: sl.IAF(spike_fn=Custom),
    "this subtraction": lambda: sl.IAF(reset_fn=MembraneSubtract(0.5)),
    "potential is clipped": lambda: sl.ExpLeak(tau_mem=2.0, min_v_mem=-1.0),
    "no equation for": lambda: sl.ALIFRecurrent(
        torch.tensor(2.0), torch.tensor(2.0), rec_connect=torch.nn.Linear(3, 3)
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_has_no_equation_is_refused_by_name(words: str) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), REFUSED[words]()).eval()
    with pytest.raises(UnsupportedError, match=words) as refusal:
        from_torch(model, torch.zeros(2, 5, 3))
    assert refusal.value.where.startswith("1")


def test_time_on_another_axis_is_refused() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), sl.IAF()).eval()
    with pytest.raises(UnsupportedError, match="batch, time"):
        from_torch(model, torch.zeros(5, 2, 3), time_axis=0)
