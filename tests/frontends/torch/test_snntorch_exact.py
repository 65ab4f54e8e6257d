"""snnTorch's neurons: imported networks against snnTorch itself, float64, short numbers."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
snn = pytest.importorskip("snntorch", reason="snntorch is not installed", exc_type=ImportError)

from snntorch import utils  # noqa: E402
from support.torch_frameworks import check, network_of, outputs, quarters, spikes  # noqa: E402

from snnc.compiler.frontends.torch import from_torch  # noqa: E402
from snnc.ir.errors import UnsupportedError  # noqa: E402
from snnc.ir.real_neuron import RealNeuron  # noqa: E402

STEPS, FEATURES, HIDDEN = 16, 6, 10
X = spikes(4, STEPS, FEATURES)


def step_function(u: Any) -> Any:
    """The spike without a surrogate; snnTorch's own returns float32 whatever it gets."""
    return (u > 0).to(u.dtype)


DOUBLE: dict[str, Any] = {"spike_grad": step_function}


class Loop(torch.nn.Module):
    """Two layers, the neurons' states passed by hand, as in snnTorch's tutorials."""

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self.fc1, self.lif1 = torch.nn.Linear(FEATURES, HIDDEN), first
        self.fc2, self.lif2 = torch.nn.Linear(HIDDEN, HIDDEN), second

    def forward(self, x: Any) -> Any:
        one, two = self.lif1.reset_mem(), self.lif2.reset_mem()
        one, two = (s if isinstance(s, tuple) else (s,) for s in (one, two))
        rows, potentials = [], []
        for step in range(x.shape[0]):
            spk, *one = self.lif1(self.fc1(x[step]), *one)
            out = self.lif2(self.fc2(spk), *two)
            spk2, two = out[0], list(out[1:])
            rows.append(spk2)
            potentials.append(two[-1])
        return torch.stack(rows), torch.stack(potentials)


@pytest.mark.parametrize("delay", [True, False])
@pytest.mark.parametrize("mechanism", ["subtract", "zero", "none"])
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_a_loop_of_states_passed_by_hand(kind: str, mechanism: str, delay: bool) -> None:
    options = {
        "beta": 0.75,
        "reset_mechanism": mechanism,
        "reset_delay": delay,
        "threshold": 0.75,
        **DOUBLE,
    }
    if kind == "Synaptic":
        options |= {"alpha": 0.5}
    model = quarters(Loop(getattr(snn, kind)(**options), getattr(snn, kind)(**options))).double()
    theirs, _ = model(torch.from_numpy(X.swapaxes(0, 1)))
    network = network_of(
        model, torch.zeros(STEPS, 2, FEATURES).double(), time_axis=0, outputs=["output_0"]
    )
    check(outputs(network, X, "output_0").swapaxes(0, 1), theirs, 100)
    assert len(network.of_type(RealNeuron)) == 2


@pytest.mark.parametrize("delay", [True, False])
@pytest.mark.parametrize("mechanism", ["subtract", "none"])
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_the_potential_may_be_an_output(kind: str, mechanism: str, delay: bool) -> None:
    options = {"beta": 0.75, "reset_mechanism": mechanism, "reset_delay": delay, **DOUBLE}
    if kind == "Synaptic":
        options |= {"alpha": 0.5}
    model = quarters(Loop(getattr(snn, kind)(**options), getattr(snn, kind)(**options))).double()
    theirs = model(torch.from_numpy(X.swapaxes(0, 1)))
    network = network_of(model, torch.zeros(STEPS, 2, FEATURES).double(), time_axis=0)
    for k in range(2):
        check(outputs(network, X, f"output_{k}").swapaxes(0, 1), theirs[k], 100)


def test_the_potential_of_a_reset_to_zero_is_refused_only_as_an_output() -> None:
    model = quarters(Loop(*(snn.Leaky(0.5, reset_mechanism="zero") for _ in "ab")))
    with pytest.raises(UnsupportedError, match="resets to zero") as refusal:
        from_torch(model, torch.zeros(STEPS, 2, FEATURES), time_axis=0)
    assert refusal.value.where == "lif2.mem"


def hidden(kind: str, **options: Any) -> Any:
    """A Sequential whose neurons keep their state."""
    options |= DOUBLE
    if "Synaptic" in kind:
        options["alpha"] = 0.5
    recurrent = {"linear_features": HIDDEN} if kind.startswith("R") else {}
    first = getattr(snn, kind)(beta=0.75, init_hidden=True, **recurrent, **options)
    second = getattr(snn, kind)(beta=0.5, init_hidden=True, **recurrent, **options)
    parts = (torch.nn.Linear(FEATURES, HIDDEN), first, torch.nn.Linear(HIDDEN, HIDDEN), second)
    return quarters(torch.nn.Sequential(*parts)).double()


