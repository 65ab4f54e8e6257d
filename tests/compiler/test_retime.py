from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_target import small_target

from snnc.compiler.retime import Retiming, retime
from snnc.ir.errors import OptionError, UnsupportedError
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense

TARGET = small_target()
EDGES = list[tuple[str, str, int]]


def graph(edges: EDGES, output: str, width: int = 2) -> IntegerNetwork:
    """Populations of ``width`` neurons joined by identity matrices; names from "i" are inputs."""
    nodes: list[object] = []
    for name in sorted({a for a, _, _ in edges if a.startswith("i")}):
        nodes.append(Input(name, (width,), BIN))
    for population in sorted({b for _, b, _ in edges}):
        terms = []
        for k, (source, _, delay) in enumerate(e for e in edges if e[1] == population):
            name = f"w_{population}_{k}"
            nodes.append(Linear(name, (source,), Dense(np.eye(width, dtype=np.int64))))
            if delay:
                nodes.append(Delay(f"d_{population}_{k}", (name,), delay))
                name = f"d_{population}_{k}"
            terms.append(name)
        nodes.append(Add(f"sum_{population}", tuple(terms)))
        nodes.append(
            Neuron(population, (f"sum_{population}",), (width,), np.array([1]), Reset("value"))
        )
    nodes.append(Output("out", (output,)))
    return IntegerNetwork("graph", tuple(nodes))  # type: ignore[arg-type]


def check(network: IntegerNetwork, retiming: Retiming) -> None:
    schedule = retiming.schedule
    for p in expand(network).projections:
        is_input = p.source.startswith("i")
        least = 0 if is_input else 1
        ticks = schedule.period * p.delay + schedule.offset[p.population]
        ticks -= 0 if is_input else schedule.offset[p.source]
        assert retiming.extra_delay[p.source, p.population, p.delay] == ticks - least >= 0


def test_a_chain_has_one_tick_per_hop_and_no_storage() -> None:
    network = graph([("in", "a", 0), ("a", "b", 0), ("b", "c", 0)], "c")
    result = retime(network, TARGET, 5)
    assert result.schedule.offset == {"a": 0, "b": 1, "c": 2}
    assert result.schedule.period == 1
    assert result.report["delay_storage"] == 0
    assert result.report["latency_ticks"] == {"out": 2}
    assert result.report["solver"] == "optimal"
    check(network, result)


def test_a_skip_edge_waits_for_the_long_branch() -> None:
    network = graph([("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("a", "c", 0)], "c")
    result = retime(network, TARGET, 5)
    assert result.extra_delay["a", "c", 0] == 1
    assert result.report["delay_storage"] == 2
    check(network, result)


def test_without_balancing_every_extra_delay_is_zero() -> None:
    network = graph([("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("a", "c", 0)], "c")
    result = retime(network, TARGET, 5, balance=False)
    assert set(result.extra_delay.values()) == {0}
    assert result.schedule.offset == {"a": 0, "b": 1, "c": 2}
    assert result.report["solver"] == "not balanced"


def test_a_two_population_loop_of_one_logical_step_runs_at_half_speed() -> None:
    network = graph([("in", "a", 0), ("a", "b", 0), ("b", "a", 1)], "b")
    result = retime(network, TARGET, 3)
    assert result.schedule.period == 2
    assert result.schedule.ticks == 2 * 2 + 1 + 1
    check(network, result)


def test_a_self_loop_of_one_step_runs_at_full_speed() -> None:
    network = graph([("in", "a", 0), ("a", "a", 1)], "a")
    assert retime(network, TARGET, 3).schedule.period == 1


def test_two_inputs_wait_in_their_axons_for_a_late_population() -> None:
    network = graph([("in1", "a", 0), ("a", "b", 0), ("in2", "b", 0)], "b")
    result = retime(network, TARGET, 3)
    assert result.extra_delay["in2", "b", 0] == 1
    check(network, result)


def test_a_slower_chip_needs_its_minimum_delay_on_every_hop() -> None:
    network = graph([("in", "a", 0), ("a", "b", 0), ("b", "a", 1)], "b")
    result = retime(network, small_target(min_delay=3), 3)
    assert result.schedule.period == 6
    assert result.schedule.offset == {"a": 0, "b": 3}


def test_a_skip_longer_than_the_axonal_delay_is_refused_by_name() -> None:
    edges = [("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("c", "e", 0), ("a", "e", 0)]
    target = small_target(core={"max_delay": {"v": 1, "ev": "assumed"}})
    with pytest.raises(UnsupportedError) as error:
        retime(graph(edges, "e"), target, 3)
    assert error.value.where == "a -> e needs 2"
    assert "1 extra ticks on test" in error.value.allowed
    assert "longer axonal delays" in error.value.remedy


def test_an_unknown_longest_delay_is_not_a_limit() -> None:
    edges = [("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("a", "c", 0), ("in", "c", 80)]
    target = small_target(core={"max_delay": {"v": None, "ev": "unknown"}})
    assert retime(graph(edges, "c"), target, 3).extra_delay["in", "c", 80] == 82


def test_no_time_step_is_refused() -> None:
    with pytest.raises(OptionError, match="at least one time step"):
        retime(graph([("in", "a", 0)], "a"), TARGET, 0)


@st.composite
def random_edges(draw: st.DrawFn, most: int = 5) -> EDGES:
    count = draw(st.integers(2, most))
    names = [f"p{k}" for k in range(count)]
    edges = {("in", names[0], 0)}
    for k in range(1, count):  # connected, feed-forward
        edges.add((names[draw(st.integers(0, k - 1))], names[k], 0))
    for _ in range(draw(st.integers(0, 4))):
        a, b = draw(st.integers(0, count - 1)), draw(st.integers(0, count - 1))
        edges.add((names[a], names[b], draw(st.integers(0, 2)) if a < b else 1))
    return sorted(edges)


def brute_force(network: IntegerNetwork, period: int) -> float:
    """Least storage over all offsets up to the number of populations; infinite if none fits."""
    projections = expand(network).projections
    elements = [int(np.count_nonzero(np.diff(p.row_ptr))) for p in projections]
    names = [n.name for n in network.populations]
    best = np.inf
    for values in itertools.product(range(len(names) + 1), repeat=len(names)):
        offset = dict(zip(names, values, strict=True)) | {"in": -1}  # inputs need no hop
        extra = [
            period * p.delay + offset[p.population] - offset[p.source] - 1 for p in projections
        ]
        if min(extra) >= 0:
            best = min(best, sum(n * x for n, x in zip(elements, extra, strict=True)))
    return best


@settings(max_examples=30, deadline=None)
@given(random_edges())
def test_every_random_graph_satisfies_its_constraints(edges: EDGES) -> None:
    network = graph(edges, "p1")
    check(network, retime(network, TARGET, 4))


@settings(max_examples=15, deadline=None)
@given(random_edges(most=4))
def test_storage_is_optimal_on_tiny_graphs(edges: EDGES) -> None:
    network = graph(edges, "p1")
    result = retime(network, TARGET, 4)
    assert result.report["solver"] == "optimal"
    assert result.report["delay_storage"] == brute_force(network, result.schedule.period)
    if result.schedule.period > 1:
        assert brute_force(network, result.schedule.period - 1) == np.inf
