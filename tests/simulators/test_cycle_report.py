"""Counts, energy and time of a network small enough to do by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.simple_mapping import Options, simple_mapping
from support.small_targets import PJ, round_costs, small_target

from snnc.ir.deployment import Deployment
from snnc.ir.errors import TargetError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.target import Cost, CostTable, Target
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import cycle
from snnc.simulators.cycle.result import CycleResult

NS = 1e-9


def two_core_network() -> IntegerNetwork:
    """Two neurons that copy the two inputs, on core 0; one that needs both, on core 1."""
    nodes = (
        Input("x", (2,), BIN),
        Linear("wa", ("x",), Dense(np.eye(2, dtype=np.int64))),
        Neuron("a", ("wa",), (2,), np.array([1]), Reset("value")),
        Linear("wb", ("a",), Dense(np.array([[1, 1]]))),
        Neuron("b", ("wb",), (1,), np.array([2]), Reset("value")),
        Output("out", ("b",)),
    )
    return IntegerNetwork("two", nodes)


def run(target: Target | None = None, samples: int = 1, **options: bool) -> CycleResult:
    """Both inputs in step 0, the first one in step 1."""
    deployment = mapped(target or small_target())
    inputs = {"x": np.array([[[1, 1], [1, 0]]] * samples)}
    return cycle.run(deployment, inputs, **options)


def mapped(target: Target) -> Deployment:
    """Core 0 at router (0,0), where the host is; core 1 at (1,0); rows of odd sources sparse."""
    return simple_mapping(two_core_network(), target, 2, options=Options(neurons_per_core=2))


def test_every_event_is_counted() -> None:
    assert run().counts == {
        "synapse_op_dense": 4,  # x0 twice, a0 twice
        "synapse_op_sparse": 2,  # x1, a1
        "synapse_op_bitmask": 0,
        "neuron_access": 9,  # 3 neurons in 3 ticks
        "neuron_update": 5,  # a0, a1 | a0, b | b
        "spike_generate": 4,  # a0, a1 | a0, b
        "message_out": 3,
        "message_in": 6,
        "hop_ew": 3,
        "hop_ns": 0,
        "hop_chip": 0,
        "host_in": 3,
        "all_in_synaptic_event": 6,
    }


def test_counts_belong_to_layers_and_cores() -> None:
    result = run()
    layers = result.counts_by_layer
    assert [layers[name]["synapse_op_dense"] for name in ("x", "a", "b")] == [0, 2, 2]
    assert [layers[name]["message_in"] for name in ("x", "a", "b")] == [3, 3, 0]
    assert [layers[name]["neuron_update"] for name in ("x", "a", "b")] == [0, 3, 2]
    kinds = list(result.counts)
    by_core = {kind: result.counts_by_core[kinds.index(kind)].tolist() for kind in kinds}
    assert by_core["message_in"] == [3, 3, 0]
    assert by_core["neuron_access"] == [6, 3, 0]
    assert by_core["host_in"] == [0, 0, 3]
    assert by_core["hop_ew"] == [3, 0, 0]
    assert by_core["synapse_op_sparse"] == [1, 1, 0]


def test_energy_is_counts_times_costs() -> None:
    energy = run(samples=2).energy
    each = 4 * 1 + 2 * 2 + 9 * 4 + 5 * 8 + 4 * 16 + 3 * 32 + 6 * 64 + 3 * 128 + 3 * 1024
    assert energy.dynamic == pytest.approx([each * PJ] * 2)
    assert energy.by_kind["spike_generate"] == pytest.approx(2 * 4 * 16 * PJ)
    assert energy.by_layer["b"] == pytest.approx(2 * (2 + 2 + 3 * 4 + 2 * 8 + 16) * PJ)
    assert energy.by_core[-1] == pytest.approx(2 * 3 * 1024 * PJ)
    for parts in (energy.by_kind, energy.by_layer):
        assert sum(parts.values()) == pytest.approx(2 * each * PJ)
    assert energy.by_core.sum() == pytest.approx(2 * each * PJ)


def test_time_is_the_longest_of_sweep_receive_and_network() -> None:
    """Load: x0 at 1, x1 at 2; the core needs 4 + 1 and 4 + 2 for them: done at 12.

    Tick 0: a0's packet leaves at 1 + 2 + 3 + 1 = 7 and a1's at 14; after one hop of 2 the second
    is done at 16 + 6 = 22.  Tick 1: only a0 fires: 7 + 2 + 5 = 14.  Tick 2: core 1 looks at b and
    updates it: 3.  Barrier of 2 tiles: 200 ns.
    """
    result = run()
    timing = result.timing
    assert timing is not None
    assert timing.tick_cycles.tolist() == [[12, 22, 14, 3]]
    assert timing.barrier_s == pytest.approx(200 * NS)
    assert timing.seconds == pytest.approx([(51 + 4 * 200) * NS])
    assert timing.cycles == pytest.approx([851])
    assert timing.limited_by == {"sweep": 1, "receive": 3, "network": 0}
    assert result.energy.static == pytest.approx([0.5 * 851 * NS])
    assert (result.ticks, result.packets, result.hops) == (3, 6, 3)


def test_the_busiest_places_are_named() -> None:
    result = run()
    channel, core = result.busiest_channel, result.busiest_core
    assert channel is not None
    assert (channel.source, channel.target, channel.packets) == ((0, 0), (1, 0), 3)
    assert (core.core, core.location, core.synaptic_events) == (0, (0, 0, 0), 3)
    assert core.busy_s == pytest.approx((6 + 3 * 2 + 3 * 3 + 3 + 3 * 4 + 2 + 2) * NS)


def test_a_fixed_tick_counts_the_deadlines_it_misses() -> None:
    target = small_target(sync="fixed_tick", tick_s=15 * NS)
    timing = run(target, samples=2).timing
    assert timing is not None
    assert timing.deadline_misses == 2  # tick 0 of each sample needs 22 ns
    assert timing.seconds == pytest.approx([4 * 15 * NS] * 2)
    with pytest.raises(TargetError, match=r"execution.tick_s: timing needs a positive number"):
        run(small_target(sync="fixed_tick"))


def test_an_all_in_price_is_never_added_to_single_prices() -> None:
    events = {**round_costs().events, "all_in_synaptic_event": Cost(energy=100 * PJ)}
    table = CostTable(scope="all_in", events=events)
    energy = run(small_target(costs=table)).energy
    assert energy.dynamic == pytest.approx([600 * PJ])
    assert energy.by_kind == {"all_in_synaptic_event": pytest.approx(600 * PJ)}
    single = CostTable(scope="per_term", events=events)
    assert "all_in_synaptic_event" not in run(small_target(costs=single)).energy.by_kind


def test_what_has_no_price_is_listed_with_its_count_and_costs_nothing() -> None:
    events = {k: c for k, c in round_costs().events.items() if k != "message_in"}
    events["hop_ew"] = Cost(energy=None, latency=2 * NS)
    table = CostTable(scope="per_term", events=events)
    result = run(small_target(costs=table, static_w=None))
    assert [(u.kind, u.quantity, u.count) for u in result.unpriced] == [
        ("message_in", "energy", 6),
        ("message_in", "latency", 6),
        ("hop_ew", "energy", 3),
        ("static_w_per_chip", "power", 1),
    ]
    assert result.energy.static is None
    nothing = run(small_target(costs=CostTable(scope="unpriced")), timing=False)
    assert nothing.energy.dynamic.tolist() == [0.0]
    assert {u.quantity for u in nothing.unpriced} == {"energy"}
    assert len(nothing.unpriced) == 9


def test_without_timing_counts_and_energy_are_the_same() -> None:
    timed, function_only = run(), run(timing=False)
    assert function_only.timing is None
    assert function_only.energy.static is None
    assert function_only.counts == timed.counts
    assert function_only.energy.dynamic.tolist() == timed.energy.dynamic.tolist()
    assert function_only.ticks == timed.ticks


def test_the_same_run_twice_gives_the_same_bytes() -> None:
    first, second = (json.dumps(run(samples=2).as_dict()) for _ in range(2))
    assert first == second


def test_the_report_is_json() -> None:
    report = json.loads(json.dumps(run().as_dict()))
    assert report["ticks_per_sample"] == 3
    assert report["timing"]["cycles_per_sample"]["mean"] == pytest.approx(851)
    assert report["energy"]["scope"] == "per_term"
    assert report["busiest_channel"] == {"source": [0, 0], "target": [1, 0], "packets": 3}
    assert report["timing"]["peak_channel_queue"] == 1


def test_the_trace_shows_spikes_and_loads_per_tick() -> None:
    trace = run(trace=True).trace
    assert trace is not None
    arrays = trace.arrays()
    assert arrays["populations"].tolist() == ["a", "b"]
    assert arrays["spikes"].tolist() == [[[2, 0], [1, 1], [0, 0]]]
    assert arrays["channels"].tolist() == [[0, 1]]
    assert arrays["channel_load"].tolist() == [[[0], [2], [1], [0]]]
    assert arrays["tick_cycles"].tolist() == [[12, 22, 14, 3]]


def test_a_barrier_table_that_is_too_short_is_mentioned() -> None:
    assert run().notes == ()
    short = run(small_target(barrier={1: 100 * NS}))
    assert short.notes == ("the barrier table ends at 1 tiles; its nearest entry is used for 2",)
    assert "takes no time" in run(small_target(barrier={})).notes[0]
