"""What an integer network becomes on Lava; none of this starts Lava."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snnc.backends.lava import LavaError, lower, widths
from snnc.backends.lava.natives import M, NotLifError, as_lif, reach
from snnc.backends.lava.plan import Process
from snnc.backends.lava.synapses import digits, matrix_processes
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Add, Delay, Input, Linear, Output, Pool
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense

LIF = Neuron(
    "n", ("w",), (3,), np.array([(50 << 6) + 1]), Reset("value"),
    Leak(np.array(4000), 12, "toward_zero"), Leak(np.array(3000), 12, "toward_zero"), 6,
    (GatedBias(np.array([5, 0, -7]) << 3),),
    state_range=StateRange(-M + 1, M - 1), current_range=StateRange(-M + 1, M, "wrap"),
)  # fmt: skip


def chain(*neurons: Neuron, weights: int = 100) -> IntegerNetwork:
    """x -> w0 -> first -> w1 -> second..."""
    nodes: list[object] = [Input("x", (3,), BIN)]
    before = "x"
    for i, neuron in enumerate(neurons):
        nodes.append(Linear(f"w{i}", (before,), Dense(np.eye(3, dtype=np.int64) * weights - 1)))
        nodes.append(replace(neuron, name=f"n{i}", inputs=(f"w{i}",)))
        before = f"n{i}"
    return IntegerNetwork("chain", (*nodes, Output("out", (before,))))  # type: ignore[arg-type]


def shaped(shape: tuple[int, ...]) -> Neuron:
    """The same neuron for another shape."""
    none = np.zeros(0, np.int64)
    return replace(LIF, shape=shape, thresholds=np.array([1]), negative_thresholds=none, bias=())


def test_lavas_lif_is_recognised_with_its_parameters() -> None:
    lif = as_lif(LIF, 300, 10)
    assert (lif.du, lif.dv, lif.vth, lif.input_shift) == (1095, 96, 50, 0)
    assert (lif.bias_mant << lif.bias_exp).tolist() == [40, 0, -56]
    wide = as_lif(replace(LIF, bias=(GatedBias(np.array([4095 << 7, 4096, 1])),)), 300, 10)
    assert wide.bias_mant.tolist() == [4095, 2048, 1]
    assert wide.bias_exp.tolist() == [7, 1, 0]
    assert lif.vth_lo is None
    ternary = as_lif(replace(LIF, negative_thresholds=np.array([(20 << 6) + 1])), 300, 10)
    assert ternary.vth_lo == -20


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"thresholds": np.array([[3201, 3201, 6401]])}, "thresholds differ"),
        ({"thresholds": np.array([3200])}, "no 17-bit register"),
        ({"thresholds": np.array([1, 3201])}, "ladder of 2"),
        ({"reset": Reset("subtract", np.array(1))}, "reset subtract"),
        ({"refractory": 2}, "refractory"),
        ({"input_shift": 5}, "shifted by 5"),
        ({"leak": Leak(np.array(4000), 12, "floor")}, "rounds floor"),
        ({"leak": Leak(np.array([4000, 1, 1]), 12, "toward_zero")}, "differs between neurons"),
        ({"leak": Leak(np.array(0))}, "none of Lava's"),
        ({"current": Leak(np.array(1))}, "none of Lava's"),
        ({"bias": (GatedBias(np.array(1), 2),)}, "starts late"),
        ({"bias": (GatedBias(np.array(4097)),)}, "beyond 13 bits"),
        ({"current_range": StateRange(-M, M - 1, "wrap")}, "where Lava wraps into"),
        ({"thresholds": np.zeros(0, np.int64), "emit": "state"}, "its potential is read"),
    ],
)
def test_what_is_not_lavas_is_said(change: dict[str, object], reason: str) -> None:
    with pytest.raises(NotLifError, match=reason):
        as_lif(replace(LIF, **change), 10**5, 100)  # type: ignore[arg-type]
    plan = lower(chain(replace(LIF, **change), weights=10**5), 100)  # type: ignore[arg-type]
    assert plan.notes["n0"].startswith("snnc's IntegerNeuron: ")
    assert [p.kind for p in plan.processes if p.name == "n0"] == ["IntegerNeuron"]


def test_bounds_of_a_leaky_sum() -> None:
    assert reach(4096, 5, 7) == 35
    assert reach(0, 5, 7) == 5
    x = 0
    for _ in range(50):
        x = (3000 * x >> 12) + 1000
    assert reach(3000, 1000, 50) == x


@pytest.mark.parametrize("values", [
    [[1, 2], [3, 255]], [[-1, -255]], [[-128, 127, 3]], [[-129, 64]], [[-3 << 40, 5 << 33]],
    [[0, 0]], [[-(2**30) + 1, 2**30 - 7, 12345]],
])  # fmt: skip
def test_digits_add_up_and_stay_within_the_widths(values: list[list[int]]) -> None:
    weights = np.array(values, np.int64)
    parts = digits(weights)
    total = sum(
        p.values << p.exponent if p.exponent >= 0 else p.values >> -p.exponent for p in parts
    )
    np.testing.assert_array_equal(total, weights)
    for part in parts:
        low, high = {"MIXED": (-256, 254), "EXCITATORY": (0, 255), "INHIBITORY": (-255, 0)}[
            part.sign_mode
        ]
        assert low <= part.values.min() <= part.values.max() <= high
        assert part.sign_mode != "MIXED" or not (part.values & 1).any()


def test_sums_beyond_32_bits_need_snncs_own_synapses() -> None:
    from scipy import sparse

    matrix = sparse.csr_array(np.full((2, 2), 2**29, np.int64))
    assert matrix_processes("w", matrix, 1, True, 0) is None
    assert "WideSparse" in {p.kind for p in lower(chain(LIF, weights=2**30), 4).processes}


def test_a_skip_connection_is_held_back() -> None:
    """x -> n0 -> n1 -> n2 and n0 -> n2: the second path takes one synapse fewer."""
    base = chain(LIF, LIF)
    nodes = (
        *(n for n in base.nodes if not isinstance(n, Output)),
        Add("both", ("n0", "n1")),
        Linear("w2", ("both",), Dense(np.ones((3, 3), np.int64))),
        replace(LIF, name="n2", inputs=("w2",)),
        Output("out", ("n2",)),
    )
    plan = lower(IntegerNetwork("skip", nodes), 5)
    kinds = {p.name: p.kind for p in plan.processes}
    assert kinds["n2.a_in.n0.0"] == "DelayDense"
    assert kinds["n2.a_in.n1.0"] == "Dense"
    assert [plan.windows[n].first for n in ("x", "n0", "n1", "n2")] == [1, 2, 3, 4]
    assert plan.windows["x"].stride == 5  # no logical delay: samples follow without a gap
    assert plan.time_steps(2) == 5 + 4 + 4


def test_a_loop_shorter_than_its_synapses_stretches_time() -> None:
    base = chain(LIF, LIF)
    nodes = [n for n in base.nodes if n.name not in ("n0", "out")]
    nodes += [
        Delay("late", ("n1",), 1),
        Add("sum", ("w0", "late")),
        replace(LIF, name="n0", inputs=("sum",)),
        Output("out", ("n1",)),
    ]
    plan = lower(IntegerNetwork("loop", tuple(nodes)), 5)
    assert {w.period for w in plan.windows.values()} == {2}
    assert "steps are stretched" in plan.notes["n0"]
    assert plan.windows["x"].stride == 2 * (5 + 1)


def test_what_leaves_a_native_population_late_is_gated() -> None:
    """Lava's neurons also live between samples; a delay of a step must not carry that over."""
    base = chain(LIF)
    nodes = [n for n in base.nodes if n.name not in ("n0", "out")]
    nodes += [
        Delay("late", ("n0",), 1),
        Add("sum", ("w0", "late")),
        replace(LIF, name="n0", inputs=("sum",)),
        Output("out", ("n0",)),
    ]
    plan = lower(IntegerNetwork("self", tuple(nodes)), 5)
    assert "Axon" in [p.kind for p in plan.processes]


