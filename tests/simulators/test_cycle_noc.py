"""The network-on-chip against hand-computed times, conservation and deadlock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.noc_traffic import clockwise, drain, machine_with, ring_deployment
from support.simple_mapping import x_then_y
from support.small_targets import quantity, small_target

from snnc.ir.errors import SimulationError, TargetError
from snnc.ir.target import Cost
from snnc.simulators import cycle
from snnc.simulators.cycle import ends, noc_tables
from snnc.simulators.cycle.timing import Fidelity, barrier_seconds


def test_one_packet_takes_the_sum_of_its_hops() -> None:
    """Released at 5; two hops along X of 2 cycles, one along Y of 3; then 4 cycles of service."""
    deployment = machine_with(small_target(3, 2), {0: [5]})
    outcome = drain(deployment, [(0, 0, 5.0)], service=4.0)
    assert outcome.last == 5 + 2 + 2 + 3
    assert outcome.receive_end[5] == 16.0
    assert outcome.state.total[ends.HOPS] == 3


def test_a_packet_to_its_own_router_crosses_no_channel() -> None:
    deployment = machine_with(small_target(2, 1), {0: [0]})
    outcome = drain(deployment, [(0, 0, 3.0)])
    assert (outcome.last, outcome.state.total[ends.HOPS]) == (3, 0)


def test_a_release_between_two_cycles_waits_for_the_next_one() -> None:
    deployment = machine_with(small_target(2, 1), {0: [1]})
    assert drain(deployment, [(0, 0, 3.2)]).last == 4 + 2


def test_two_packets_for_one_channel_leave_one_cycle_apart() -> None:
    """Both want (1,0) -> (2,0) at cycle 2; the one in the network asked first."""
    deployment = machine_with(small_target(3, 1), {0: [2], 1: [2]})
    outcome = drain(deployment, [(0, 0, 0.0), (1, 0, 2.0)])
    assert outcome.last == 5
    assert outcome.state.load[: outcome.tables.channels].tolist() == [1, 2]


def test_a_full_receive_queue_blocks_the_sender() -> None:
    """One place in every queue, 10 cycles of service, four packets over one hop of 2 cycles.

    Packet 1 is taken at 2; packet 2 arrives at 4 and waits in the receive queue; packet 3 arrives
    at 6 and enters when packet 1 is done, at 12; packet 4 starts then and enters at 22.
    """
    target = small_target(2, 1, buffer=1, receive=1)
    outcome = drain(machine_with(target, {0: [1]}), [(0, 0, 0.0)] * 4, service=10.0)
    assert outcome.last == 22
    assert outcome.receive_end[1] == 42.0
    assert outcome.state.total[ends.PEAK_CHANNEL] == 1
    assert outcome.state.total[ends.PEAK_RECEIVE] == 1


def test_the_head_of_a_queue_blocks_the_packets_behind_it() -> None:
    """Core 0 sends to slow core 1 three times, then to core 2: the last one cannot overtake."""
    target = small_target(3, 1, multicast=False, buffer=1, receive=1)
    deployment = machine_with(target, {0: [1, 2]})
    alone = drain(deployment, [(0, 1, 0.0)], service=10.0)
    behind = drain(deployment, [(0, 0, 0.0)] * 3 + [(0, 1, 0.0)], service=10.0)
    assert alone.last == 4
    # Packet 3 leaves the queue at (1,0) at 12; packet 4 then needs two hops.
    assert behind.last == 12 + 2 + 2


def test_a_sweep_that_finds_its_injection_queue_full_waits() -> None:
    target = small_target(2, 1, buffer=1, receive=1, injection=1)
    packets = [(0, 0, float(t)) for t in (0, 0, 0, 1, 30)]
    outcome = drain(machine_with(target, {0: [1]}), packets, service=10.0)
    # Packet 3 finds a place at 2 (2 late), packet 4 is then planned for 3 and gets one at 4;
    # packet 5 is 3 late: it leaves at 33 and arrives at 35, behind four services of 10.
    assert outcome.state.shift[0] == 3.0
    assert outcome.last == 35
    assert outcome.receive_end[1] == 2 + 5 * 10


def test_a_multicast_packet_crosses_every_tree_channel_once() -> None:
    deployment = machine_with(small_target(3, 3), {0: [2, 5, 8, 1]})
    outcome = drain(deployment, [(0, 0, 0.0)])
    assert outcome.state.total[ends.HOPS] == 4
    assert outcome.state.total[ends.DELIVERED] == 4
    assert outcome.last == 2 + 2 + 3 + 3


def test_a_blocked_branch_does_not_hold_back_the_others() -> None:
    target = small_target(3, 1, buffer=1, receive=1)
    deployment = machine_with(target, {0: [1, 2], 1: [1]})
    own = [(1, 0, 0.0)] * 2  # keep core 1 busy until 20 and its receive queue full until 10
    outcome = drain(deployment, [*own, (0, 0, 0.0)], service=10.0)
    assert outcome.receive_end[2] == 4 + 10
    assert outcome.last == 10


def test_a_chip_boundary_is_slower() -> None:
    """The link takes 20 cycles per packet: arrivals at 20 and 40."""
    target = small_target(1, 1, chip_link_cycles=20)
    outcome = drain(machine_with(target, {0: [1]}, chips=2), [(0, 0, 0.0)] * 2)
    assert outcome.last == 40
    ordinary = small_target(1, 1)
    deployment = machine_with(ordinary, {0: [1]}, chips=2)
    assert drain(deployment, [(0, 0, 0.0)] * 2).last == 11
    assert "chip_link_cycles is unknown" in noc_tables.describe(deployment).notes[0]


def test_a_chip_boundary_of_unknown_latency_is_an_ordinary_hop() -> None:
    target = small_target(1, 1)
    for entry in ({}, {"hop_chip": Cost(energy=None, latency=None)}):
        events = {k: c for k, c in target.costs.events.items() if k != "hop_chip"} | entry
        costs = target.costs.model_copy(update={"events": events})
        plain = target.model_copy(update={"cost_sets": {"round": costs}})
        assert drain(machine_with(plain, {0: [1]}, chips=2), [(0, 0, 0.0)]).last == 2


def test_two_packets_per_cycle_need_half_the_time() -> None:
    fast = small_target(2, 1, packets_per_cycle=2, buffer=64, injection=64)
    slow = small_target(2, 1, buffer=64, injection=64)
    packets = [(0, 0, 0.0)] * 21
    unit = noc_tables.describe(machine_with(fast, {0: [1]})).resolution
    assert drain(machine_with(fast, {0: [1]}), packets).last / unit == 2 + 10
    assert drain(machine_with(slow, {0: [1]}), packets).last == 2 + 20


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), buffer=st.integers(1, 4), receive=st.integers(1, 3))
def test_every_packet_arrives_everywhere_once(seed: int, buffer: int, receive: int) -> None:
    rng = np.random.default_rng(seed)
    target = small_target(
        3, 3, multicast=bool(seed % 2), buffer=buffer, receive=receive, injection=2
    )
    hears = {c: sorted(rng.choice(9, rng.integers(1, 5), replace=False)) for c in range(9)}
    deployment = machine_with(target, hears)
    routes = deployment.routes
    packets, copies, hops = [], 0, 0
    for core in rng.integers(0, 9, 120):
        which = int(rng.integers(routes.send_ptr[1 + core + 1] - routes.send_ptr[1 + core]))
        net = routes.send_net[routes.send_ptr[1 + core] + which]
        copies += int(np.diff(routes.delivery_ptr)[net])
        hops += int(np.diff(routes.branch_ptr)[net]) - 1
        packets.append((int(core), which, 0.0))
    outcome = drain(deployment, packets, service=float(rng.integers(0, 6)))
    total = outcome.state.total
    assert outcome.last >= 0
    assert (total[ends.INJECTED], total[ends.DELIVERED], total[ends.HOPS]) == (120, copies, hops)
    assert total[ends.PEAK_CHANNEL] <= buffer
    assert total[ends.PEAK_RECEIVE] <= receive
    again = drain(deployment, packets, service=0.0)
    assert again.state.load.tolist() == outcome.state.load.tolist()


@pytest.mark.parametrize("fidelity", ["transaction", "flit"])
def test_a_ring_of_channels_deadlocks_and_the_error_names_it(fidelity: Fidelity) -> None:
    deployment, inputs = ring_deployment(clockwise)
    with pytest.raises(SimulationError, match="deadlocked") as caught:
        cycle.run(deployment, inputs, noc=fidelity)
    text = str(caught.value)
    assert text.startswith("sample 0, tick 0: ")
    for hop in ("(0,0)->(1,0)", "(1,0)->(1,1)", "(1,1)->(0,1)", "(0,1)->(0,0)"):
        assert hop in text
    assert "4 packets stuck" in text


@pytest.mark.parametrize("fidelity", ["transaction", "flit"])
def test_the_same_traffic_on_xy_routes_completes(fidelity: Fidelity) -> None:
    deployment, inputs = ring_deployment(x_then_y)
    result = cycle.run(deployment, inputs, noc=fidelity)
    assert result.counts["message_out"] == 4 * 4
    assert result.timing is not None


def test_without_timing_nothing_moves_so_nothing_deadlocks() -> None:
    deployment, inputs = ring_deployment(clockwise)
    assert cycle.run(deployment, inputs, timing=False).timing is None


def test_a_machine_without_buffer_sizes_has_no_timing() -> None:
    deployment, inputs = ring_deployment(x_then_y)
    unknown = deployment.target.noc.model_copy(
        update={"buffer_packets": type(deployment.target.noc.buffer_packets)(**quantity(None))}
    )
    target = deployment.target.model_copy(update={"noc": unknown})
    with pytest.raises(TargetError, match=r"noc.buffer_packets: timing needs a positive number"):
        cycle.run(replace(deployment, target=target), inputs)


def test_the_barrier_is_linear_in_the_logarithm_of_the_tiles() -> None:
    execution = small_target(barrier={1: 100e-9, 4: 300e-9}).execution
    values = [barrier_seconds(execution, tiles) for tiles in (1, 2, 4, 9)]
    assert values == pytest.approx([100e-9, 200e-9, 300e-9, 300e-9])
