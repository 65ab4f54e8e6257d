"""A chip that runs on: windows add up to one long sample, in spikes, time and energy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.chains import chain as async_chain
from support.chains import speck
from support.deployed import deployed
from support.random_networks import Options as NetworkOptions
from support.random_networks import random_inputs, random_network
from support.simple_mapping import Options, simple_mapping
from support.small_targets import small_target

from snnc.ir.deployment import Deployment
from snnc.ir.errors import InputError, OptionError
from snnc.ir.nodes import Input
from snnc.ir.types import ValueType
from snnc.ir.wire import WireCode, slots_for
from snnc.simulators import cycle, reference
from snnc.simulators.cycle.account import Account
from snnc.simulators.cycle.streaming import ChipStream
from snnc.simulators.cycle.timing import Fidelity
from snnc.simulators.result import RunResult

FIDELITIES: tuple[Fidelity, ...] = ("none", "transaction", "flit")


def streamed(
    deployment: Deployment, inputs: dict[str, Any], window: int, noc: Fidelity, saved: int
) -> tuple[list[RunResult], Account]:
    """All windows; after ``saved`` of them a new chip goes on from the state of the old one."""
    stream, found = ChipStream(deployment, window, noc), []
    steps = next(iter(inputs.values())).shape[1]
    for number, begin in enumerate(range(0, steps, window)):
        if number == saved:
            state = {name: array.copy() for name, array in stream.state().items()}
            after = ChipStream(deployment, window, noc)
            after.restore(stream.step, state, "memory")
            read = Account.read(vars(stream.account))
            assert read is not None
            after.account, stream = read, after
        part = {name: values[:, begin : begin + window] for name, values in inputs.items()}
        found += stream.advance(part)
    return [*found, *stream.finish()], stream.account


def assert_windows_equal_a_sample(
    deployment: Deployment, inputs: dict[str, Any], window: int, noc: Fidelity, saved: int
) -> None:
    """Against the reference in function, against ``cycle.run`` in time and energy."""
    truth = reference.run(deployment.network, inputs)
    whole = cycle.run(deployment, inputs, noc=noc)
    found, account = streamed(deployment, inputs, window, noc, saved)
    for name, values in truth.outputs.items():
        got = np.concatenate([r.outputs[name] for r in found], axis=1)
        np.testing.assert_array_equal(got, values)
    for name, events in truth.spikes.items():
        parts = [(r.spikes[name], k * window) for k, r in enumerate(found)]
        got = np.concatenate([np.stack([e.step + at, e.index, e.value]) for e, at in parts], axis=1)
        np.testing.assert_array_equal(got, np.stack([events.step, events.index, events.value]))
    timing = whole.timing
    assert timing is not None
    assert account.events == whole.counts
    assert (account.ticks, account.packets, account.hops) == (
        whole.ticks, whole.packets, whole.hops,
    )  # fmt: skip
    assert account.seconds == pytest.approx(timing.seconds[0], rel=1e-12)
    assert account.dynamic_j == pytest.approx(whole.energy.dynamic[0], rel=1e-12)
    assert whole.energy.static is not None
    assert account.static_j == pytest.approx(whole.energy.static[0], rel=1e-12)
    assert (account.limits, account.limited_by) == (timing.limits, timing.limited_by)
    assert account.slowest_tick_cycles == timing.tick_cycles.max()
    assert account.peaks["channel_queue"] == timing.peak_channel_queue
    assert account.peaks["stall_cycles"] == pytest.approx(timing.stall_cycles)
    assert account.deadline_misses == timing.deadline_misses
    assert account.stray_inputs == whole.stray_inputs


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    window=st.integers(1, 5),
    noc=st.sampled_from(FIDELITIES),
    period=st.integers(1, 3),
    saved=st.integers(0, 5),
    fixed=st.booleans(),
)
@example(seed=0, window=1, noc="none", period=3, saved=2, fixed=False)  # less than a tick behind
def test_random_networks(
    seed: int, window: int, noc: Fidelity, period: int, saved: int, fixed: bool
) -> None:
    network = random_network(seed)
    sync: Any = {"sync": "fixed_tick", "tick_s": 50e-9} if fixed else {}
    target = small_target(
        6, 6, 2, payload_bits=12, signed=True, buffer=2, injection=2, receive=2, **sync
    )
    options = Options(neurons_per_core=5, period=period)
    deployment = simple_mapping(network, target, 9, options=options)
    assert_windows_equal_a_sample(
        deployment, random_inputs(network, seed, 1, 9), window, noc, saved
    )


@pytest.mark.parametrize("kind", ["unary", "bitplane"])
@pytest.mark.parametrize("window", [1, 4])
def test_counts_that_take_several_ticks(kind: Any, window: int) -> None:
    """Slots of an input's last step may lie behind its window."""
    network = random_network(5, NetworkOptions(layers=3, width=3))
    nodes = [
        replace(n, type=ValueType("cnt", 4)) if isinstance(n, Input) else n for n in network.nodes
    ]
    network = replace(network, nodes=tuple(nodes))
    codes = {
        node.name: WireCode(kind, slots_for(kind, network.types[node.name].magnitude))
        for node in network.order
        if isinstance(node, Input)
    }
    target = small_target(6, 6, 2, payload_bits=12, signed=True)
    options = Options(neurons_per_core=5, codes=codes)
    deployment = simple_mapping(network, target, 9, options=options)
    inputs = random_inputs(network, 1, 1, 9)
    assert_windows_equal_a_sample(deployment, inputs, window, "transaction", 2)


