"""Many ticks in one call, networks that take no time, events of single ticks, other charging."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import sanafe_dvs
from support.paths import require_data
from support.random_networks import random_inputs, random_network
from support.simple_mapping import Options, simple_mapping
from support.small_targets import small_target

from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Leak, Neuron, Reset
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import cycle, reference
from snnc.simulators.cycle.energy import KINDS, prices
from snnc.simulators.cycle.timing import Fidelity, barrier_seconds
from snnc.simulators.decoding import Decoder, EarlyStop

NS = 1e-9
FIDELITIES: tuple[Fidelity, ...] = ("none", "transaction", "flit")


def chain(leak: Leak | None = None) -> IntegerNetwork:
    """Two inputs, two neurons that copy them, one that adds them up to 3 with weights 2 and -2."""
    options = {} if leak is None else {"leak": leak}
    nodes = (
        Input("x", (2,), BIN),
        Linear("wa", ("x",), Dense(np.eye(2, dtype=np.int64))),
        Neuron("a", ("wa",), (2,), np.array([1]), Reset("value")),
        Linear("wb", ("a",), Dense(np.array([[2, -2]]))),
        Neuron("b", ("wb",), (1,), np.array([3]), Reset("value"), **options),
        Output("out", ("b",)),
    )
    return IntegerNetwork("chain", nodes)


def mapped(target: Target | None = None, network: IntegerNetwork | None = None) -> Deployment:
    """The two copies on core 0, where the host is; the sum on core 1, a hop away."""
    options = Options(neurons_per_core=2)
    return simple_mapping(network or chain(), target or small_target(), 4, options=options)


def charged(target: Target) -> Target:
    """The machine whose cores also pay for every membrane that is not zero."""
    neuron = target.neuron.model_copy(update={"update_when": "nonzero"})
    return target.model_copy(update={"neuron": neuron})


INPUTS = {"x": np.array([[[1, 1], [1, 0], [0, 0], [0, 0]]])}


def test_without_a_network_a_tick_is_the_longest_sweep_or_the_most_work() -> None:
    """Load: two packets of 4 + 1 and 4 + 2.  Tick 0: both copies fire; the sweep takes
    2 * (1 + 2 + 3 + 1) = 14, core 1 works 5 + 6 = 11 and the host's packet for tick 1 takes 5.
    Tick 1: one copy fires: 7 + 1.  Later only accesses (2) and the update of the sum (3).
    """
    result = cycle.run(mapped(), INPUTS, noc="none")
    timing = result.timing
    assert timing is not None
    assert timing.noc == "none"
    assert timing.tick_cycles.tolist() == [[11, 14, 8, 3, 2, 2]]
    assert timing.limited_by == {"sweep": 5, "receive": 1, "network": 0}
    assert (timing.stall_cycles, timing.peak_receive_queue) == (0, 0)
    others = [cycle.run(mapped(), INPUTS, noc=noc) for noc in ("transaction", "flit")]
    for other in others:
        assert other.counts == result.counts
        assert other.timing is not None
        assert (other.timing.tick_cycles >= timing.tick_cycles).all()


def test_the_events_of_single_ticks_add_up_and_belong_to_their_ticks() -> None:
    result = cycle.run(mapped(), INPUTS, by_tick=True)
    found = result.counts_by_tick
    assert found is not None
    each = dict(zip(KINDS, found[0].T.tolist(), strict=True))
    assert each["host_in"] == [2, 1, 0, 0, 0]
    assert each["message_out"] == [2, 1, 0, 0, 0]
    assert each["hop_ew"] == [2, 1, 0, 0, 0]
    assert each["neuron_access"] == [3] * 5
    assert each["neuron_update"] == [2, 1, 1, 0, 0]  # in tick 1 the sum hears 2 - 2
    assert found.sum(axis=(0, 1)).tolist() == list(result.counts.values())
    traced = cycle.run(mapped(), INPUTS, by_tick=True, trace=True)
    assert np.array_equal(traced.counts_by_tick, found)


def test_a_core_may_pay_for_all_it_hears_and_for_membranes_that_are_not_zero() -> None:
    """The sum hears 2 - 2 in tick 1, then 2, and stays at 2."""
    deployment = mapped(charged(small_target()))
    for trace in (False, True):
        result = cycle.run(deployment, INPUTS, by_tick=True, trace=trace)
        assert result.counts_by_tick is not None
        updates = result.counts_by_tick[0, :, KINDS.index("neuron_update")]
        assert updates.tolist() == [2, 2, 1, 1, 1]
        assert not any(result.result.mismatches(reference.run(chain(), INPUTS)).values())


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    fidelity=st.sampled_from(FIDELITIES),
    pays=st.booleans(),
    margin=st.sampled_from([None, 0.5, 2.0]),
)
@example(seed=809, fidelity="none", pays=False, margin=None)  # only some of a population leak
@example(seed=8, fidelity="transaction", pays=False, margin=0.5)
def test_one_tick_at_a_time_and_many_at_once_are_the_same(
    seed: int, fidelity: Fidelity, pays: bool, margin: float | None
) -> None:
    """Also traces, events of single ticks, and what a stop in the middle of a stretch saves."""
    network = random_network(seed)
    target = small_target(6, 6, 2, payload_bits=12, signed=True, buffer=2, injection=2, receive=2)
    deployment = simple_mapping(
        network, charged(target) if pays else target, 6, options=Options(neurons_per_core=5)
    )
    inputs = random_inputs(network, seed, 2, 6)
    output = network.of_type(Output)[0].name
    stop = None if margin is None else EarlyStop(output, Decoder.parse("leaky:decay=0.7"), margin)
    found = []
    for at_once in (1, 3, 1024):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("snnc.simulators.cycle.chip.TICKS_AT_ONCE", at_once)
            found.append(
                cycle.run(deployment, inputs, noc=fidelity, by_tick=True, trace=True, stop=stop)
            )
    plain = cycle.run(deployment, inputs, noc=fidelity, stop=stop)
    assert not any(plain.result.mismatches(reference.run(network, inputs)).values())
    for other in found:
        assert not any(plain.result.mismatches(other.result).values())
        assert plain.as_dict() == other.as_dict()
        assert np.array_equal(other.counts_by_tick, found[0].counts_by_tick)
        assert other.trace is not None
        assert found[0].trace is not None
        first = found[0].trace.arrays()
        for name, values in other.trace.arrays().items():
            assert values.tobytes() == first[name].tobytes(), name
        for one in (plain.stopped, found[0].stopped):
            if one is not None and other.stopped is not None:
                for name in ("steps", "spent", "saved"):
                    assert np.array_equal(getattr(one, name), getattr(other.stopped, name))
    if stop is not None and plain.stopped is not None:
        whole = cycle.run(deployment, inputs, timing=False, by_tick=True).counts_by_tick
        assert whole is not None
        events = whole[:, :, KINDS.index("all_in_synaptic_event")].sum(axis=1)
        assert np.array_equal(plain.stopped.spent + plain.stopped.saved, events)
        assert np.array_equal(plain.stopped.steps, stop.steps(plain.result.outputs[output]))


@pytest.mark.parametrize("rounding", ["floor", "toward_zero", "half_even"])
def test_a_leak_is_exact_in_the_plain_sweep_and_in_the_general_one(rounding: Any) -> None:
    """``half_even`` is not plain; negative membranes tell the other two apart."""
    leak = Leak(np.array(11), 4, rounding)
    network = chain(leak)
    rng = np.random.default_rng(3)
    inputs = {"x": (rng.random((2, 4, 2)) < 0.6).astype(np.int64)}
    result = cycle.run(mapped(network=network), inputs)
    assert not any(result.result.mismatches(reference.run(network, inputs)).values())


def test_a_barrier_may_step_or_be_interpolated() -> None:
    execution = small_target(barrier={2: 10 * NS, 8: 30 * NS}).execution
    assert barrier_seconds(execution, 4) == pytest.approx(20 * NS)
    step = execution.model_copy(update={"barrier_between": "step"})
    found = [barrier_seconds(step, tiles) for tiles in (1, 2, 7, 8, 9)]
    assert found == pytest.approx([10 * NS, 10 * NS, 10 * NS, 30 * NS, 30 * NS])


def test_weights_that_need_wide_words_are_exact() -> None:
    wide = Dense(np.array([[1 << 29, -(1 << 29)]]))
    nodes = tuple(
        replace(node, weights=wide) if isinstance(node, Linear) and node.name == "wb" else node
        for node in chain().nodes
    )
    network = IntegerNetwork("wide", nodes)
    deployment = mapped(network=network)
    assert cycle.load(deployment).program.axons.word.dtype == np.int64
    result = cycle.run(deployment, INPUTS)
    assert not any(result.result.mismatches(reference.run(network, INPUTS)).values())


def test_sanafe_counts_energy_and_simple_time_are_reproduced_step_by_step() -> None:
    """Its DVS-gesture network against its own recorded output, printed with 7 digits."""
    folder = require_data("hardware", "sanafe")
    weights, description = folder / "dvs_challenge.npz", folder / "arch" / "loihi.yaml"
    steps = 150
    deployment = sanafe_dvs.deployment(weights, description, steps)
    truth = np.genfromtxt(folder / "ref_dvs_loihi_simple_perf.csv", delimiter=",", names=True)
    truth = truth[:steps]
    nothing = {"length": np.zeros((1, steps, 1), np.int64)}
    result = cycle.run(deployment, nothing, (), noc="none", by_tick=True)
    assert result.counts_by_tick is not None
    assert result.timing is not None
    counts = dict(zip(KINDS, result.counts_by_tick[0].T, strict=True))
    assert np.array_equal(counts["spike_generate"], truth["fired"])
    assert np.array_equal(counts["neuron_update"], truth["updated"])
    assert np.array_equal(counts["message_out"], truth["packets"])
    assert np.array_equal(counts["hop_ew"] + counts["hop_ns"], truth["hops"])
    assert np.array_equal(counts["synapse_op_dense"], truth["spikes"])
    joule = result.counts_by_tick[0] @ np.nan_to_num(prices(deployment.target.costs))
    assert joule == pytest.approx(truth["total_energy"], rel=6e-7)
    seconds = result.timing.tick_cycles[0, 1:] * result.timing.cycle_s + result.timing.barrier_s
    assert seconds == pytest.approx(truth["sim_time"], rel=1e-9)
