"""The cycle-by-cycle network against hand-computed times, the event-driven one, the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.noc_traffic import Outcome, Packet, clockwise, drain, machine_with, ring_deployment
from support.random_networks import Options as NetworkOptions
from support.random_networks import random_inputs, random_network
from support.simple_mapping import Options, simple_mapping, x_then_y
from support.small_targets import quantity, round_costs, small_target

from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError, TargetError
from snnc.ir.target import Cost, CostTable, Target
from snnc.simulators import cycle, reference
from snnc.simulators.cycle import ends
from snnc.simulators.cycle.flit import FlitState, waits
from snnc.simulators.cycle.timing import Fidelity


def with_lanes(target: Target, lanes: float | None) -> Target:
    """The same machine with virtual channels."""
    quantities = {"virtual_channels": type(target.noc.buffer_packets)(**quantity(lanes))}
    return target.model_copy(update={"noc": target.noc.model_copy(update=quantities)})


def costly(kind: str, latency: float) -> CostTable:
    """The usual costs, and one event that takes long."""
    costs = round_costs()
    events = {**costs.events, kind: Cost(energy=None, latency=latency)}
    return costs.model_copy(update={"events": events})


def flit(deployment: Deployment, packets: list[Packet], service: float = 0.0) -> Outcome:
    return drain(deployment, packets, service, "flit")


def test_one_packet_takes_the_sum_of_its_hops() -> None:
    """Released at 4.2, so at 5; two hops of 2 cycles, one of 3; then 4 cycles of service."""
    outcome = flit(machine_with(small_target(3, 2), {0: [5]}), [(0, 0, 4.2)], service=4.0)
    assert outcome.last == 5 + 2 + 2 + 3
    assert outcome.receive_end[5] == 16.0
    assert outcome.state.total[ends.HOPS] == 3


def test_two_packets_for_one_channel_leave_one_cycle_apart() -> None:
    outcome = flit(machine_with(small_target(3, 1), {0: [2], 1: [2]}), [(0, 0, 0.0), (1, 0, 2.0)])
    assert outcome.last == 5


def test_a_contended_channel_is_shared_in_turns() -> None:
    """Both flows have a packet at every cycle; neither may finish long before the other.

    The last of 40 packets cross (1,0) -> (2,0) in cycles 2 and 41 at the latest and first.
    """
    deployment = machine_with(small_target(3, 1, injection=64, buffer=8), {0: [2], 1: [2]})
    together = [(core, 0, 0.0) for core in (0, 1) for _ in range(20)]
    outcome = flit(deployment, together)
    assert outcome.last == 39 + 2  # core 1 uses cycles 0 and 1 before the first one from core 0
    assert outcome.state.load[: outcome.tables.channels].tolist() == [20, 40]


def test_a_credit_comes_back_one_cycle_after_its_flit_has_left() -> None:
    """One place per channel, hops of 2: a place is taken for 2 cycles and seen free in the next."""
    target = small_target(3, 1, buffer=1, injection=8)
    deployment = machine_with(target, {0: [2]})
    # Packet 1 leaves at 0, is at (1,0) at 2 and leaves; its place is free from 3 on; and so on.
    assert [flit(deployment, [(0, 0, 0.0)] * n).last for n in (1, 2, 3)] == [4, 7, 10]
    # Without that cycle the event-driven model sends every 2 cycles.
    assert [drain(deployment, [(0, 0, 0.0)] * n).last for n in (1, 2, 3)] == [4, 6, 8]


def test_a_full_receive_queue_blocks_the_sender() -> None:
    """As in the event-driven model: the core's place is known without a credit's delay."""
    target = small_target(2, 1, buffer=1, receive=1)
    outcome = flit(machine_with(target, {0: [1]}), [(0, 0, 0.0)] * 4, service=10.0)
    assert outcome.last == 22
    assert outcome.receive_end[1] == 42.0


def test_a_sweep_that_finds_its_injection_queue_full_waits_for_a_credit() -> None:
    target = small_target(2, 1, injection=1, buffer=8, receive=8)
    outcome = flit(machine_with(target, {0: [1]}), [(0, 0, 0.0)] * 3)
    # Packets leave at 0, 1 and 2: the second and third are one cycle late each.
    assert outcome.state.shift[0] == 2.0
    assert outcome.last == 4


def test_a_virtual_channel_lets_a_packet_pass_a_blocked_one() -> None:
    """Core 0 sends to slow core 1, then to core 2: behind the blocked head, or beside it."""
    target = small_target(3, 1, multicast=False, buffer=1, receive=1)
    packets = [(0, 0, 0.0)] * 3 + [(0, 1, 0.0)]
    one = flit(machine_with(target, {0: [1, 2]}), packets, service=10.0)
    two = flit(machine_with(with_lanes(target, 2), {0: [1, 2]}), packets, service=10.0)
    assert one.receive_end[2] > 24.0
    assert two.receive_end[2] == 18.0
    assert two.receive_end[1] == one.receive_end[1] == 32.0


def test_a_multicast_packet_crosses_every_tree_channel_once() -> None:
    outcome = flit(machine_with(small_target(3, 3), {0: [2, 5, 8, 1]}), [(0, 0, 0.0)])
    assert (outcome.state.total[ends.HOPS], outcome.state.total[ends.DELIVERED]) == (4, 4)
    assert outcome.last == 2 + 2 + 3 + 3


def test_a_chip_boundary_is_slower() -> None:
    """The link takes 20 cycles per packet: arrivals at 20 and 40."""
    target = small_target(1, 1, chip_link_cycles=20)
    assert flit(machine_with(target, {0: [1]}, chips=2), [(0, 0, 0.0)] * 2).last == 40


def test_a_link_slower_than_one_turn_of_the_wheel() -> None:
    target = small_target(1, 1, chip_link_cycles=100_000)
    assert flit(machine_with(target, {0: [1]}, chips=2), [(0, 0, 3.0)] * 2).last == 200_003


def test_two_packets_per_cycle_need_half_the_time() -> None:
    fast = small_target(2, 1, packets_per_cycle=2, buffer=64, injection=64, receive=64)
    assert flit(machine_with(fast, {0: [1]}), [(0, 0, 0.0)] * 21).last / 2 == 2 + 10


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    buffer=st.integers(1, 4),
    receive=st.integers(1, 3),
    lanes=st.integers(1, 3),
    rate=st.integers(1, 2),
)
def test_every_packet_arrives_everywhere_once(
    seed: int, buffer: int, receive: int, lanes: int, rate: int
) -> None:
    rng = np.random.default_rng(seed)
    target = small_target(
        3, 3, multicast=bool(seed % 2), buffer=buffer, receive=receive, injection=2,
        packets_per_cycle=rate,
    )  # fmt: skip
    hears = {c: sorted(rng.choice(9, rng.integers(1, 5), replace=False)) for c in range(9)}
    deployment = machine_with(with_lanes(target, lanes), hears)
    ptr = deployment.routes.send_ptr
    packets = []
    for core in rng.integers(0, 9, 120):
        which = int(rng.integers(ptr[2 + core] - ptr[1 + core]))
        packets.append((int(core), which, float(rng.integers(0, 50))))
    packets.sort(key=lambda packet: packet[2])
    service = float(rng.integers(0, 6))
    got, model = (drain(deployment, packets, service, f) for f in ("flit", "transaction"))  # type: ignore[arg-type]
    assert got.last > 0
    for counter in (ends.INJECTED, ends.DELIVERED, ends.HOPS):
        assert got.state.total[counter] == model.state.total[counter]
    np.testing.assert_array_equal(got.state.load, model.state.load)
    assert got.state.total[ends.PEAK_CHANNEL] <= buffer
    assert got.state.total[ends.PEAK_RECEIVE] <= receive
    assert not got.state.queue[:, 0].any()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), chips=st.integers(1, 2), lanes=st.integers(1, 2))
def test_spikes_are_those_of_the_reference(seed: int, chips: int, lanes: int) -> None:
    network = random_network(seed, NetworkOptions(layers=4, width=3))
    neurons = sum(p.size for p in network.populations)
    target = with_lanes(
        small_target(3, 3, 2, multicast=bool(seed % 3), signed=True, payload_bits=8), lanes
    )
    options = Options(max(3, -(-neurons // 16)), interleave=bool(seed % 2), seed=seed)
    deployment = simple_mapping(network, target, 12, chips, options)
    inputs = random_inputs(network, seed, 1, 12)
    got = cycle.run(deployment, inputs, noc="flit")
    assert sum(got.result.mismatches(reference.run(network, inputs)).values()) == 0
    model = cycle.run(deployment, inputs)
    assert (got.counts, got.busiest_channel) == (model.counts, model.busiest_channel)


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_ring_deadlocks_with_virtual_channels_too(lanes: int) -> None:
    """A packet may take any of them, so they are no escape; every channel waits for the next."""
    target = with_lanes(small_target(2, 2, buffer=1, injection=1, receive=1), lanes)
    opposite = {core: [3 - core] for core in range(4)}
    packets = [(core, 0, 0.0) for core in range(4) for _ in range(10)]
    outcome = flit(machine_with(target, opposite, path=clockwise), packets)
    assert outcome.last == -1
    assert isinstance(outcome.state, FlitState)
    waiting = waits(outcome.tables, outcome.state)
    assert {channel: set(ports) for channel, ports in waiting.items()} == {
        0: {1}, 1: {3}, 3: {2}, 2: {0},
    }  # fmt: skip
    assert flit(machine_with(target, opposite), packets).last > 0


def test_the_same_run_twice_is_the_same() -> None:
    deployment, inputs = ring_deployment(x_then_y)
    one, two = (cycle.run(deployment, inputs, noc="flit").as_dict() for _ in range(2))
    assert one == two
    assert one["timing"]["noc"] == "flit"
    assert one["timing"].keys() == cycle.run(deployment, inputs).as_dict()["timing"].keys()


@pytest.mark.parametrize("fidelity", ["transaction", "flit"])
def test_every_tick_has_a_class_of_what_limits_it(fidelity: Fidelity) -> None:
    """The barrier of 300 ns is longer than any tick of the ring; without it the work counts.

    Two neurons of 1 + 2 cycles per core, 3 for a spike, 1 for its packet: sweeps of 10 cycles in
    the two ticks in which both populations fire.  Looking up a packet and its row takes 5.
    """
    deployment, inputs = ring_deployment(x_then_y)
    timing = cycle.run(deployment, inputs, noc=fidelity).timing
    assert timing is not None
    ticks = timing.tick_cycles.size
    assert timing.limits == {"compute": 0, "memory": 0, "traffic": 0, "barrier": ticks}
    timing = cycle.run(without_barrier(deployment), inputs, noc=fidelity).timing
    assert timing is not None
    assert timing.limits["compute"] == ticks - 1  # all but the empty load phase
    assert sum(timing.limits.values()) == ticks


@pytest.mark.parametrize("fidelity", ["transaction", "flit"])
@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("memory", small_target(2, 2, costs=costly("message_in", 50e-9))),
        ("compute", small_target(2, 2, costs=costly("neuron_access", 50e-9))),
        ("traffic", small_target(2, 2, costs=costly("hop_ew", 50e-9))),
    ],
)
def test_the_dearest_part_is_the_class(name: str, machine: Target, fidelity: Fidelity) -> None:
    deployment, inputs = ring_deployment(x_then_y)
    dear = without_barrier(replace(deployment, target=machine))
    timing = cycle.run(dear, inputs, noc=fidelity).timing
    assert timing is not None
    ticks = timing.tick_cycles.size
    least = ticks - 2 if name != "compute" else ticks - 1  # nothing arrives in the first and last
    assert timing.limits[name] >= least


def test_uniform_random_traffic_on_a_mesh_waits_as_long_as_it_should() -> None:
    """8 x 8, hops of a cycle, 0.2 packets per node and cycle: 6.14 cycles by another simulator;
    at 0.4 packets, 4 places per channel are not enough."""
    free = without_hop_costs(small_target(8, 8, multicast=False, injection=2000))
    everyone = {core: [other for other in range(64) if other != core] for core in range(64)}
    deployment = machine_with(free, everyone)
    rng = np.random.default_rng(0)
    latency = []
    for load in (0.2, 0.4):
        packets = [
            (core, int(rng.integers(63)), float(t))
            for core in range(64)
            for t in np.flatnonzero(rng.random(2000) < load)
        ]
        total = flit(deployment, packets).state.total
        released = sum(time for _, _, time in packets)
        latency.append((total[ends.ARRIVALS] - released) / len(packets))
    assert latency[0] == pytest.approx(6.14, rel=0.05)
    assert latency[1] > 3 * 5.33


def without_hop_costs(target: Target) -> Target:
    costs = target.costs.model_copy(update={"events": {}})
    return target.model_copy(update={"cost_sets": {"round": costs}})


def without_barrier(deployment: Deployment) -> Deployment:
    execution = deployment.target.execution.model_copy(update={"barrier_s": {}})
    return replace(deployment, target=deployment.target.model_copy(update={"execution": execution}))


def test_an_unknown_model_and_impossible_virtual_channels_are_refused() -> None:
    deployment, inputs = ring_deployment(x_then_y)
    with pytest.raises(OptionError, match="transaction, flit"):
        cycle.run(deployment, inputs, noc="magic")  # type: ignore[arg-type]
    for lanes in (0.0, 1.5, 17.0, None):
        broken = replace(deployment, target=with_lanes(deployment.target, lanes))
        with pytest.raises(TargetError, match="virtual_channels"):
            cycle.run(broken, inputs, noc="flit")
