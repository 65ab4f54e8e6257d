"""Networks larger than the machine: cut into phases, mapped, checked, and run bit by bit equal."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support import nets
from support.phase_check import check_equal
from support.phase_networks import phase_network, tiny_machine, with_prices
from support.random_networks import random_inputs

from snnc.compiler import phases
from snnc.compiler.legalize import legalize
from snnc.compiler.map import MapOptions
from snnc.compiler.phases.choose import Task, choose, first_fit, moved
from snnc.compiler.phases.plan import Planner
from snnc.compiler.phases.report import load_cost
from snnc.compiler.phases.streams import streams
from snnc.compiler.phases.units import Unit, blocks
from snnc.compiler.verify import examine_phased, verify_phased
from snnc.ir.errors import CapacityError, ModelError, VerificationError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input
from snnc.ir.phased import Member, PhasedDeployment, check_phases
from snnc.ir.subnetwork import subnetworks
from snnc.ir.target import Target
from snnc.simulators import functional, reference
from snnc.simulators.phased import run_phases

STEPS = 8


def machine(target: Target, chips: int = 1, steps: int = STEPS) -> phases.Machine:
    return phases.Machine(target, chips, steps, options=MapOptions(effort="low"))


def phased(
    network: IntegerNetwork, target: Target, rates: Any = None, most: int | None = None
) -> PhasedDeployment:
    """Legalized, cut, mapped and verified."""
    legal, where = legalize(network, target, "auto"), machine(target)
    mapping = phases.phase(legal, where, rates, most)
    return phases.finish(legal, where, mapping, {}, {})


@pytest.mark.parametrize(("seed", "cores"), [(2, 7), (7, 6)])
def test_phases_fire_the_spikes_of_the_whole_network(seed: int, cores: int) -> None:
    network, random = phase_network(seed), np.random.default_rng(seed)
    senders = [*network.of_type(Input), *network.populations]
    rates = {node.name: 3 * random.random(network.shapes[node.name]) for node in senders}
    program = phased(network, tiny_machine(cores), rates)
    assert 2 <= len(program.phases) <= 6
    assert len(program.phases) >= program.report["plan"]["phases_lower_bound"]
    assert all(phase.cores.count <= cores for phase in program.phases)
    assert any(member.part for row in program.members for member in row)
    energy = [row["report"]["traffic"]["energy"] for row in program.report["phases"]]
    assert all(found["total_j"] > 0 for found in energy)
    verify_phased(program)
    assert check_equal(program, seed) > 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_random_networks_on_random_machines(seed: int) -> None:
    target = tiny_machine(3 + seed % 8, 8 + seed % 3 * 8, 64 + seed % 2 * 64, 4096 << seed % 3)
    try:
        program = phased(phase_network(seed + 1000), target)
    except CapacityError as error:
        assert "loop" in error.problem or "single neuron" in error.problem  # noqa: PT017
        return
    verify_phased(program)
    check_equal(program, seed)


def test_the_networks_of_random_cuts_compute_the_whole() -> None:
    """Parts of populations, populations computed twice, loops: without a machine."""
    sliced = again = 0
    for seed in range(40):
        network, rng = phase_network(seed), np.random.default_rng(seed)
        cut: list[list[Member]] = [[]]
        for block in blocks(network):
            members = [Member(name) for name in block.populations]
            size = network.shapes[block.name][0]
            if not block.loop and len(network.shapes[block.name]) == 1 and rng.random() < 0.4:
                at = int(rng.integers(1, size))
                cut[-1].append(Member(block.name, (0, at)))
                cut.append([])
                members = [Member(block.name, (at, size))]
                sliced += 1
            cut[-1] += members
            if rng.random() < 0.4:
                cut.append([])
        chosen = [row for row in cut if row]
        first = next((m for m in chosen[0] if m.part is None), None)
        if first is not None and len(chosen) > 1 and all(m != first for m in chosen[-1]):
            chosen[-1].append(first)
            again += 1
        rows = tuple(tuple(row) for row in chosen)
        parts = subnetworks(network, rows)
        data = random_inputs(network, seed, steps=STEPS)
        truth = reference.run(network, data)
        found = run_phases(
            _bare(network, rows, parts),
            data,
            lambda n, fed, shown: functional.run(parts[n], fed, shown),  # noqa: B023
        )
        assert not any(truth.mismatches(found).values()), seed
    assert sliced > 10
    assert again > 10


def _bare(network: IntegerNetwork, rows: Any, parts: Any) -> PhasedDeployment:
    """Phases without a machine, of which only the networks are looked at."""
    schedule = dataclasses.make_dataclass("Schedule", ["timesteps"])(STEPS)
    phase = dataclasses.make_dataclass("Phase", ["network", "schedule", "target", "chips"])
    made: Any = tuple(phase(part, schedule, None, 1) for part in parts)
    target: Any = None
    return PhasedDeployment(network, target, 1, rows, made, {}, {})


def test_a_layer_larger_than_the_machine_is_cut_along_its_channels() -> None:
    program = phased(nets.small_conv(), tiny_machine(8, neurons=8, axons=300))
    parts = [m for row in program.members for m in row if m.population == "n1"]
    assert [m.part for m in parts] == [(k, k + 64) for k in range(0, 256, 64)]
    shapes = [phase.network.shapes[m.name] for phase, m in zip(program.phases, parts, strict=False)]
    assert shapes == [(1, 8, 8)] * 4
    assert check_equal(program, 0) > 0


def test_the_plan_tells_how_far_it_is_from_the_bound() -> None:
    target = tiny_machine(8, neurons=8, axons=300)
    network = legalize(nets.small_conv(), target, "auto")
    plan = Planner(network, machine(target), None, None).find().report
    assert plan["phases"] == plan["phases_lower_bound"] == 5
    assert plan["fewest"] == "proven"
    few = tiny_machine(4, neurons=32, axons=400, bits=65536)
    plan = Planner(nets.residual(), machine(few), None, None).find().report
    assert (plan["phases"], plan["phases_lower_bound"], plan["fewest"]) == (3, 2, "not proven")


def test_what_is_cheaper_to_compute_again_is_not_kept() -> None:
    """Two populations of 600 cannot be together; both read one that is cheap to load."""
    units = [Unit(k, (Member(name),), 1.0) for k, name in enumerate("abcd")]
    task = Task(
        units=units, sizes=[2.0, 6.0, 6.0, 1.0], images=[10, 500, 500, 5],
        before=[(0, 1), (0, 2), (1, 3), (2, 3)],
        makers={"x": [], "a": [0], "b": [1], "c": [2]},
        users={"x": [0], "a": [1, 2], "b": [3], "c": [3]},
        bytes={"x": 3, "a": 100, "b": 7, "c": 9}, capacity=9, never=[],
    )  # fmt: skip
    found = choose(task, 2)
    assert found is not None
    assert found.status == "optimal"
    held = [set(row) for row in found.phases]
    assert 0 in held[0]
    assert 0 in held[1]  # read again it would cost 100 + 100, loaded again 10 and its input 3
    assert found.moved == moved(task, found.phases) < first_fit(task).moved


def test_the_cheaper_of_two_cuts_is_taken() -> None:
    """A chain that must be cut once: where the fewest bytes cross."""
    names = "abcde"
    task = Task(
        units=[Unit(k, (Member(name),), 1.0) for k, name in enumerate(names)],
        sizes=[1.0] * 5, images=[1000] * 5,
        before=[(k, k + 1) for k in range(4)],
        makers={name: [k] for k, name in enumerate(names)},
        users={name: [k + 1] if k < 4 else [] for k, name in enumerate(names)},
        bytes=dict(zip(names, [50, 40, 10, 30, 20], strict=True)), capacity=4, never=[],
    )  # fmt: skip
    found = choose(task, 2)
    assert found is not None
    assert found.phases == ((0, 1, 2), (3, 4))
    assert found.moved == 20


def test_a_loop_in_turns_is_one_unit_that_reads_in_each_of_its_phases() -> None:
    """a -> loop of three phases -> b -> c; the loop and c read x as well."""
    turns = tuple((Member("l", (4 * k, 4 * k + 4)),) for k in range(3))
    units = [Unit(0, (Member("a"),), 1.0), Unit(1, (), 1.0, turns), Unit(2, (Member("b"),), 1.0),
             Unit(3, (Member("c"),), 1.0)]  # fmt: skip
    task = Task(
        units=units, sizes=[3.0, 9.0, 3.0, 3.0], images=[500, 0, 500, 500],
        before=[(0, 1), (1, 2), (2, 3)],
        makers={"x": [], "a": [0], "l": [1], "b": [2]},
        users={"x": [1, 3], "a": [1], "l": [2], "b": [3]},
        bytes={"x": 5, "a": 7, "l": 11, "b": 13}, capacity=9, never=[],
    )  # fmt: skip
    assert choose(task, 2) is None
    found = choose(task, 3)
    assert found is not None
    assert found.phases == ((0,), (1,), (2, 3))
    x, a, loop = 5 * (3 + 1), 7 * (3 + 1), 11 * (1 + 1)
    assert found.moved == first_fit(task).moved == x + a + loop


def test_sets_that_do_not_fit_are_not_chosen_again() -> None:
    task = Task(
        units=[Unit(k, (Member(name),), 1.0) for k, name in enumerate("ab")],
        sizes=[1.0, 1.0], images=[1, 1], before=[], makers={}, users={}, bytes={}, capacity=4,
        never=[frozenset({0, 1})],
    )  # fmt: skip
    assert choose(task, 1) is None
    assert len(first_fit(task).phases) == 2


def test_rates_decide_how_many_bytes_a_stream_takes() -> None:
    network = nets.mlp((10, 20, 5))
    quiet = streams(network, 16, {"in": np.zeros(10), "n0": np.full(20, 0.1), "n1": np.zeros(5)})
    assert quiet["n0"].raster_bytes == 40
    assert quiet["n0"].event_bytes == 2 * 2  # 4 bits of step and 5 of neuron
    assert quiet["n0"].bytes == 4
    assert streams(network, 16, None)["n0"].bytes == 40


def test_without_patience_there_is_a_plan_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    target = tiny_machine(8)
    network = legalize(phase_network(2), target, "auto")
    patient = Planner(network, machine(target), None, None).find()
    monkeypatch.setattr("snnc.compiler.phases.plan.ROUNDS", 0)
    planner = Planner(network, machine(target), None, None)
    hasty = planner.find()
    assert hasty.report["solver"] == "first fit"
    assert len(hasty.phases) >= len(patient.phases)
    assert all(planner.sizer.cores(members) <= 8 for members in hasty.phases)


def test_a_phase_that_cannot_be_mapped_is_cut_again() -> None:
    target = tiny_machine(4, neurons=32, axons=400, bits=65536)
    planner = Planner(nets.mlp((12, 20, 16, 8)), machine(target), None, None)
    plan, error = planner.find(), CapacityError("does not fit after all")
    assert len(plan.phases) == 1
    planner.refuse(plan, 0, error)
    again = planner.find()
    assert len(again.phases) == 2
    assert len(again.phases[0]) == 1 or len(again.phases[1]) == 1
    single = 0 if len(again.phases[0]) == 1 else 1
    with pytest.raises(CapacityError, match="after all"):
        planner.refuse(again, single, error)


def test_loops_stay_together() -> None:
    found = blocks(nets.two_population_loop())
    assert [block.populations for block in found] == [("a", "b")]
    assert found[0].loop
    alone = {block.name: block.loop for block in blocks(nets.recurrent())}
    assert alone == {"a": True, "b": False}


def test_a_loop_that_fits_no_phase_takes_turns() -> None:
    program = phased(nets.two_population_loop(), tiny_machine(4))
    assert len(program.loops) == 1
    assert {m.population for row in program.members for m in row} == {"a", "b"}


def test_more_phases_than_allowed_are_refused() -> None:
    with pytest.raises(CapacityError, match="more phases than allowed") as caught:
        phased(nets.small_conv(), tiny_machine(4, neurons=8, axons=300), most=3)
    assert "at least 9 phases, by neurons" in caught.value.found
    assert "--phases auto" in caught.value.remedy


def test_a_neuron_that_fits_no_core_fits_no_phase() -> None:
    with pytest.raises(CapacityError, match="a single neuron does not fit"):
        phased(nets.mlp((100, 20, 5)), tiny_machine(4, axons=50))


def test_phases_leave_a_neuron_fewer_cores_to_reach() -> None:
    """Every neuron may send to one core; in one phase a layer must reach those of the next."""
    raw = tiny_machine(8, neurons=8, axons=300).model_dump(mode="python", by_alias=True)
    raw["core"]["max_targets_per_neuron"] = 1
    network = nets.mlp((12, 20, 16, 8))
    program = phased(network, Target.model_validate(raw))
    held = [[member.name for member in row] for row in program.members]
    assert held == [["n0"], ["n1", "n2"]]  # n1 takes two cores, n2 one
    assert check_equal(program, 3) > 0


CHAIN = (Member("a"),), (Member("b"),), (Member("c"),)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ((CHAIN[1], CHAIN[0], CHAIN[2]), "only a later phase makes"),
        (CHAIN[:2], "in no phase"),
        ((*CHAIN, ()), "holds populations, each once"),
        ((*CHAIN, (Member("d2"),)), "not a population"),
        ((CHAIN[0], CHAIN[1], (Member("c", (0, 90)),)), "not a part of it"),
        ((CHAIN[0], CHAIN[1], (Member("c", (0, 50)),), (Member("c", (40, 80)),)), "two parts"),
        ((CHAIN[0], CHAIN[1], (Member("c", (0, 50)),)), "in no phase"),
    ],
)
def test_phases_that_cannot_run_are_refused(rows: Any, problem: str) -> None:
    check_phases(nets.residual(), CHAIN)
    with pytest.raises(ModelError, match=problem):
        check_phases(nets.residual(), rows)


@pytest.fixture(scope="module")
def residual() -> PhasedDeployment:
    return phased(nets.residual(), tiny_machine(4, neurons=32, axons=400, bits=65536))


def test_the_checker_sees_a_phase_with_another_network(residual: PhasedDeployment) -> None:
    last = residual.phases[-1]
    nodes = list(last.network.nodes)
    for number, node in enumerate(nodes):
        if node.name == "skip":
            weights = dataclasses.replace(node.weights, values=node.weights.values * 2)
            nodes[number] = dataclasses.replace(node, weights=weights)
        elif node.name == "c":
            nodes[number] = dataclasses.replace(node, thresholds=node.thresholds + 1)
    other = dataclasses.replace(last, network=IntegerNetwork("other", tuple(nodes)))
    broken = dataclasses.replace(residual, phases=(*residual.phases[:-1], other))
    found = examine_phased(broken)
    texts = [str(v) for v in found.violations if v.rule == "phases"]
    assert any("synapses" in text for text in texts)
    assert any("another thresholds" in text for text in texts)
    with pytest.raises(VerificationError, match="phases hold the whole network"):
        verify_phased(broken)


def test_the_checker_sees_spikes_that_nobody_keeps() -> None:
    network, rows = nets.residual(), ((Member("a"), Member("b")), (Member("c"),))
    first, second = subnetworks(network, rows)
    assert examine_phased(_bare(network, rows, (first, second)), phases_too=False).ok
    deaf = tuple(node for node in first.nodes if node.name != "b to host")
    parts = IntegerNetwork("deaf", deaf), second
    found = examine_phased(_bare(network, rows, parts), phases_too=False)
    assert [str(v) for v in found.violations] == [
        "[phases] phase 2, input b: nobody heard it (allowed: an output in an earlier phase)"
    ]


def test_the_checker_sees_phases_of_different_machines(residual: PhasedDeployment) -> None:
    other = dataclasses.replace(residual.phases[0], chips=2)
    broken = dataclasses.replace(residual, phases=(other, *residual.phases[1:]))
    assert "phases" in examine_phased(broken, phases_too=False).broken


def test_prices_of_loading_come_from_the_target(residual: PhasedDeployment) -> None:
    reload = residual.report["cost"]["reload"]
    assert reload["bytes"] == sum(row["reload"]["bytes"] for row in residual.report["phases"]) > 0
    assert reload["unpriced"] == ["latency", "energy"]
    priced = load_cost(with_prices(residual.target), reload["bytes"])
    assert priced["seconds"] == pytest.approx(reload["bytes"] * 1e-9)
    assert priced["joules"] == pytest.approx(reload["bytes"] * 2e-12)
    assert priced["unpriced"] == []


def test_the_plan_is_the_same_every_time() -> None:
    target = tiny_machine(8)
    legal = legalize(phase_network(2), target, "auto")
    first, second = (Planner(legal, machine(target), None, None).find() for _ in range(2))
    assert first == second or (first.phases, first.report) == (second.phases, second.report)
