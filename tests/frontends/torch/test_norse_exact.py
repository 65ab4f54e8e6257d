"""Norse's neurons: imported networks against Norse itself, float64, short numbers."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")
norse = pytest.importorskip("norse.torch", reason="norse is not installed", exc_type=ImportError)

from norse.torch.functional.iaf import IAFParameters  # noqa: E402
from norse.torch.functional.leaky_integrator import LIParameters  # noqa: E402
from norse.torch.functional.leaky_integrator_box import LIBoxParameters  # noqa: E402
from norse.torch.functional.lif import LIFParameters  # noqa: E402
from norse.torch.functional.lif_box import LIFBoxParameters  # noqa: E402
from norse.torch.functional.reset import reset_subtract  # noqa: E402
from norse.torch.module.iaf import IAFCell  # noqa: E402
from norse.torch.module.leaky_integrator_box import LIBoxCell  # noqa: E402
from support.torch_frameworks import check, network_of, outputs, quarters, spikes  # noqa: E402

from snnc.compiler.frontends.torch import from_torch  # noqa: E402
from snnc.ir.errors import UnsupportedError  # noqa: E402

STEPS, FEATURES, HIDDEN = 12, 6, 9
X = spikes(4, STEPS, FEATURES)
DT = 2.0**-10


def number(value: float) -> Any:
    return torch.tensor(value, dtype=torch.float64)


RATES = {"tau_mem_inv": number(256.0)}  # a quarter per step
CURRENT = {"tau_syn_inv": number(512.0), **RATES}
CELLS = {
    "LIFBoxCell": lambda: norse.LIFBoxCell(LIFBoxParameters(**RATES, v_th=number(0.5)), dt=DT),
    "LIFBoxCell resting elsewhere": lambda: norse.LIFBoxCell(
        LIFBoxParameters(**RATES, v_th=number(0.5), v_leak=number(0.25), v_reset=number(-0.5)),
        dt=DT,
    ),
    "LIFBoxCell by subtraction": lambda: norse.LIFBoxCell(
        LIFBoxParameters(**RATES, v_th=number(0.25), reset_method=reset_subtract), dt=DT
    ),
    "LIFCell": lambda: norse.LIFCell(LIFParameters(**CURRENT, v_th=number(0.5)), dt=DT),
    "LICell": lambda: norse.LICell(LIParameters(**CURRENT, v_leak=number(0.5)), dt=DT),
    "LIBoxCell": lambda: LIBoxCell(LIBoxParameters(**RATES), dt=DT),
    "IAFCell": lambda: IAFCell(IAFParameters(v_th=number(1.5))),
    "LIFRecurrentCell": lambda: norse.LIFRecurrentCell(
        HIDDEN, HIDDEN, LIFParameters(**CURRENT, v_th=number(0.5)), dt=DT
    ),
}


def shortened(model: Any) -> Any:
    """Norse's recurrent weights as multiples of 1/16, all in float64."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "input_weights" in name or "recurrent_weights" in name:
                parameter.copy_(torch.round(parameter * 16) / 16)
    return model.double()


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_in_a_sequential_state(name: str) -> None:
    torch.manual_seed(0)
    model = norse.SequentialState(
        torch.nn.Linear(FEATURES, HIDDEN), CELLS[name](), torch.nn.Linear(HIDDEN, 5),
        norse.LIFCell(LIFParameters(**CURRENT, v_th=number(0.5)), dt=DT),
    )  # fmt: skip
    model = shortened(quarters(model))
    rows, state = [], None
    for t in range(STEPS):
        row, state = model(torch.from_numpy(X[:, t]), state)
        rows.append(row)
    network = network_of(model, torch.zeros(2, FEATURES).double(), time_axis=None)
    check(outputs(network, X), torch.stack(rows, 1), 20)


@pytest.mark.parametrize("kind", ["LIF", "LI", "LIFRecurrent"])
def test_a_layer_over_whole_sequences(kind: str) -> None:
    torch.manual_seed(0)
    layer = {
        "LIF": lambda: norse.LIF(LIFParameters(**CURRENT, v_th=number(0.5)), dt=DT),
        "LI": lambda: norse.LI(LIParameters(**CURRENT), dt=DT),
        "LIFRecurrent": lambda: norse.LIFRecurrent(
            HIDDEN, HIDDEN, LIFParameters(**CURRENT, v_th=number(0.5)), dt=DT
        ),
    }[kind]()
    model = shortened(
        quarters(norse.SequentialState(norse.Lift(torch.nn.Linear(FEATURES, HIDDEN)), layer))
    )
    theirs, _ = model(torch.from_numpy(X.swapaxes(0, 1)))
    network = network_of(model, torch.zeros(STEPS, 2, FEATURES).double(), time_axis=0)
    check(outputs(network, X), theirs.transpose(0, 1), 20)


def test_a_lifted_convolutional_network() -> None:
    model = norse.SequentialState(
        norse.Lift(torch.nn.Conv2d(1, 3, 3)),
        norse.LIF(LIFParameters(**CURRENT, v_th=number(0.5)), dt=DT),
        torch.nn.Flatten(2), norse.Lift(torch.nn.Linear(48, 4)),
        norse.LIF(LIFParameters(**CURRENT, v_th=number(0.5)), dt=DT),
    )  # fmt: skip
    model = quarters(model).double()
    x = spikes(3, 8, 1, 6, 6)
    theirs, _ = model(torch.from_numpy(x.swapaxes(0, 1)))
    network = network_of(model, torch.zeros(8, 2, 1, 6, 6).double(), time_axis=0)
    check(outputs(network, x), theirs.transpose(0, 1), 20)


def test_a_lifted_cell() -> None:
    model = norse.Lift(norse.LIFBoxCell(LIFBoxParameters(**RATES, v_th=number(0.5)), dt=DT))
    model = model.double().eval()
    theirs, _ = model(torch.from_numpy(X.swapaxes(0, 1)))
    network = network_of(model, torch.zeros(STEPS, 2, FEATURES).double(), time_axis=0)
    check(outputs(network, X), theirs.transpose(0, 1), 20)


class Peeking(torch.nn.Module):
    """Uses the state of a neuron."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = norse.LIFBoxCell()

    def forward(self, x: Any) -> Any:
        _, state = self.cell(x, None)
        return state.v


def test_a_state_that_is_read_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="read outside the neuron") as refusal:
        from_torch(Peeking().eval(), torch.zeros(2, 3), time_axis=None)
    assert "state.v" in refusal.value.where


class Shared(torch.nn.Module):
    """Hands one neuron the state of another."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = norse.LIFBoxCell(), norse.LIFBoxCell()

    def forward(self, x: Any) -> Any:
        x, state = self.a(x, None)
        return self.b(x, state)[0]


def test_a_state_of_another_neuron_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="its own state"):
        from_torch(Shared().eval(), torch.zeros(2, 3), time_axis=None)


def test_a_neuron_without_equation_is_refused() -> None:
    model = norse.SequentialState(norse.LIFRefracCell()).eval()
    with pytest.raises(UnsupportedError, match="no equation for") as refusal:
        from_torch(model, torch.zeros(2, 3), time_axis=None)
    assert "LIFRefracCell" in refusal.value.found
