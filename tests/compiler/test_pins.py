"""Pinned populations: every engine obeys, the checker looks, impossible pins are one error."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import nets
from support.chains import chain, speck
from support.deployed import deployed
from support.mapping_check import deployment
from support.placing import is_legal, multicast, problem_of, toy

from snnc.backends.targets import load
from snnc.compiler.layerwise import place_layers
from snnc.compiler.map import MapOptions, Mapping, map_network
from snnc.compiler.options import CompileOptions
from snnc.compiler.partition.wiring import wire
from snnc.compiler.pins import Pin, parse_pins
from snnc.compiler.place import Problem, Zones, assign, cost_of, huge, place
from snnc.compiler.place.anneal import anneal
from snnc.compiler.place.exact import solve
from snnc.compiler.place.flows import Flows
from snnc.compiler.place.huge import Work, spread
from snnc.compiler.place.pinned import zones_of
from snnc.compiler.place.problem import sites_of
from snnc.compiler.place.quadratic import quadratic
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.zones import settled
from snnc.compiler.retime import retime
from snnc.compiler.verify import examine, verify
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment, SourceSpace
from snnc.ir.errors import OptionError
from snnc.ir.expand import expand
from snnc.ir.topology import mesh_of

ENGINES = ("annealing", "flows", "levels", "cp-sat", "tabu", "all")


def random_problem(seed: int, fan: int) -> Problem:
    """Some cores on a machine with defects, some of them held to cores, routers and chips."""
    rng = np.random.default_rng(seed)
    chips = int(rng.integers(1, 4))
    target = toy(grid=(3, 2), cores_per_router=2, usable_cores=11, defects=((1, 1, 0),))
    mesh = mesh_of(target, chips)
    sites = sites_of(target, mesh)
    cores = int(rng.integers(2, min(sites.count, 10)))
    edges = [
        (int(rng.integers(-1, cores)), np.sort(rng.choice(cores, min(fan, cores), False)).tolist(),
         float(rng.integers(1, 9)))
        for _ in range(2 * cores)
    ]  # fmt: skip
    problem = problem_of(target, multicast(cores, edges), chips)
    home = rng.permutation(sites.count)[:cores]  # a placement that obeys the pins made from it
    places = []
    for core in range(cores):
        x, y = (int(v) for v in sites.xy[home[core]])
        chip = mesh.chip(mesh.router(x, y))
        places.append([f"{x},{y},{sites.slot[home[core]]}", f"{x},{y}", f"chip:{chip}", ""][
            int(rng.integers(4))])  # fmt: skip
    pins = parse_pins(";".join(f"p{k}@{place}" for k, place in enumerate(places) if place))
    names = [f"p{k}" for k in range(cores)]
    cores_of = [np.array([k]) for k in range(cores)]
    return replace(problem, zones=zones_of(pins, names, cores_of, cores, sites, mesh))


def solved(engine: str, problem: Problem) -> IntArray:
    start = settled(problem.zones, problem.sites.xy, np.arange(problem.cores))
    if engine == "annealing":
        return anneal(problem, 1, 50_000, Watch(60.0)).site
    if engine in ("flows", "levels"):
        return spread(Flows.of(problem), 1, Work(50, 5, 5), Watch(60.0)).site
    if engine == "cp-sat":
        return solve(problem, start, 0.0, 0.2, 0, Watch(20.0)).site
    if engine == "tabu":
        pairs = quadratic(problem)
        return start if pairs is None else assign(pairs, start, 0, "low").site
    placed = place(problem, 1, "low", 60.0)
    key = problem.sites.router * problem.sites.slots + problem.sites.slot
    return np.searchsorted(key, placed.router * problem.sites.slots + placed.location[:, 2])


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), fan=st.sampled_from([1, 3]))
def test_every_engine_keeps_cores_in_their_zones(engine: str, seed: int, fan: int) -> None:
    problem = random_problem(seed, fan)
    with pytest.MonkeyPatch.context() as patch:
        if engine == "levels":
            patch.setattr(huge, "TOP", 1)
        site = solved(engine, problem)
    assert is_legal(problem, site)
    assert problem.zones is None or problem.zones.permits(site)


@pytest.mark.parametrize("seed", range(4))
def test_with_pins_the_exact_engines_find_the_best_placement_that_obeys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = toy(grid=(3, 2), usable_cores=6)
    edges = [(int(rng.integers(-1, 4)), [int(rng.integers(4))], float(rng.integers(1, 9)))
             for _ in range(9)]  # fmt: skip
    problem = problem_of(target, multicast(4, edges))
    zones = Zones(np.array([0, -1, 1, -1]), np.zeros((2, 6), bool))
    zones.allowed[0, 5] = zones.allowed[1, [1, 2]] = True
    problem = replace(problem, zones=zones)
    best = min(
        cost_of(problem, site)
        for choice in itertools.permutations(range(6), 4)
        if zones.permits(site := np.array(choice))
    )
    for engine in ("cp-sat", "tabu", "all"):
        assert cost_of(problem, solved(engine, problem)) == best, engine


LARGE, SMALL = (20, 100, 60, 10), (8, 8, 8, 8)


def mapped(pins: str, chips: int = 1, sizes: tuple[int, ...] = LARGE) -> tuple[Mapping, Deployment]:
    network = nets.mlp(sizes)
    target = load("toy-mesh")
    retiming = nets.longest_path_retiming(expand(network))
    options = MapOptions(effort="low", pins=parse_pins(pins))
    mapping = map_network(network, retiming, target, chips, None, options)
    done = deployment(network, retiming, target, chips, mapping)
    return mapping, replace(done, provenance={"options": {"pin": pins}})


def places(mapping: Mapping, name: str) -> set[tuple[int, ...]]:
    rows = [row for row in mapping.report["cores"] if name in row["populations"]]
    return {tuple(row["location"]) for row in rows}


def test_a_mapped_network_obeys_and_the_checker_agrees() -> None:
    mapping, done = mapped("n0@chip:1;n2@6,2,0", chips=2)
    assert all(4 <= x < 8 for x, _, _ in places(mapping, "n0"))
    assert places(mapping, "n2") == {(6, 2, 0)}
    assert verify(done).checked["pins"] == 2 + len(places(mapping, "n0")) + 1
    moved = {"options": {"pin": "n0@chip:0;n2@6,2,0"}}
    report = examine(replace(done, provenance=moved))
    assert set(report.broken) == {"pins"}
    assert "chip:0" in str(report.violations[0])


@pytest.mark.parametrize("pin", [7, "nobody@0,0", "out", "@@", "n0@1,2,3,4"])
def test_the_checker_names_recorded_pins_that_are_none(pin: object) -> None:
    _, done = mapped("")
    report = examine(replace(done, provenance={"options": {"pin": pin}}))
    assert set(report.broken) == {"pins"}


def test_populations_with_different_pins_share_no_core() -> None:
    free, _ = mapped("", 1, SMALL)
    assert free.report["cores_used"] == 1
    apart, _ = mapped("n0@0,0;n2@3,3", 1, SMALL)
    assert places(apart, "n0") == {(0, 0, 0)}
    assert places(apart, "n2") == {(3, 3, 0)}
    together, _ = mapped(";".join(f"{n}@2,2" for n in ("n0", "n1", "n2")), 1, SMALL)
    assert places(together, "n0") == places(together, "n2") == {(2, 2, 0)}


@pytest.mark.parametrize(
    ("pins", "text"),
    [
        ("n0@9,0", "outside the machine"),
        ("n0@0,0,1", "slot below 1"),
        ("n0@chip:1", "chip:0 to chip:0"),
        ("nobody@0,0", "no such population"),
        ("in@0,0", "inputs enter at topology.host_router"),
        ("n0@0,0;n2@0,0,0", "3 cores"),
    ],
)
def test_impossible_pins_are_one_error_that_names_them(pins: str, text: str) -> None:
    with pytest.raises(OptionError, match=text) as found:
        mapped(pins)
    assert found.value.where.startswith("--pin ")
    assert found.value.found
    assert found.value.allowed
    assert found.value.remedy


def test_defective_cores_and_crowded_places_are_refused() -> None:
    target = toy(defects=((1, 0, 0),), usable_cores=15)
    mesh = mesh_of(target, 1)
    sites = sites_of(target, mesh)
    with pytest.raises(OptionError, match=r"(?s)works and may be used.*nearest: .*0,0,0"):
        zones_of((Pin("a", x=1, y=0),), ["a"], [np.array([0])], 1, sites, mesh)
    with pytest.raises(OptionError, match=r"(?s)found: 3 cores.*allowed: 1 usable core at 0,0"):
        zones_of((Pin("a", x=0, y=0),), ["a"], [np.arange(3)], 3, sites, mesh)


@pytest.mark.parametrize("text", ["a", "a@", "@1,2", "a@1", "a@1,2,3,4", "a@chip:x", "a@-1,0"])
def test_what_is_no_pin_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="not a pin"):
        CompileOptions(pin=text)


def test_two_places_for_one_population_and_pins_with_phases_are_refused() -> None:
    with pytest.raises(OptionError, match="pinned to two places"):
        CompileOptions(pin="a@0,0;a@0,1")
    with pytest.raises(OptionError, match="in phases cannot be pinned"):
        CompileOptions(pin="a@0,0", phases="auto")


@pytest.mark.parametrize("text", ["", ";", " a@1,2 ;; a@01,2;"])
def test_pins_are_recorded_as_the_checker_reads_them(text: str) -> None:
    recorded = CompileOptions(pin=text).pin
    assert recorded == ("a@1,2" if "a" in text else None)


def test_names_may_hold_an_at_sign() -> None:
    assert parse_pins(" a@b@1,2 ; c@chip:3;") == (Pin("a@b", x=1, y=2), Pin("c", chip=3))


def layers(pins: str) -> IntArray:
    network = chain(np.random.default_rng(0))
    target = speck()
    retiming = retime(network, target, 4)
    wiring = wire(expand(network), SourceSpace.of(network), retiming.extra_delay, None, set())
    names = [p.name for p in wiring.populations]
    sites = sites_of(target, mesh_of(target, 1))
    one_each = [np.array([k]) for k in range(len(names))]
    zones = zones_of(
        parse_pins(pins), names, one_each, len(names), sites, mesh_of(target, 1)
    )  # fmt: skip
    return place_layers(network, target, wiring, 0, zones)[0].location[:, 2]


def test_whole_layers_are_pinned_to_cores() -> None:
    free = layers("")
    name = [p.name for p in expand(chain(np.random.default_rng(0))).populations][1]
    other = next(slot for slot in range(9) if slot not in free)
    assert layers(f"{name}@0,0,{other}")[1] == other


def test_a_layer_pinned_to_a_core_it_does_not_fit_is_refused() -> None:
    network = chain(np.random.default_rng(0))
    target = speck()
    small = target.model_dump(by_alias=True)
    for memory in small["layers"]["resources"].values():
        memory["capacity"] = (1, *memory["capacity"][1:])
    machine = type(target).model_validate(small)
    retiming = retime(network, machine, 4)
    wiring = wire(expand(network), SourceSpace.of(network), retiming.extra_delay, None, set())
    zones = Zones(np.array([0, -1, -1]), np.eye(1, 9, dtype=bool))
    with pytest.raises(OptionError, match=r"(?s)does not fit the core it is pinned to.*fits core"):
        place_layers(network, machine, wiring, 0, zones)
    assert deployed(network, machine, 4).cores.count == 3
