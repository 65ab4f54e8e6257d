from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.real_nets import dense_net, neuron
from support.small_target import small_target

from snnc.backends.targets import load
from snnc.compiler.legalize import findings, legalize
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.compiler.retime import retime
from snnc.ir import shared_expansion
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.neuron import (
    Adaptation,
    DeltaCode,
    GatedBias,
    Leak,
    Neuron,
    Recovery,
    Reset,
)
from snnc.ir.nodes import Add, Delay, Input, Linear, Output, Pool
from snnc.ir.shared_expansion import SharedExpansion
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv, Dense
from snnc.simulators.reference import run

TARGET = small_target()
ONES = np.ones((3, 4), np.int64)


def integer_net(weights: Any = ONES, kind: ValueType = BIN, **changes: Any) -> IntegerNetwork:
    values: dict[str, Any] = {"thresholds": np.array([3]), "reset": Reset("value"), **changes}
    node = Neuron("n", ("w",), (3,), **values)
    return IntegerNetwork(
        "net",
        (
            Input("in", (4,), kind),
            Linear("w", ("in",), Dense(np.asarray(weights))),
            node,
            Output("out", ("n",)),
        ),
    )


def refusal(network: Any, target: Any = TARGET) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as error:
        legalize(network, target) if isinstance(network, IntegerNetwork) else quantize(
            network, target, QuantizeOptions()
        )
    return error.value


def test_an_output_that_reads_weights_gets_a_readout_population() -> None:
    network = IntegerNetwork(
        "net",
        (Input("in", (4,), BIN), Linear("w", ("in",), Dense(ONES)), Output("out", ("w",))),
    )
    result = legalize(network, TARGET)
    readout = result.node["out.readout"]
    assert isinstance(readout, Neuron)
    assert readout.emit == "state"
    data = {"in": np.random.default_rng(0).integers(0, 2, (2, 5, 4))}
    after, before = run(result, data).outputs["out"], run(network, data).outputs["out"]
    np.testing.assert_array_equal(after, before)


def test_a_readout_of_one_step_needs_a_state_that_forgets() -> None:
    network = IntegerNetwork(
        "net",
        (Input("in", (4,), BIN), Linear("w", ("in",), Dense(ONES)), Output("out", ("w",))),
    )
    without = small_target(neuron={"leak": "none", "current": False})
    error = refusal(network, without)
    assert error.where == "out.readout"
    assert "no state of test forgets in one step" in error.found
    assert "end the network with a spiking population" in error.remedy
    real = Network("net", (Input("in", (4,), BIN), Linear("w", ("in",), Dense(np.ones((3, 4)))),
                           Output("out", ("w",))))  # fmt: skip
    assert refusal(real, without).where == "out"


def test_every_node_has_a_verdict() -> None:
    verdicts = findings(dense_net(np.eye(3)), TARGET)
    assert [f.node for f in verdicts] == ["in", "w", "n", "out"]
    assert {f.kind for f in verdicts} == {"ok"}


def test_all_refused_nodes_are_named_at_once() -> None:
    nodes = (
        Input("in", (2, 4, 4), BIN),
        Pool("max", ("in",), "max", (2, 2), (2, 2), ((0, 0), (0, 0))),
        Linear("c", ("max",), Conv(np.ones((2, 2, 1, 1)), (1, 1), ((0, 0),) * 2, (1, 1))),
        neuron("several", "c", (2, 2, 2), multi_spike=0, reset="subtract"),
        Linear("d", ("several",), Conv(np.ones((2, 2, 1, 1)), (1, 1), ((0, 0),) * 2, (1, 1))),
        neuron("odd", "d", (2, 2, 2), reset_timing="snntorch_subtract", reset="subtract"),
        Output("out", ("odd",)),
    )
    error = refusal(Network("net", nodes))
    assert error.where == "several, odd"
    assert "max" not in error.found  # its integer form decides
    assert "any number of spikes per step, and test sends at most 1" in error.found
    assert "'snntorch_subtract' has no exact integer form" in error.found
    assert "--reset zero" in error.remedy
    found = findings(Network("net", nodes), small_target(neuron={"leak": "none"}))
    assert {f.node for f in found if f.kind == "refused"} == {"max", "several", "odd"}
    reasons = {f.node: f.reason for f in found}
    assert "needs neurons that forget from step to step, which test has not" in reasons["max"]
    (rewritten,) = (f for f in findings(Network("net", nodes), TARGET) if f.node == "max")
    assert (rewritten.kind, rewritten.reason) == (
        "assumed", "it becomes populations of helper neurons",
    )  # fmt: skip


