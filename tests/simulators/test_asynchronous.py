"""Machines without time steps: the kernels follow the definition of the order of events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.chains import chain, chain_inputs, population, speck
from support.deployed import deployed

from snnc.backends import targets
from snnc.ir.deployment import CoreTables, Deployment, RouteTables, Schedule
from snnc.ir.errors import InputError, OptionError, SimulationError, TargetError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import cycle, reference
from snnc.simulators.decoding import Decoder, EarlyStop
from snnc.simulators.reference import event_order
from snnc.simulators.result import RunResult

STEPS = 5


def totals(result: RunResult, name: str, size: int, samples: int) -> np.ndarray:
    found = np.zeros((samples, size), np.int64)
    events = result.spikes[name]
    np.add.at(found, (events.sample, events.index), events.value)
    return found


def assert_same(deployment: Deployment, inputs: dict[str, np.ndarray]) -> None:
    mine, truth = cycle.run(deployment, inputs), event_order.run(deployment, inputs)
    assert sum(truth.mismatches(mine.result).values()) == 0
    report = mine.asynchronous
    assert report is not None
    trails = [
        event_order.run_sample(deployment, {n: a[k] for n, a in inputs.items()})
        for k in range(len(inputs["x"]))
    ]
    assert report.dropped.tolist() == np.sum([t.dropped for t in trails], axis=0).tolist()
    assert report.high_water.tolist() == np.max([t.high_water for t in trails], axis=0).tolist()
    taken = sum(sum(t.taken) for t in trails)
    assert mine.counts["message_in"] == taken
    assert mine.counts["hop_ew"] == taken + report.dropped.sum()
    ends = np.array([max(t.end, STEPS * 10**9 * report.step_s * 1000) for t in trails])
    np.testing.assert_allclose(report.seconds, ends * 1e-12)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    seed=st.integers(0, 10**6),
    overflow=st.sampled_from(["stall", "drop"]),
    queue=st.integers(1, 6),
    send=st.sampled_from([0.0, 1e-9, 40e-9]),
    hop=st.sampled_from([0.0, 3e-9, 200e-9]),
    host=st.sampled_from([0.0, 10e-9, 1e-6]),
    step_s=st.sampled_from([1e-6, 1e-4]),
)
def test_the_kernels_follow_the_order_of_events(
    seed: int, overflow: str, queue: int, send: float, hop: float, host: float, step_s: float
) -> None:
    rng = np.random.default_rng(seed)
    machine = speck(overflow, queue, step_s, message_out=send, hop_ew=hop, host_in=host)
    deployment = deployed(chain(rng), machine, STEPS)
    assert_same(deployment, chain_inputs(rng, 2, STEPS))


def test_counts_do_not_depend_on_the_order_where_no_weight_is_negative() -> None:
    rng = np.random.default_rng(0)
    network = chain(rng, low=0, high=30, levels=150)
    inputs = chain_inputs(rng, 2, STEPS, rate=0.2)
    truth = reference.run(network, inputs)
    for machine in (speck(), speck(queue=1, hop_ew=1e-6), speck(step_s=1e-6, message_out=1e-7)):
        found = cycle.run(deployed(network, machine, STEPS), inputs).result
        for node in network.populations:
            mine, theirs = (totals(r, node.name, node.size, 2) for r in (found, truth))
            assert np.array_equal(mine, theirs), node.name
        assert truth.spike_counts["o"].all()


def test_negative_weights_make_the_order_matter_and_only_add_spikes_to_the_first_layer() -> None:
    rng = np.random.default_rng(1)
    network = chain(rng, levels=60)
    inputs = chain_inputs(rng, 2, STEPS, rate=0.3)
    truth = reference.run(network, inputs)
    found = cycle.run(deployed(network, speck(), STEPS), inputs).result
    a = network.populations[0]
    more = totals(found, "a", a.size, 2) - totals(truth, "a", a.size, 2)
    assert more.min() >= 0
    assert more.max() > 0


def test_equal_runs_give_equal_bytes() -> None:
    rng = np.random.default_rng(2)
    deployment = deployed(chain(rng), speck(queue=2), STEPS)
    inputs = chain_inputs(rng, 3, STEPS)
    first, second = cycle.run(deployment, inputs), cycle.run(deployment, inputs)
    assert first.as_dict() == second.as_dict()
    assert sum(first.result.mismatches(second.result).values()) == 0


def test_no_input_no_event() -> None:
    rng = np.random.default_rng(3)
    deployment = deployed(chain(rng), speck(), STEPS)
    found = cycle.run(deployment, {"x": np.zeros((1, STEPS, 2, 8, 8), np.int64)})
    assert not any(found.counts.values())
    assert found.asynchronous is not None
    assert found.asynchronous.seconds.tolist() == [STEPS * 1e-3]


def test_overload_is_reported() -> None:
    rng = np.random.default_rng(4)
    inputs = chain_inputs(rng, 1, STEPS, rate=0.5)
    deployment = deployed(chain(rng), speck("drop", 4, step_s=1e-6), STEPS)
    found = cycle.run(deployment, inputs)
    report = found.asynchronous
    assert report is not None
    assert report.overloaded
    assert report.dropped.sum() > 0
    assert any("overloaded" in note for note in found.notes)
    assert any("lost at full queues" in note for note in found.notes)
    assert report.as_dict()["dropped_packets"] == report.dropped.sum()
    slow = cycle.run(deployed(chain(rng), speck(step_s=1.0), STEPS), inputs).asynchronous
    assert slow is not None
    assert not slow.overloaded
    assert slow.settle.max() < 1.0


def test_energy_is_counted_where_a_target_prices_it() -> None:
    rng = np.random.default_rng(5)
    machine = speck()
    table = {
        "scope": "per_term",
        "events": {"synapse_op_sparse": {"energy": 2e-12, "ev": "assumed"},
                   "message_in": {"energy": 1e-12, "latency": 1e-9, "ev": "assumed"}},
    }  # fmt: skip
    priced = machine.model_validate(
        {**machine.model_dump(by_alias=True), "cost_sets": {"timing": table}}
    )
    found = cycle.run(deployed(chain(rng), priced, STEPS), chain_inputs(rng, 2, STEPS))
    wanted = 2e-12 * found.counts["synapse_op_sparse"] + 1e-12 * found.counts["message_in"]
    np.testing.assert_allclose(found.energy.dynamic.sum(), wanted, rtol=1e-12)
    np.testing.assert_allclose(found.energy.by_core.sum(), wanted, rtol=1e-12)


def loop() -> Deployment:
    """Two cores whose neurons feed each other: no compiler makes it, a file may claim it."""
    network = IntegerNetwork(
        "loop",
        (
            Input("x", (1,), BIN),
            Linear("w", ("x",), Dense(np.array([[9], [9]]))),
            population("a", "w", (2,), 1, 9),
            Output("out", ("a",)),
        ),
    )
    given = deployed(network, speck(queue=1), 1)
    cores = CoreTables(
        location=np.array([[0, 0, 0], [0, 0, 1]]),
        neuron_ptr=np.array([0, 1, 2]),
        neuron_source=np.array([1, 2]),
        axon_ptr=np.array([0, 2, 4]),
        axon_source=np.array([0, 2, 0, 1]),
        axon_delay=np.zeros(4, np.int64),
        axon_encoding=np.zeros(4, np.int64),
        synapse_ptr=np.arange(5),
        synapse_target=np.zeros(4, np.int64),
        synapse_weight=np.full(4, 9),
    )
    routes = RouteTables(
        net_core=np.array([-1, 0, 1]),
        branch_ptr=np.arange(4),
        branch_router=np.zeros(3, np.int64),
        branch_parent=np.full(3, -1),
        delivery_ptr=np.array([0, 2, 3, 4]),
        delivery_branch=np.zeros(4, np.int64),
        delivery_core=np.array([0, 1, 1, 0]),
        send_ptr=np.array([0, 1, 2, 3]),
        send_net=np.array([0, 1, 2]),
    )
    return replace(given, cores=cores, routes=routes)


def test_a_ring_of_full_queues_is_an_error_and_not_a_hang() -> None:
    inputs = {"x": np.ones((1, 1, 1), np.int64)}
    with pytest.raises(SimulationError, match="in a ring"):
        cycle.run(loop(), inputs)
    with pytest.raises(SimulationError, match="in a ring"):
        event_order.run(loop(), inputs)


def test_what_needs_time_steps_is_refused_by_name() -> None:
    rng = np.random.default_rng(6)
    deployment = deployed(chain(rng), speck(), STEPS)
    inputs = chain_inputs(rng, 1, STEPS)
    nodes = tuple(
        replace(n, bias=(GatedBias(np.array(1)),)) if n.name == "b" else n  # type: ignore[type-var]
        for n in deployment.network.nodes
    )
    tampered = replace(deployment, network=replace(deployment.network, nodes=nodes))
    for run in (cycle.run, event_order.run):
        with pytest.raises(UnsupportedError, match=r"b: .*(?s:.)*a bias"):
            run(tampered, inputs)
    delayed = replace(deployment.cores, axon_delay=deployment.cores.axon_delay + 1)
    with pytest.raises(UnsupportedError, match="delayed axon"):
        cycle.run(replace(deployment, cores=delayed), inputs)
    with pytest.raises(TargetError, match="time steps"):
        event_order.run(replace(deployment, target=targets.load("toy-mesh")), inputs)


def test_options_of_machines_with_ticks_are_refused() -> None:
    rng = np.random.default_rng(7)
    deployment = deployed(chain(rng), speck(), STEPS)
    inputs = chain_inputs(rng, 1, STEPS)
    with pytest.raises(OptionError, match="--noc"):
        cycle.run(deployment, inputs, noc="flit")
    with pytest.raises(OptionError, match="--early-stop"):
        cycle.run(deployment, inputs, stop=EarlyStop("out", Decoder.parse("sum"), 1))
    with pytest.raises(InputError, match="longer than"):
        cycle.run(deployment, chain_inputs(rng, 1, STEPS + 1))
    assert deployment.schedule == Schedule(STEPS, 1, {"a": 0, "b": 0, "o": 0},
                                           deployment.schedule.codes)  # fmt: skip
