"""Registered neurons: the documented example, every way to call one, and wrong equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.paths import ROOT

torch = pytest.importorskip("torch", reason="the [torch] extra is not installed")

from support.torch_frameworks import check, outputs, quarters, spikes  # noqa: E402

import snnc  # noqa: E402
from snnc.compiler.frontends.torch import custom  # noqa: E402
from snnc.ir.errors import OptionError, UnsupportedError  # noqa: E402
from snnc.ir.real_neuron import RealAdaptation  # noqa: E402

FIELDS = {"decay": 0.5, "threshold": 1.0, "comparator": ">=", "reset": "subtract"}


def step(v: Any, x: Any) -> tuple[Any, Any]:
    """A LIF neuron with a soft reset."""
    v = 0.5 * v + x
    s = (v >= 1.0).to(v.dtype)
    return s, v - s


class Stepped(torch.nn.Module):
    """One step per call, its state passed by hand."""

    def forward(self, x: Any, state: Any = None) -> Any:
        return step(torch.zeros_like(x) if state is None else state, x)


class Sequenced(torch.nn.Module):
    """Whole sequences; time on the axis ``time``."""

    time = 0

    def forward(self, x: Any) -> Any:
        v, rows = torch.zeros_like(x.select(self.time, 0)), []
        for row in x.unbind(self.time):
            s, v = step(v, row)
            rows.append(s)
        return torch.stack(rows, self.time)


class BatchFirst(Sequenced):
    """[batch, time, ...]."""

    time = 1


class Adaptive(torch.nn.Module):
    """A threshold that rises with every spike, one step per call, state inside."""

    def __init__(self) -> None:
        super().__init__()
        self.v: Any = None
        self.a: Any = None

    def forward(self, x: Any) -> Any:
        v, a = (torch.zeros_like(x),) * 2 if self.v is None else (self.v, self.a)
        v = 0.5 * v + x
        s = (v > 0.75 + 0.5 * a).to(v.dtype)
        self.v, self.a = torch.where(s > 0, torch.zeros_like(v), v), 0.5 * a + s
        return s


@pytest.fixture(autouse=True, scope="module")
def neurons() -> None:
    snnc.register_neuron(Stepped, FIELDS, returns="spikes and state")
    snnc.register_neuron(Sequenced, FIELDS, call="sequence")
    snnc.register_neuron(BatchFirst, FIELDS, call="batch_first")
    half = np.array(0.5)
    snnc.register_neuron(Adaptive, {
        "decay": 0.5, "threshold": 0.75, "adaptation": RealAdaptation(half, np.array(1.0), half),
    })  # fmt: skip


@pytest.mark.parametrize("kind", [Stepped, Sequenced, BatchFirst, Adaptive])
def test_the_equation_is_the_module(kind: Any) -> None:
    report = snnc.check_neuron(kind(), (7,), steps=20)
    assert report.ok, report
    assert report.entries == 4 * 20 * 7
    assert report.emitted > 50
    assert "0 of 560 values differ; it emitted" in str(report)


@pytest.mark.parametrize(("kind", "axis"), [(Sequenced, 0), (BatchFirst, 1)])
def test_a_network_of_registered_neurons(kind: Any, axis: int) -> None:
    model = quarters(torch.nn.Sequential(torch.nn.Linear(5, 8), kind(), torch.nn.Linear(8, 3),
                                         kind())).double()  # fmt: skip
    x = spikes(3, 12, 5)
    theirs = model(torch.from_numpy(x if axis else x.swapaxes(0, 1)))
    example = torch.zeros((2, 12, 5) if axis else (12, 2, 5)).double()
    network = snnc.from_torch(model, example, time_axis=axis)
    check(outputs(network, x), theirs if axis else theirs.transpose(0, 1), 20)


def test_a_wrong_equation_is_shown_with_its_first_difference() -> None:
    class Wrong(Stepped):
        """Said to fire above its threshold, and fires at it."""

        def forward(self, x: Any, state: Any = None) -> Any:
            return super().forward(x, state)

    snnc.register_neuron(Wrong, FIELDS | {"comparator": ">"}, returns="spikes and state")
    report = snnc.check_neuron(Wrong(), (4,))
    assert not report.ok
    assert report.first is not None
    assert (report.first.left, report.first.right) == (1, 0)
    assert "the module emits 1, the equation 0" in str(report)


def test_the_documented_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "custom-neurons.md").read_text(encoding="utf-8")
    code = page.split("<!-- example -->")[1].split("```python")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert "0 of 2560 values differ" in capsys.readouterr().out
    network = names["network"]
    model = names["model"].double()
    x = spikes(2, 15, 4)
    rows = [model(torch.from_numpy(x[:, t])) for t in range(15)]
    with torch.no_grad():
        theirs = torch.stack(rows, 1).detach().numpy()
    found = outputs(network, x)
    assert found.shape == theirs.shape
    assert (found != theirs).mean() < 0.01  # the weights are not short numbers
    assert theirs.max() > 0


def test_every_field_is_documented() -> None:
    page = (ROOT / "docs" / "custom-neurons.md").read_text(encoding="utf-8")
    assert not [name for name in custom.FIELDS if f"`{name}`" not in page]


def test_a_subclass_with_its_own_forward_is_another_neuron() -> None:
    class Other(Sequenced):
        def forward(self, x: Any) -> Any:
            return super().forward(x)

    with pytest.raises(OptionError, match="does not know this neuron"):
        snnc.check_neuron(Other(), (3,))


@pytest.mark.parametrize(
    ("arguments", "options", "found"),
    [
        ((object, FIELDS), {}, "object"),
        ((Stepped, FIELDS | {"colour": 1}), {}, "colour"),
        ((Stepped, {"decay": 0.5}), {}, "no threshold"),
        ((Stepped, FIELDS), {"call": "twice"}, "twice"),
        ((Stepped, FIELDS), {"returns": "nothing"}, "nothing"),
    ],
)
def test_a_bad_registration_is_named(arguments: Any, options: Any, found: str) -> None:
    with pytest.raises(OptionError) as refusal:
        snnc.register_neuron(*arguments, **options)
    assert found in refusal.value.found


def test_time_on_another_axis_is_refused() -> None:
    model = torch.nn.Sequential(BatchFirst()).eval()
    with pytest.raises(UnsupportedError, match="batch_first"):
        snnc.from_torch(model, torch.zeros(4, 2, 3), time_axis=None)


def test_neurons_that_snnc_knows_can_be_checked_as_well() -> None:
    sinabs = pytest.importorskip("sinabs.layers", exc_type=ImportError)
    assert snnc.check_neuron(sinabs.IAF(min_v_mem=-1.0), (6,), steps=20).ok