REAL_REFUSALS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"decay": 1.2}, {}, "the potential grows: factor 1.2"),
    ({"decay": 0.9}, {"leak": "none"}, "a potential decay of 0.9 per step"),
    ({"current_decay": 0.5, "current_gain": 1.0}, {"current": False}, "no synaptic current"),
    ({"reset": "subtract"}, {"reset": {"zero": {}}}, "reset 'subtract' is not among zero"),
    ({"multi_spike": 3}, {}, "up to 3 spikes per step"),
    ({"minimum": 0.5}, {}, "a positive lower bound 0.5"),
    ({"minimum": -1.0}, {"state_overflow": "wrap"}, "potentials of test wrap"),
    ({"reset_timing": "next_step"}, {"refractory_max": 0}, "reset timing 'next_step'"),
]


@pytest.mark.parametrize(("changes", "model", "text"), REAL_REFUSALS)
def test_a_real_neuron_the_target_lacks_is_refused_with_a_remedy(
    changes: dict[str, Any], model: dict[str, Any], text: str
) -> None:
    error = refusal(dense_net(np.eye(3), **changes), small_target(neuron=model))
    assert error.where == "n"
    assert text in error.found
    assert error.remedy


def test_an_integrator_that_feeds_weights_is_refused() -> None:
    nodes = (
        Input("in", (3,), BIN),
        Linear("w", ("in",), Dense(np.eye(3))),
        neuron("li", "w", (3,), threshold=None, reset="none", decay=0.5),
        Linear("v", ("li",), Dense(np.eye(3))),
        neuron("n", "v", (3,)),
        Output("out", ("n",)),
    )
    assert "is not a spike" in refusal(Network("net", nodes)).found


SIGMA_DELTA: dict[str, Any] = {
    "emit": "delta", "delta": DeltaCode(message_bits=8), "reset": Reset("none"),
    "leak": Leak(np.array(0)), "current": Leak(np.array(1)),
}  # fmt: skip
INTEGER_REFUSALS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"leak": Leak(np.array(3), 2)}, {"leak": "none"}, "a potential leak, the target's is none"),
    ({"leak": Leak(np.array(3), 2, "half_even")}, {}, "rounded half_even"),
    ({"leak": Leak(np.array(3), 14, "toward_zero")}, {}, "3..3 / 2^14"),
    ({"current": Leak(np.array(1), 1, "toward_zero")}, {"current": False}, "synaptic current"),
    ({"thresholds": np.array([3, 5])}, {}, "2 spike levels, the target has 1"),
    ({"negative_thresholds": np.array([3])}, {}, "1 negative levels, the target has 0"),
    ({"reset": Reset("none")}, {}, "reset 'none', the target has zero, subtract"),
    ({"input_shift": 9}, {}, "input shift 9, the target has 0 to 6"),
    ({"thresholds": np.array([1 << 20])}, {}, "that no 17-bit register << 0 holds"),
    ({"thresholds": np.array([5])}, {"threshold_shift": 2}, "register << 2 holds"),
    ({"bias": (GatedBias(np.array(5000)),)}, {}, "a bias of up to 5000"),
    ({"bias": (GatedBias(np.array(1)),)}, {"bias_bits": None}, "the target's neurons have none"),
    ({"refractory": 2}, {}, "refractory period 2, at most 0"),
    (
        {"refractory": 1, "refractory_hold": True},
        {"refractory_max": 3, "refractory_hold": False},
        "the potential rests, and the target integrates",
    ),
    ({"current": Leak(np.array(1))}, {"current_multiplier": (0, 4095)}, "current leak 1..1 / 2^0"),
    ({"current": None}, {"current_multiplier": (1, 4095)}, "never forgets in one step"),
    ({"adaptation": Adaptation("decay", np.array(1))}, {}, "an adaptive threshold"),
    ({"recovery": Recovery(Leak(np.array(1)))}, {}, "a relative refractory state"),
    (SIGMA_DELTA, {}, "a sigma-delta neuron, and neurons of"),
    (SIGMA_DELTA | {"leak": Leak(np.array(2))}, {"sigma_delta": True}, "potential leak 2..2"),
    (
        SIGMA_DELTA | {"thresholds": np.array([1 << 40])},
        {"sigma_delta": True},
        "registers are 24 bits",
    ),
]


