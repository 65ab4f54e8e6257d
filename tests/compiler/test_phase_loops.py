"""Loops larger than the machine: phases that take turns, bit by bit equal to the reference."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.phase_check import check_equal
from support.phase_networks import phase_network, tiny_machine, with_prices

from snnc.compiler import phases
from snnc.compiler.legalize import legalize
from snnc.compiler.map import MapOptions
from snnc.compiler.phases import sizes
from snnc.compiler.phases.plan import Planner
from snnc.compiler.phases.units import slices_of
from snnc.compiler.verify import examine_phased, verify_phased
from snnc.ir import artifact
from snnc.ir.errors import CapacityError, ModelError, VerificationError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.loop_network import synapses_of
from snnc.ir.neuron import Adaptation, GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.phased import Loop, Member, PhasedDeployment, check_phases
from snnc.ir.target import Target
from snnc.ir.types import ValueType
from snnc.ir.weights import Dense

STEPS = 9
RANGE = StateRange(-(2**31), 2**31 - 1)


def phased(
    network: IntegerNetwork, target: Target, steps: int = STEPS, most: int | None = None
) -> PhasedDeployment:
    legal = legalize(network, target, "auto")
    machine = phases.Machine(target, 1, steps, options=MapOptions(effort="low"))
    program = phases.finish(legal, machine, phases.phase(legal, machine, None, most), {}, {})
    verify_phased(program)
    return program


def recurrent(size: int = 40, delay: int = 1, seed: int = 0, **changes: Any) -> IntegerNetwork:
    """x -> a -> b -> a (late) and a -> a (later); b -> out."""
    rng = np.random.default_rng(seed)

    def dense(name: str, source: str, out: int, inputs: int) -> Linear:
        values = rng.integers(-40, 90, (out, inputs)) * (rng.random((out, inputs)) < 0.3)
        return Linear(name, (source,), Dense(values))

    plain = Neuron(
        "a", ("sum",), (size,), rng.integers(80, 200, (1, size)), Reset("value"),
        Leak(np.array(60000), 16), bias=(GatedBias(rng.integers(0, 60, size), 4),),
        state_range=RANGE,
    )  # fmt: skip
    nodes = (
        Input("x", (8,), ValueType("cnt", 3)),
        dense("w", "x", size, 8),
        Delay("late", ("b",), delay),
        Delay("later", ("a",), delay + 1),
        Delay("old", ("x",), 2),
        dense("back", "late", size, 20),
        dense("self", "later", size, size),
        dense("skip", "old", size, 8),
        Add("sum", ("w", "back", "self", "skip")),
        dataclasses.replace(plain, **changes),
        dense("forth", "a", 20, size),
        dataclasses.replace(
            plain, name="b", inputs=("forth",), shape=(20,),
            thresholds=rng.integers(60, 160, (1, 20)), bias=(),
        ),
        dense("read", "b", 5, 20),
        dataclasses.replace(
            plain, name="end", inputs=("read",), shape=(5,), thresholds=np.array([120]), bias=(),
        ),
        Output("out", ("end",)),
        Output("inside", ("b",)),
    )  # fmt: skip
    return IntegerNetwork("recurrent", nodes)


@pytest.mark.parametrize("delay", [1, 2, 4])
def test_a_loop_takes_turns_for_as_many_steps_as_its_shortest_delay(delay: int) -> None:
    target = with_prices(tiny_machine(2, neurons=12, axons=200, bits=16384))
    program = phased(recurrent(delay=delay), target)
    (loop,) = program.loops
    assert loop.block == delay
    assert loop.last - loop.first >= 3
    assert program.timesteps == STEPS
    assert check_equal(program, 3, STEPS) > 200
    (cost,) = program.report["cost"]["loops"]
    assert cost["turns"] == -(-STEPS // delay)
    images = [row["reload"]["bytes"] for row in program.report["phases"]]
    assert cost["reload_bytes"] == sum(images[loop.first : loop.last])
    assert program.report["cost"]["reload"]["bytes"] == sum(images)
    # 32 bits for each of 60 neurons, out of and into the machine between the turns
    state = (cost["turns"] - 1) * 60 * 4
    assert cost["state_bytes_per_sample"] == 2 * state
    loading = cost["state_loading_per_sample"]
    assert (loading["bytes"], loading["joules"]) == (state, pytest.approx(2e-12 * state))
    total = program.report["cost"]
    one, *_ = total["by_batch"]
    moved = total["reload"]["bytes"] + total["buffer_traffic_bytes_per_sample"] + 2 * state
    assert one["moved_bytes_per_sample"] == moved


@pytest.mark.parametrize(
    "changes",
    [
        {"current": Leak(np.array(50000), 16), "current_range": RANGE},
        {"refractory": 3, "refractory_hold": True},
        {"adaptation": Adaptation("decay", np.array(40), Leak(np.array(60000), 16))},
        {"thresholds": np.array([90, 180, 270]), "reset": Reset("subtract", np.array(90))},
    ],
    ids=["current", "refractory", "adaptation", "counts"],
)
def test_all_states_go_on_where_they_stopped(changes: dict[str, Any]) -> None:
    program = phased(recurrent(**changes), tiny_machine(2, neurons=12, axons=200, bits=16384))
    assert program.loops
    assert check_equal(program, 5, STEPS) > 100


def test_a_network_that_fits_takes_no_turns() -> None:
    program_or_plan = phases.phase(
        legalize(recurrent(), tiny_machine(8, neurons=64, axons=400, bits=262144), "auto"),
        phases.Machine(tiny_machine(8, neurons=64, axons=400, bits=262144), 1, STEPS),
    )
    assert program_or_plan.plan.loops == ()


def test_the_file_keeps_the_turns(tmp_path: Any) -> None:
    program = phased(recurrent(), tiny_machine(2, neurons=12, axons=200, bits=16384))
    artifact.write(program, tmp_path / "loop.snnc")
    again = artifact.read_program(tmp_path / "loop.snnc")
    assert isinstance(again, PhasedDeployment)
    assert (again.loops, again.steps, again.ticks) == (program.loops, STEPS, program.ticks)
    verify_phased(again)
    check_equal(again, 3, STEPS)


def test_the_checker_sees_turns_that_are_too_long() -> None:
    program = phased(recurrent(delay=2), tiny_machine(2, neurons=12, axons=200, bits=16384))
    (loop,) = program.loops
    longer = dataclasses.replace(program, loops=(dataclasses.replace(loop, block=2),), steps=STEPS)
    assert examine_phased(longer).ok
    phases_of = [
        dataclasses.replace(p, schedule=dataclasses.replace(p.schedule, timesteps=3))
        if loop.first <= k < loop.last else p
        for k, p in enumerate(program.phases)
    ]  # fmt: skip
    wrong = dataclasses.replace(
        program, phases=tuple(phases_of), loops=(Loop(loop.first, loop.last, 3),)
    )
    found = examine_phased(wrong)
    assert not found.ok
    assert any("that have not run" in v.found for v in found.violations)
    with pytest.raises(VerificationError):
        verify_phased(wrong)


def test_phases_of_a_loop_in_another_order_are_refused() -> None:
    program = phased(recurrent(), tiny_machine(2, neurons=12, axons=200, bits=16384))
    (loop,) = program.loops
    order = list(range(len(program.phases)))
    order[loop.first : loop.last] = reversed(order[loop.first : loop.last])
    turned = dataclasses.replace(
        program,
        members=tuple(program.members[k] for k in order),
        phases=tuple(program.phases[k] for k in order),
    )
    assert not examine_phased(turned).ok


def test_loops_must_hold_whole_populations() -> None:
    network = recurrent()
    rows = ((Member("a"),), (Member("b"),), (Member("end"),))
    check_phases(network, rows, (Loop(0, 2, 1),))
    for loops in ((), (Loop(0, 1, 1),), (Loop(0, 2, 1), Loop(1, 3, 1)), (Loop(0, 9, 1),)):
        with pytest.raises(ModelError):
            check_phases(network, rows, loops)
    halves = ((Member("a", (0, 20)), Member("b")), (Member("a", (20, 40)),), (Member("end"),))
    check_phases(network, halves, (Loop(0, 2, 1),))


def test_phases_of_a_loop_are_full_and_few_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    target = tiny_machine(2, neurons=12, axons=2000, bits=10**7)
    legal = legalize(recurrent(300), target, "auto")
    measured = []
    plain = sizes.partition

    def counted(*given: Any, **named: Any) -> Any:
        measured.append(given[0].wiring.neurons)
        return plain(*given, **named)

    monkeypatch.setattr(sizes, "partition", counted)
    planner = Planner(legal, phases.Machine(target, 1, STEPS), None, None)
    plan = planner.find()
    (loop,) = plan.loops
    turns = plan.phases[loop.first : loop.last]
    assert len(turns) >= 13
    # Each phase about once: the loop is never measured whole, nor what bounds say is too much.
    assert len(measured) <= len(plan.phases) + 12
    assert max(measured) <= 24
    held = [member for members in turns for member in members]
    parts = [m.neurons(legal.shapes[m.population]) for m in held]
    assert sum(part.stop - part.start for part in parts) == 300 + 20
    synapses = synapses_of(legal, held)
    slices = slices_of((300,), round(300 / 4))
    assert slices[0] == (0, 4)
    for members in turns:
        assert planner.sizer.loop_cores(members, synapses, 2) <= 2
    for members in turns[:-2]:  # the last of a hold b, too
        (member,) = members
        assert member.part is not None
        more = Member(member.population, (member.part[0], member.part[1] + 4))
        assert planner.sizer.loop_cores((more,), synapses, 2) > 2


def test_a_neuron_too_large_for_the_machine_is_still_refused() -> None:
    with pytest.raises(CapacityError, match="neuron"):
        phased(recurrent(), tiny_machine(1, neurons=4, axons=8, bits=8192))


def test_more_phases_than_allowed_are_refused() -> None:
    with pytest.raises(CapacityError, match="phases"):
        phased(recurrent(), tiny_machine(2, neurons=12, axons=200, bits=16384), most=3)


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(5, 40),
    delay=st.integers(1, 3),
    cores=st.integers(1, 2),
)
def test_random_loops_in_turns_are_exact(seed: int, size: int, delay: int, cores: int) -> None:
    target = tiny_machine(cores, neurons=20, axons=200, bits=32768)
    program = phased(recurrent(size, delay, seed), target, steps=7)
    assert len(program.loops) == 1 or len(program.phases) < 4
    check_equal(program, seed, 7)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_random_networks_in_turns_are_exact(seed: int) -> None:
    """Loops among skips, delays, and populations in slices."""
    target = tiny_machine(3, neurons=8, axons=96, bits=8192)
    try:
        program = phased(phase_network(seed, layers=5), target, steps=7)
    except CapacityError as error:
        assert "single neuron" in error.problem  # noqa: PT017
        return
    check_equal(program, seed, 7)