def test_asynchronous_machines_and_unknown_networks_are_refused() -> None:
    program = deployed(async_chain(np.random.default_rng(0)), speck("drop", 2), 4)
    with pytest.raises(OptionError, match="asynchronous"):
        ChipStream(program, 4)
    network = random_network(1)
    deployment = simple_mapping(network, small_target(6, 6, 2, payload_bits=12, signed=True), 4)
    with pytest.raises(OptionError, match="no such network-on-chip"):
        ChipStream(deployment, 4, "fast")  # type: ignore[arg-type]


def test_states_of_something_else_are_refused() -> None:
    network = random_network(3)
    target = small_target(6, 6, 2, payload_bits=12, signed=True, buffer=2)
    deployment = simple_mapping(network, target, 9, options=Options(neurons_per_core=5, period=2))
    inputs = random_inputs(network, 3, 1, 8)
    stream = ChipStream(deployment, 5, "flit")
    for begin, end in ((0, 5), (5, 8)):
        stream.advance({name: x[:, begin:end] for name, x in inputs.items()})
    good = {name: array.copy() for name, array in stream.state().items()}
    assert good["emitted.tick"].size
    total = deployment.sources.total
    bad = [
        {k: v for k, v in good.items() if k != "ring"},
        good | {"ring": good["ring"][:-1]},
        good | {"cores.v": good["cores.v"].astype(np.float64)},
        good | {"network.turn": good["network.turn"] + 1000},
        good | {"network.turn": good["network.turn"] - 1},
        good | {"network.total": good["network.total"] - 10**9},
        good | {"network.stall_cycles": np.array([np.nan])},
        good | {"emitted.source": good["emitted.source"] + total},
        good | {"emitted.source": np.zeros_like(good["emitted.source"])},
        good | {"emitted.tick": good["emitted.tick"] + 1000},
        good | {"emitted.tick": np.zeros_like(good["emitted.tick"])},
        good | {"emitted.value": good["emitted.value"][:-1]},
        good
        | {f"host.{c}": np.array([v]) for c, v in (("tick", 16), ("source", -1), ("value", 1))},
        good | {f"host.{c}": np.array([v]) for c, v in (("tick", 0), ("source", 0), ("value", 1))},
        good
        | {
            f"host.{c}": np.array([v]) for c, v in (("tick", 16), ("source", 0), ("value", 1 << 40))
        },
    ]
    for state in bad:
        with pytest.raises(InputError, match="not of this program"):
            ChipStream(deployment, 5, "flit").restore(8, state, "c.npz")
    for step in (-1, 1 << 40, 4000):
        with pytest.raises(InputError, match="not of this program"):
            ChipStream(deployment, 5, "flit").restore(step, good, "c.npz")
    ChipStream(deployment, 5, "flit").restore(8, good, "c.npz")


def test_accounts_that_are_none_are_not_read() -> None:
    good = vars(Account())
    assert Account.read(good) == Account()
    for name, value in (
        ("ticks", -1), ("ticks", 1.5), ("ticks", True), ("seconds", float("nan")), ("seconds", "1"),
        ("events", [1]), ("events", {"a": -1}), ("notes", None), ("unpriced", [1]),
        ("static_j", "x"), ("noc", 3), ("more", 1),
    ):  # fmt: skip
        assert Account.read(good | {name: value}) is None, name
    for told in (None, [], 1, "x"):
        assert Account.read(told) is None