@pytest.mark.parametrize(("changes", "model", "text"), INTEGER_REFUSALS)
def test_an_integer_neuron_the_target_lacks_is_refused(
    changes: dict[str, Any], model: dict[str, Any], text: str
) -> None:
    error = refusal(integer_net(**changes), small_target(neuron=model))
    assert error.where == "n"
    assert text in error.found
    assert error.remedy


def test_weights_are_judged_after_pooling_is_multiplied_out() -> None:
    nodes = (
        Input("in", (1, 3, 3), BIN),
        Pool("p", ("in",), "sum", (2, 2), (1, 1), ((0, 0), (0, 0))),
        Linear("w", ("p",), Conv(np.full((1, 1, 2, 2), 100), (1, 1), ((0, 0),) * 2, (1, 1))),
        Neuron("n", ("w",), (1, 1, 1), np.array([3]), Reset("value")),
        Output("out", ("n",)),
    )
    error = refusal(IntegerNetwork("net", nodes))
    assert "weight 400 after pooling, at most 127 on test" in error.found


def test_weights_of_two_projections_share_the_few_registers_of_a_neuron() -> None:
    crossbar = small_target(core={"weight": {"bits": (8,), "distinct_per_neuron": 2}})
    nodes = (
        Input("a", (4,), BIN),
        Input("b", (4,), BIN),
        Linear("wa", ("a",), Dense(ONES)),
        Linear("wb", ("b",), Dense(2 * ONES)),
        Add("sum", ("wa", "wb")),
        Neuron("n", ("sum",), (3,), np.array([3]), Reset("value")),
        Output("out", ("n",)),
    )
    assert legalize(IntegerNetwork("net", nodes), crossbar)
    third = (*nodes[:3], Linear("wb", ("b",), Dense(np.array([[2, 3, 2, 3]] * 3))), *nodes[4:])
    found = refusal(IntegerNetwork("net", third), crossbar).found
    assert "3 different weights per neuron from a, b, test has 2" in found


def test_weights_without_sign_and_out_of_reach_of_the_shift_are_refused() -> None:
    unsigned = small_target(core={"weight": {"bits": (8,), "signed": False}})
    assert legalize(integer_net(255 * ONES), unsigned)
    error = refusal(integer_net(-ONES), unsigned)
    assert "weight -1, and weights of test have no sign" in error.found
    narrow = small_target(core={"weight": {"bits": (8,), "min_bits_plus_shift": 10}})
    assert legalize(integer_net(input_shift=2), narrow)
    error = refusal(integer_net(input_shift=1), narrow)
    assert "no weight format of test reaches an input shift of 1" in error.found
    assert "--weight-bits" in error.remedy


def test_sums_beyond_the_register_they_are_added_up_in_are_refused() -> None:
    narrow = small_target(neuron={"accumulator_bits": 9})
    assert legalize(integer_net(63 * ONES), narrow)
    error = refusal(integer_net(64 * ONES), narrow)
    assert "sums of 0 to 256 in one step" in error.found
    assert "hold -256 to 255" in error.found
    # One element that comes on two ways, once with each sign, is no larger sum.
    nodes = (
        Input("in", (4,), BIN),
        Linear("w", ("in",), Dense(100 * ONES)),
        Linear("v", ("in",), Dense(-100 * ONES)),
        Add("sum", ("w", "v")),
        Neuron("n", ("sum",), (3,), np.array([3]), Reset("value")),
        Output("out", ("n",)),
    )
    assert legalize(IntegerNetwork("net", nodes), narrow)