def stepped(model: Any, x: Any) -> Any:
    utils.reset(model)
    for module in model.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    rows = [model(torch.from_numpy(x[:, t])) for t in range(x.shape[1])]
    return torch.stack([r[0] if isinstance(r, tuple) else r for r in rows], 1)


HIDDEN_KINDS = [
    ("Leaky", True), ("Synaptic", True), ("RLeaky", True), ("RLeaky", False), ("RSynaptic", True)
]  # fmt: skip


@pytest.mark.parametrize("mechanism", ["subtract", "zero"])
@pytest.mark.parametrize(("kind", "delay"), HIDDEN_KINDS)
def test_a_sequential_with_hidden_states(kind: str, delay: bool, mechanism: str) -> None:
    model = hidden(kind, reset_mechanism=mechanism, reset_delay=delay, threshold=1.5)
    theirs = stepped(model, X)
    network = network_of(model, torch.zeros(2, FEATURES).double(), time_axis=None)
    check(outputs(network, X), theirs, 100)


def test_parameters_per_neuron_learned_and_out_of_range() -> None:
    beta = torch.tensor([0.25, 0.5, 1.5, -0.5] + [0.75] * 6)
    threshold = torch.linspace(0.5, 2.75, HIDDEN)
    neuron = snn.Leaky(beta, threshold, init_hidden=True, learn_beta=True, learn_threshold=True,
                       **DOUBLE)  # fmt: skip
    model = quarters(torch.nn.Sequential(torch.nn.Linear(FEATURES, HIDDEN), neuron)).double()
    theirs = stepped(model, X)
    network = network_of(model, torch.zeros(2, FEATURES).double(), time_axis=None)
    check(outputs(network, X), theirs, 100)
    (population,) = network.of_type(RealNeuron)
    assert (population.decay.max(), population.decay.min()) == (1, 0)


def test_graded_spikes_and_an_output_layer_with_states() -> None:
    last = snn.Leaky(0.5, init_hidden=True, output=True, graded_spikes_factor=0.25, **DOUBLE)
    model = quarters(torch.nn.Sequential(torch.nn.Linear(FEATURES, 4), last)).double()
    theirs = stepped(model, X)
    network = network_of(model, torch.zeros(2, FEATURES).double(), time_axis=None)
    check(outputs(network, X, "output_0"), theirs, 10)


def test_one_to_one_and_convolutional_recurrence() -> None:
    one = snn.RLeaky(0.5, V=0.25, all_to_all=False, init_hidden=True, **DOUBLE)
    model = quarters(torch.nn.Sequential(torch.nn.Linear(FEATURES, 5), one)).double()
    network = network_of(model, torch.zeros(2, FEATURES).double(), time_axis=None)
    check(outputs(network, X), stepped(model, X), 50)
    conv = snn.RLeaky(0.5, conv2d_channels=2, kernel_size=3, init_hidden=True, threshold=2.0,
                      **DOUBLE)  # fmt: skip
    model = quarters(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), conv)).double()
    x = spikes(3, 8, 1, 6, 6)
    network = network_of(model, torch.zeros(2, 1, 6, 6).double(), time_axis=None)
    check(outputs(network, x), stepped(model, x), 100)


REFUSED = {
    "inhibition": lambda: snn.Leaky(0.5, init_hidden=True, inhibition=True),
    "state_quant": lambda: snn.Leaky(0.5, init_hidden=True, state_quant=torch.round),
    "which fails in snnTorch": lambda: snn.RSynaptic(
        0.5, 0.5, linear_features=5, init_hidden=True, reset_delay=False
    ),
    "no equation for": lambda: snn.Lapicque(0.5, init_hidden=True),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_has_no_equation_is_refused_by_name(words: str) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(FEATURES, 5), REFUSED[words]()).eval()
    with pytest.raises(UnsupportedError, match=words) as refusal:
        from_torch(model, torch.zeros(2, FEATURES), time_axis=None)
    assert refusal.value.where.startswith("1")


class Confused(torch.nn.Module):
    """Hands one neuron the state of another."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = snn.Leaky(0.5), snn.Leaky(0.5)

    def forward(self, x: Any) -> Any:
        mem = None
        for t in range(x.shape[0]):
            _, mem = self.a(x[t], mem)
            spk, mem = self.b(x[t], mem)
        return spk


def test_a_state_of_another_neuron_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="its own state"):
        from_torch(Confused().eval(), torch.zeros(3, 2, FEATURES), time_axis=0)