def test_convolutions_stay_convolutions_unless_lava_cannot() -> None:
    def plan_with(conv: Conv, out: tuple[int, ...]) -> list[str]:
        neuron = shaped(out)
        nodes = (
            Input("x", (2, 5, 5), BIN), Linear("w", ("x",), conv), neuron, Output("out", ("n",)),
        )  # fmt: skip
        return [p.kind for p in lower(IntegerNetwork("conv", nodes), 4).processes]

    kernel = 2 * np.arange(-9, 9).reshape(1, 2, 3, 3)
    one = (1, 1)
    assert "Conv" in plan_with(Conv(kernel, one, ((1, 1), (0, 0)), one), (1, 5, 3))
    assert "Conv" not in plan_with(Conv(kernel, one, ((1, 0), (0, 0)), one), (1, 4, 3))
    assert "Conv" not in plan_with(Conv(kernel // 2, one, ((0, 0),) * 2, one), (1, 3, 3))  # odd
    assert "Conv" not in plan_with(Conv(kernel * 200, one, ((0, 0),) * 2, one), (1, 3, 3))
    pool = Pool("w", ("x",), "sum", (2, 2), (2, 2), ((0, 0),) * 2)
    neuron = shaped((2, 2, 2))
    nodes = (Input("x", (2, 5, 5), BIN), pool, neuron, Output("out", ("n",)))
    assert "Conv" in [p.kind for p in lower(IntegerNetwork("pool", nodes), 4).processes]


def test_an_output_must_read_a_population() -> None:
    nodes = (
        Input("x", (3,), BIN),
        Linear("w", ("x",), Dense(np.eye(3, dtype=np.int64))),
        Output("out", ("w",)),
    )
    with pytest.raises(UnsupportedError, match="must read a population"):
        lower(IntegerNetwork("bare", nodes), 4)


@pytest.mark.parametrize(
    ("process", "problem"),
    [
        (Process("n", "LIF", {"vth": 1.5}), "hang or truncate"),
        (Process("n", "LIF", {"du": 4096}), "beyond the width"),
        (Process("n", "LIF", {"vth": 1 << 17}), "beyond the width"),
        (Process("n", "LIF", {}, {"bias_mant": np.array([40000])}), "clips or wraps"),
        (Process("w", "DelayDense", {}, {"delays": np.array([64])}), "beyond the width"),
        (Process("w", "Dense", {}, {"weights": np.array([3.7])}), "integers"),
        (
            Process("w", "Dense", {"sign_mode": "MIXED"}, {"weights": np.array([3, -2])}),
            "odd weights of mixed sign",
        ),
        (
            Process("w", "Dense", {"sign_mode": "EXCITATORY"}, {"weights": np.array([3, -2])}),
            "beyond the width",
        ),
    ],
)
def test_a_wrong_parameter_is_refused_before_lava_starts(process: Process, problem: str) -> None:
    with pytest.raises(LavaError, match=problem):
        widths.check([process])
