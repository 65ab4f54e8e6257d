"""Machines and requests at the edge: each ends in a mapping or in one typed error, never hangs."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import nets
from support.chains import changed
from support.mapping_check import deployment
from support.placing import problem_of, toy, unicast

from snnc.backends.targets import check_target, load
from snnc.compiler.hypergraph import Hypergraph, divide
from snnc.compiler.map import MapOptions, Mapping, map_network
from snnc.compiler.phases import Machine
from snnc.compiler.pins import parse_pins
from snnc.compiler.place import place
from snnc.compiler.place.exact import solve
from snnc.compiler.place.watch import Watch
from snnc.compiler.route import route
from snnc.compiler.verify import examine, verify
from snnc.ir.deployment import Deployment
from snnc.ir.errors import CapacityError, MissingPackageError, OptionError
from snnc.ir.expand import expand
from snnc.ir.target import Target
from snnc.ir.topology import mesh_of, usable_chips

ROW = {"chip_arrangement": "row"}
CUT = {"broken_chip_links": (((1, 0), (2, 0)),)}


def mapped(target: Target, chips: int, pins: str = "") -> tuple[Mapping, Deployment]:
    network = nets.mlp((20, 100, 60, 10))
    retiming = nets.longest_path_retiming(expand(network))
    options = MapOptions(effort="low", pins=parse_pins(pins))
    mapping = map_network(network, retiming, target, chips, None, options)
    return mapping, deployment(network, retiming, target, chips, mapping)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data(), chips=st.integers(1, 12))
def test_all_shortest_paths_between_usable_chips_exist(data: st.DataObject, chips: int) -> None:
    mesh = mesh_of(toy(), chips)
    columns, rows = mesh.width // 4, mesh.height // 4
    borders = [((x, y), (x + 1, y)) for x in range(columns - 1) for y in range(rows)]
    borders += [((x, y), (x, y + 1)) for x in range(columns) for y in range(rows - 1)]
    broken = data.draw(st.lists(st.sampled_from(borders), unique=True) if borders else st.just([]))
    found = usable_chips(toy(broken_chip_links=tuple(broken)), mesh)
    assert 0 in found
    spots = [(chip % columns, chip // columns) for chip in found]
    for a in spots:
        for b in spots:
            low, high = np.minimum(a, b), np.maximum(a, b)
            for p, q in broken:
                inside = (low <= p).all() and (p <= high).all()
                assert not (inside and (low <= q).all() and (q <= high).all())
    if not broken:
        assert found == tuple(range(chips))


def test_cores_stay_on_chips_that_can_be_reached() -> None:
    target = toy(**ROW, **CUT, grid=(2, 1), usable_cores=2)
    mapping, done = mapped(target, 4)
    assert mapping.report["chips_unreachable"] == [2, 3]
    assert {row["chip"] for row in mapping.report["cores"]} == {0, 1}
    verify(done)
    assert mapped(toy(), 2)[0].report["chips_unreachable"] == []
    assert Machine(target, 4, 4).cores == 4


def test_a_network_that_needs_unreachable_chips_is_refused() -> None:
    target = toy(**ROW, grid=(1, 1), usable_cores=1, broken_chip_links=(((0, 0), (1, 0)),))
    text = r"(?s)7 of 8 chips cannot be used because of broken links.*repair topology"
    with pytest.raises(CapacityError, match=text):
        mapped(target, 8)


def test_a_pin_to_an_unreachable_chip_is_refused() -> None:
    with pytest.raises(OptionError, match="unreachable"):
        mapped(toy(**ROW, **CUT), 4, "n0@chip:3")


def test_the_checker_refuses_a_route_over_a_broken_border() -> None:
    mapping, done = mapped(toy(**ROW, grid=(1, 1), usable_cores=1), 4)
    assert mapping.report["chips_used"] == 3
    broken = changed(done.target, topology={"broken_chip_links": (((1, 0), (0, 0)),)})
    report = examine(replace(done, target=broken))
    assert "broken border" in str(report.violations)


def test_the_target_check_names_chips_that_are_no_neighbours() -> None:
    findings = check_target(toy(broken_chip_links=(((0, 0), (2, 0)),)))
    assert any("no neighbours" in finding for finding in findings)
    findings = check_target(toy(links="hex_torus", **CUT))
    assert any("both ways" in finding for finding in findings)


def test_a_machine_too_large_to_search_is_refused_before_it_takes_memory() -> None:
    with pytest.raises(OptionError, match="the machine is too large") as found:
        mesh_of(toy(max_chips={"v": None, "ev": "unknown"}), 1_000_000_000)
    assert found.value.where == "--chips"
    assert "262144 of these chips" in found.value.allowed
    with pytest.raises(OptionError, match=r"topology\.grid"):
        mesh_of(toy(grid=(1024, 1024), cores_per_router=64, usable_cores=1 << 26), 1)


def test_a_small_network_on_a_huge_mesh_is_bounded_without_pairs_of_routers() -> None:
    """What looks at every two of its routers would not end on a mesh of a million."""
    target = toy(grid=(256, 256), usable_cores=1 << 16)
    mapping, done = mapped(target, 1)
    placed, routed = mapping.report["placement"], mapping.report["routing"]
    assert 0 < placed["lower_bound"] <= placed["objective"]
    assert 0 < routed["max_link_cycles_bound"] <= routed["max_link_cycles"]
    verify(done)


def resources(**capacity: int) -> Target:
    data = load("toy-mesh").model_dump(by_alias=True)
    for name, value in capacity.items():
        data["core"]["resources"][name]["capacity"]["v"] = value
    return Target.model_validate(data)


@pytest.mark.parametrize(
    ("name", "value"), [("synapse_mem", 20), ("input_axons", 3), ("synapse_mem", 1)]
)
def test_a_core_smaller_than_a_neuron_is_refused_with_the_amount(name: str, value: int) -> None:
    with pytest.raises(CapacityError, match="a single neuron does not fit a core") as found:
        mapped(resources(**{name: value}), 1)
    assert name in found.value.found
    assert "too many" in found.value.allowed
    assert "no number of chips would do" in found.value.remedy


@pytest.mark.parametrize("cores", [3, 14, 70])
def test_silent_networks_are_placed_and_routed(cores: int) -> None:
    """All rates are 0: every placement costs nothing and is optimal."""
    target = toy(grid=(9, 8), usable_cores=72)
    edges = [(k - 1, k, 0.0) for k in range(cores)]
    flow = unicast(cores, edges)
    placed = place(problem_of(target, flow), 0, "low", 20.0)
    assert (placed.objective, placed.bound, placed.gap) == (0.0, 0.0, 0.0)
    assert np.unique(placed.location, axis=0).shape == (cores, 3)
    routed = route(flow, placed.router, target, mesh_of(target, 1), "balanced")
    assert routed.report["max_link_cycles"] == 0.0


def test_a_silent_network_is_mapped_with_every_objective_defined() -> None:
    network = nets.mlp((20, 100, 60, 10))
    retiming = nets.longest_path_retiming(expand(network))
    silent = {n: np.zeros(s) for n, s in (("in", 20), ("n0", 100), ("n1", 60), ("n2", 10))}
    mapping = map_network(network, retiming, load("toy-mesh"), 1, silent, MapOptions(effort="low"))
    assert mapping.report["traffic"]["weighted_hops"] == 0.0
    assert mapping.report["traffic"]["mean_hops"] == 0.0
    verify(deployment(network, retiming, load("toy-mesh"), 1, mapping))


def test_a_missing_hypergraph_library_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mtkahypar", None)
    pin = np.array([0, 1], np.int32)
    graph = Hypergraph(np.array([0, 2]), pin, np.ones(1), np.ones(2, np.int64))
    with pytest.raises(MissingPackageError, match="pip install"):
        divide(graph, 2, 1, engine="mtkahypar")
    network = nets.mlp((20, 100, 60, 10))
    retiming = nets.longest_path_retiming(expand(network))
    options = MapOptions(partitioner="mtkahypar")
    with pytest.raises(MissingPackageError, match="--partitioner own"):
        map_network(network, retiming, load("toy-mesh"), 1, None, options)


def test_a_selection_that_runs_out_of_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["snnc.compiler.partition.select"], "SOLVER_EFFORT", 0.0)
    target = resources(neurons=8)
    with pytest.raises(CapacityError, match="found no choice of tilings in its time") as found:
        mapped(target, 4)
    assert "candidates" in found.value.found
    assert "--partitioner tiles" in found.value.remedy


def test_a_solver_without_time_returns_its_start() -> None:
    problem = problem_of(toy(), unicast(6, [(k - 1, k, 3.0) for k in range(6)]))
    start = np.array([0, 15, 1, 14, 2, 13])
    done = solve(problem, start, 0.0, 0.4, 0, Watch(0.0))
    assert done.site.tolist() == start.tolist()
    assert 0.0 <= done.bound <= done.cost