@pytest.mark.parametrize("least", [0, 1 << 40])
def test_sums_of_convolutions_are_bounded_synapse_by_synapse(
    least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether their rows are shared or written out; only pixels inside the image count."""
    monkeypatch.setattr(shared_expansion, "SHARED_FROM", least)
    narrow = small_target(neuron={"accumulator_bits": 9})

    def branches(weight: int) -> IntegerNetwork:
        def conv(value: int) -> Conv:
            kernel = np.full((1, 1, 3, 3), value)
            return Conv(kernel, (1, 1), ((1, 1), (1, 1)), (1, 1))

        nodes = (
            Input("in", (1, 8, 8), BIN),
            Linear("w", ("in",), conv(weight + 60)),
            Linear("v", ("in",), conv(-60)),
            Add("sum", ("w", "v")),
            Neuron("n", ("sum",), (1, 8, 8), np.array([3]), Reset("value")),
            Output("out", ("n",)),
        )
        return IntegerNetwork("net", nodes)

    shared = isinstance(shared_expansion.expand_large(branches(1)), SharedExpansion)
    assert shared == (least == 0)
    assert legalize(branches(28), narrow)
    assert "sums of 0 to 261 in one step" in refusal(branches(29), narrow).found
    assert "sums of -261 to 0 in one step" in refusal(branches(-29), narrow).found


def test_values_wider_than_a_packet_are_refused() -> None:
    graded = small_target(payload_bits=4)
    assert legalize(integer_net(kind=ValueType("cnt", 15)), graded)
    error = refusal(integer_net(kind=ValueType("cnt", 16)), graded)
    assert "packets of test carry 4 bits" in error.found


def test_a_long_delay_is_left_to_the_schedule_which_may_shorten_it() -> None:
    nodes = (
        Input("in", (3,), BIN),
        Delay("late", ("b",), 5),
        Linear("back", ("late",), Dense(np.eye(3, dtype=int))),
        Linear("w", ("in",), Dense(np.eye(3, dtype=int))),
        Add("sum", ("w", "back")),
        Neuron("a", ("sum",), (3,), np.array([3]), Reset("value")),
        Linear("v", ("a",), Dense(np.eye(3, dtype=int))),
        Neuron("b", ("v",), (3,), np.array([3]), Reset("value")),
        Output("out", ("b",)),
    )
    target = small_target(core={"max_delay": {"v": 3, "ev": "assumed"}})
    network = legalize(IntegerNetwork("net", nodes), target)
    assert max(retime(network, target, 4).extra_delay.values()) == 3


def test_few_distinct_weights_are_a_limit_too() -> None:
    crossbar = small_target(core={"weight": {"bits": (8,), "axon_types": 2}})
    weights = np.array([[1, 2, 3, 4]] * 3)
    assert "4 different weights per neuron from in" in refusal(integer_net(weights), crossbar).found


def test_signed_inputs_and_counts_are_judged_by_the_packets() -> None:
    unsigned = small_target(core={"weight": {"bits": (8,), "signed": False}})
    found = refusal(integer_net(kind=ValueType("tern")), unsigned).found
    assert "packets and weights of test have no sign" in found
    (pair,) = [f for f in findings(integer_net(kind=ValueType("tern")), TARGET) if f.node == "in"]
    assert pair.kind == "assumed"
    assert "one of two axons" in pair.reason
    verdicts = findings(integer_net(kind=ValueType("cnt", 5)), TARGET)
    (found,) = [f for f in verdicts if f.node == "in"]
    assert found.kind == "assumed"
    assert "up to 5 packets" in found.reason


def test_what_quantize_makes_is_legal_on_every_shipped_target() -> None:
    weights = np.random.default_rng(0).normal(size=(6, 5))
    for name in ("loihi1", "loihi2", "toy-mesh"):
        target = load(name)
        done = quantize(dense_net(weights, decay=0.9, gain=0.4), target, QuantizeOptions())
        assert legalize(done.network, target).populations
