"""Tables of the emulated chip: narrow or wide, in parts or whole, shared or not, they say the same.

What they are compared with is written in plain loops here.
"""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_networks import random_inputs, random_network
from support.simple_mapping import Options, simple_mapping
from support.small_targets import small_target

from snnc import equality, running, tallies
from snnc.ir.core_tables import share
from snnc.ir.deployment import Deployment
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.jit import lean_kernel
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators import cycle, functional, neuron_kernel, reference
from snnc.simulators.cycle import axons, chip, noc, plain, reaches
from snnc.simulators.cycle.axons import Packets
from snnc.simulators.cycle.chip import Loaded
from snnc.simulators.cycle.counting import Activity
from snnc.simulators.cycle.ends import Releases
from snnc.simulators.cycle.energy import ALL_IN, KINDS, ROW_KINDS, row_kinds
from snnc.simulators.cycle.logbook import Logbook
from snnc.simulators.cycle.planning import Senders, SomaCost, plan_host

STEPS = 4


def deployed(seed: int, shared: bool = False) -> Deployment:
    """A random network, its neurons dealt to cores like cards; rows in two encodings."""
    target = small_target(6, 6, 2, payload_bits=12, signed=True, receive=8)
    options = Options(neurons_per_core=6, interleave=bool(seed % 2))
    found = simple_mapping(random_network(seed), target, STEPS, options=options)
    encoding = np.random.default_rng(seed).integers(0, 2, found.cores.axon_source.size)
    cores = replace(found.cores, axon_encoding=encoding.astype(np.int8))
    return replace(found, cores=share(cores) if shared else cores)


def loaded(deployment: Deployment) -> Loaded:
    found = cycle.load(deployment)
    assert isinstance(found, Loaded)
    return found


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), shared=st.booleans())
def test_reaches_are_the_axons_of_the_source_at_the_cores_that_get_a_copy(
    seed: int, shared: bool
) -> None:
    deployment = deployed(seed, shared)
    cores, routes = deployment.cores, deployment.routes
    found, expected = reaches.find(deployment), []
    for source in range(deployment.sources.total):
        assert found.ptr[source] == len(expected)
        for net in routes.send_net[routes.send_ptr[source] : routes.send_ptr[source + 1]]:
            part = slice(routes.delivery_ptr[net], routes.delivery_ptr[net + 1])
            for core in routes.delivery_core[part].tolist():
                mine = range(int(cores.axon_ptr[core]), int(cores.axon_ptr[core + 1]))
                expected.append([a for a in mine if cores.axon_source[a] == source])
    ranges = zip(found.first.tolist(), found.last.tolist(), strict=True)
    assert [list(range(a, b)) for a, b in ranges] == expected


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), shared=st.booleans())
def test_counts_of_packets_are_those_of_following_every_packet(seed: int, shared: bool) -> None:
    """Cores of one population and of several, positive and negative axons, two encodings."""
    deployment = deployed(seed, shared)
    rng = np.random.default_rng(seed)
    sign = rng.integers(-1, 2, deployment.cores.axon_source.size).astype(np.int8)
    deployment = replace(deployment, cores=replace(deployment.cores, axon_sign=sign))
    chip, routes, cores = loaded(deployment), deployment.routes, deployment.cores.plain()
    names, owner = chip.layout.names, chip.layout.owner
    packets = rng.integers(0, 4, deployment.sources.total)
    layers = {kind: np.zeros(len(names), np.int64) for kind in KINDS}
    places = {kind: np.zeros(cores.count + 1, np.int64) for kind in KINDS}
    kinds, heard = row_kinds(deployment), chip.program.reaches
    net_packets = np.zeros(routes.nets, np.int64)
    for source, times in enumerate(packets.tolist()):
        mine = owner[source]
        for net in routes.send_net[routes.send_ptr[source] : routes.send_ptr[source + 1]]:
            net_packets[net] += times
            sender = int(routes.net_core[net])
            kind: Any = "message_out" if sender >= 0 else "host_in"
            layers[kind][mine] += times
            places[kind][sender] += times  # the host is the last one
            part = slice(routes.delivery_ptr[net], routes.delivery_ptr[net + 1])
            layers["message_in"][mine] += times * routes.delivery_core[part].size
            np.add.at(places["message_in"], routes.delivery_core[part], times)
        for reach in range(heard.ptr[source], heard.ptr[source + 1]):
            for axon in range(heard.first[reach], heard.last[reach]):
                if sign[axon] < 0:
                    continue
                core = int(np.searchsorted(cores.axon_ptr, axon, side="right")) - 1
                row = slice(int(cores.synapse_ptr[axon]), int(cores.synapse_ptr[axon + 1]))
                fed = cores.neuron_source[cores.neuron_ptr[core] + cores.synapse_target[row]]
                for kind in (ROW_KINDS[kinds[axon]], ALL_IN):
                    np.add.at(layers[kind], owner[fed], times)
                    places[kind][core] += times * fed.size
    segments = np.zeros(chip.program.segment_offset.size, np.int64)
    found = chip.counter.count(Activity(packets, segments, segments, 0))
    assert np.array_equal(found.packets, net_packets)
    for number, kind in enumerate(KINDS):
        if not kind.startswith("hop"):
            assert np.array_equal(found.by_layer[number], layers[kind]), kind
            assert np.array_equal(found.by_core[number], places[kind]), kind
    each = packets @ chip.counter.per_packet
    assert np.array_equal(each, found.total)


def test_some_cores_of_these_networks_have_one_population_and_some_several() -> None:
    found = [loaded(deployed(seed)).counter.rows for seed in range(4)]
    assert any((rows.only >= 0).any() and (rows.only < 0).any() for rows in found)
    assert any(rows.entries.size for rows in found)


@pytest.mark.parametrize("shared", [False, True])
def test_tables_built_in_parts_are_those_built_at_once(
    monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    deployment = deployed(7, shared)
    whole = loaded(deployment).program.axons
    for module in ("axons", "check"):
        monkeypatch.setattr(f"snnc.simulators.cycle.{module}.AT_ONCE", 3)
    parts = loaded(deployment).program.axons
    assert whole.group_ptr[-1] > 3
    for name in axons.Axons._fields:
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name


def pairs(weight: int) -> Deployment:
    """Four inputs and eight neurons, two of them on a core, whose rows are all alike."""
    weights = np.zeros((8, 4), np.int64)
    weights[np.arange(8), np.arange(8) // 2] = weight
    nodes = (
        Input("x", (4,), BIN),
        Linear("w", ("x",), Dense(weights)),
        Neuron("n", ("w",), (8,), np.array([weight]), Reset("value")),
        Output("out", ("n",)),
    )
    target = small_target(3, 3)
    found = simple_mapping(
        IntegerNetwork("pairs", nodes), target, STEPS, options=Options(neurons_per_core=2)
    )
    return replace(found, cores=share(found.cores))


@pytest.mark.parametrize(("bits", "dtype"), [(29, np.int32), (30, np.int64)])
def test_shared_words_are_narrow_as_long_as_weight_and_offset_fit(bits: int, dtype: Any) -> None:
    """A weight of 2^28 takes 30 bits with its sign, offsets 0 and 1 two more."""
    deployment = pairs(1 << (bits - 1))
    words = loaded(deployment).program.axons
    assert words.word.dtype == dtype
    assert words.word_ptr.size - 1 == 1  # the one shape of all four rows
    inputs = {"x": np.array([[[1, 0, 1, 1]] * STEPS])}
    found = cycle.run(deployment, inputs).result
    assert not any(found.mismatches(reference.run(deployment.network, inputs)).values())
    assert found.spike_counts["n"] == 6 * STEPS


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), mixer=st.sampled_from([0, 1, int(plain.MIXER)]))
def test_segments_share_parameters_only_if_all_of_them_are_equal(seed: int, mixer: int) -> None:
    """A mixer of 0 gives equal signatures to what is not equal."""
    rng = np.random.default_rng(seed)
    ptr = np.concatenate([[0], np.cumsum(rng.integers(1, 4, 12))])
    rows = rng.integers(0, 2, ptr[-1]).astype(np.int32)
    packed: Any = NeuronRows(rows, rows + 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "MIXER", np.int64(mixer))
        at, row, kind = plain._shared(packed, ptr)
    for segment, first in enumerate(at.tolist()):
        mine = rows[ptr[segment] : ptr[segment + 1]]
        assert np.array_equal(row[first : first + mine.size], mine)
        assert np.array_equal(kind[first : first + mine.size], np.full(mine.size, mine[0] + 5))
    if mixer == int(plain.MIXER):
        different = {rows[a:b].tobytes() for a, b in itertools.pairwise(ptr)}
        assert row.size == sum(len(each) // 4 for each in different)


class NeuronRows(NamedTuple):
    """What ``plain._shared`` reads of ``PackedNeurons``."""

    row: Any
    kind: Any


class Due(NamedTuple):
    """What the events of the present time need of ``NocState``."""

    due: Any


@lean_kernel
def in_order(state: Due, codes: Any, late: Any, found: Any) -> None:
    """Mark ``codes``; take all out, marking one of ``late`` after each as long as there are any."""
    for code in codes:
        noc._mark(state, code)
    for i in range(found.size):
        found[i] = noc._next_due(state)
        if i < late.size:
            noc._mark(state, late[i])


@pytest.mark.parametrize("places", [3, 64, 65, 5000, 600_000])
def test_the_lowest_event_of_the_present_time_is_the_next(places: int) -> None:
    """600,000 places have more than one word in the last level."""
    rng = np.random.default_rng(places)
    state = Due(np.zeros((3, -(-places // 64)), np.uint64))
    codes = rng.permutation(places)[: min(places, 400)]
    late, codes = codes[: codes.size // 3], codes[codes.size // 3 :]
    found = np.zeros(late.size + codes.size + 1, np.int64)
    in_order(state, codes, late, found)
    waiting, expected = set(codes.tolist()), []
    for i in range(found.size):
        expected.append(min(waiting, default=-1))
        waiting.discard(expected[-1])
        if i < late.size:
            waiting.add(int(late[i]))
    assert found.tolist() == expected
    assert not state.due.any()


def test_every_host_port_sends_its_packets_one_after_the_other() -> None:
    """Five sources on two host ports behind three cores; values of several packets."""
    send_ptr = np.array([0, 1, 3, 3, 5, 6])
    send_net, net_sender = np.array([1, 0, 1, 0, 1, 0]), np.array([3, 4], np.int32)
    packets = Packets(send_ptr, np.array([0, 0, 0, 1, 1], np.int32), np.array([1, 2]))
    senders = Senders(
        np.zeros(4, np.int64), np.zeros(2), packets, send_net, net_sender, np.zeros(3)
    )
    source, value = np.array([9, 0, 1, 2, 3, 4, 9]), np.array([9, 1, 2, 5, -3, 4, 9])
    expected: dict[int, list[int]] = {3: [], 4: []}
    for who, what in zip(source[1:6], value[1:6], strict=True):
        limit = packets.limit[packets.owner[who]]
        for _ in range(-(-abs(int(what)) // int(limit))):
            for send in range(send_ptr[who], send_ptr[who + 1]):
                expected[int(net_sender[send_net[send]])].append(send)
    releases = Releases(np.array([0, 2, 3, 7, 0, 0]), np.full(40, -1, np.int32), np.zeros(40))
    plan: Callable[..., None] = plan_host.py_func  # type: ignore[attr-defined]
    plan(senders, SomaCost(0, 0, 0, 0, 0.1, 1), source, value, 1, 6, releases, 7)
    ends = np.cumsum([7, len(expected[3]), len(expected[4])])
    assert releases.ptr.tolist() == [0, 2, 3, *ends.tolist()]
    assert releases.send[7 : ends[-1]].tolist() == [*expected[3], *expected[4]]
    for port in range(2):
        times = releases.time[ends[port] : ends[port + 1]]
        assert times.tobytes() == np.cumsum(np.full(times.size, 0.1)).tobytes()
    assert (releases.send[ends[-1] :] == -1).all()


@pytest.mark.parametrize("last", [127, 1 << 15, 1 << 40])
def test_lists_of_spikes_are_as_wide_as_ticks_and_values_need(last: int) -> None:
    deployment = pairs(1)
    book = Logbook(deployment, loaded(deployment).layout, 1, STEPS)
    first = deployment.sources.first["n"]
    source, value = np.array([first + 3, first, first + 7], np.int32), np.array([-128, last, -last])
    tick = deployment.schedule.offset["n"] + last
    book.write_ticks(0, tick, np.array([0, 2, 3]), source, value)
    book._outputs.clear()  # that of so many steps would be as long as they are
    found = book.result(frozenset(["n"]))
    events = found.spikes["n"]
    assert events.index.tolist() == [0, 3, 7]
    assert events.value.tolist() == [last, -128, -last]
    assert found.spike_counts["n"].tolist() == [2 * last + 128]
    assert events.step.tolist() == np.array([last, last, last + 1]).astype(np.int32).tolist()


@pytest.mark.parametrize("offset", [180, 1 << 40])
def test_a_list_without_spikes_has_no_type_that_a_late_population_leaves(offset: int) -> None:
    """Nobody emits, or only somebody else in an early tick."""
    deployment = pairs(1)
    late = replace(deployment.schedule, offset={"x": 0, "n": offset})
    deployment = replace(deployment, schedule=late)
    layout = loaded(pairs(1)).layout
    for source in ([], [deployment.sources.first["x"]]):
        book = Logbook(deployment, layout, 1, STEPS)
        ptr = np.array([0, len(source)])
        book.write_ticks(0, 3, ptr, np.array(source, np.int32), np.ones(len(source), np.int64))
        found = book.result(frozenset(["n"]))
        assert found.spikes["n"].count == 0
        assert found.spike_counts["n"].tolist() == [0]


def test_stretches_end_where_few_spikes_fit_and_nothing_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deployment = deployed(3)
    inputs = random_inputs(deployment.network, 3, 2, STEPS)
    whole = cycle.run(deployment, inputs)
    monkeypatch.setattr(chip, "SPIKES_AT_ONCE", 1)
    parts = cycle.run(deployment, inputs)
    assert whole.as_dict() == parts.as_dict()
    assert not any(whole.result.mismatches(parts.result).values())


def test_states_nobody_wrote_to_are_not_written_to_by_a_reset() -> None:
    written = np.zeros(5, np.int64)
    written.flags.writeable = False
    neuron_kernel.clear(written)
    dirty = np.array([0, 3, 0])
    neuron_kernel.clear(dirty)
    assert dirty.tolist() == [0, 0, 0]


@pytest.mark.slow  # compiles the whole normal form once more
def test_wide_numbers_of_parameters_run_as_narrow_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    network = deployed(5).network
    narrow = neuron_kernel.pack(network.populations)
    monkeypatch.setattr(neuron_kernel, "index_type", lambda size: np.dtype(np.int64))
    wide = neuron_kernel.pack(network.populations)
    assert (narrow.row.dtype, wide.row.dtype) == (np.int32, np.int64)
    rng, found = np.random.default_rng(0), []
    inputs = rng.integers(-300, 301, (3, narrow.size))
    for packed in (narrow, wide):
        state = neuron_kernel.new_state(packed)
        index, value = np.zeros(packed.size, np.int32), np.zeros(packed.size, np.int64)
        for step, given_ in enumerate(inputs):
            count = neuron_kernel.step(
                packed, state, 0, packed.size, given_.copy(), step, index, value
            )
            found.append((count, index[:count].tolist(), value[:count].tolist(), state.v.tolist()))
    assert found[: len(inputs)] == found[len(inputs) :]
    assert any(count for count, *_ in found)


@pytest.mark.parametrize("what", ["sources", "deliveries", "axons", "rows"])
def test_what_32_bits_cannot_number_is_refused(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    deployment = deployed(2)
    found = reaches.find(deployment)
    counts = {
        "sources": deployment.sources.total,
        "axons": deployment.cores.axon_source.size,
        "deliveries": found.ptr[-1],
        "rows": (found.last - found.first).sum(),
    }
    checked: list[str] = []

    def check(name: str, count: int) -> None:
        checked.append(name)
        if name.startswith(what):
            assert count == counts[what]
            monkeypatch.setattr(reaches, "MOST", count - 1)
        original(name, count)

    original = reaches.check_number
    for module in ("reaches", "axons", "program"):
        monkeypatch.setattr(f"snnc.simulators.cycle.{module}.check_number", check)
    with pytest.raises(UnsupportedError, match="too large for the emulated chip") as caught:
        cycle.load(deployment)
    assert f"{counts[what]:,} {what}" in str(caught.value.found)
    assert checked[-1].startswith(what)


def test_a_comparison_has_one_simulator_at_a_time_where_one_part_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deployment = deployed(4)
    alive: list[weakref.ref[Any]] = []
    most: list[int] = []

    class Watched(running.Simulator):
        def __init__(self, *given: Any) -> None:
            gc.collect()
            super().__init__(*given)
            alive.append(weakref.ref(self))
            most.append(sum(each() is not None for each in alive))

    monkeypatch.setattr(equality, "Simulator", Watched)
    inputs = random_inputs(deployment.network, 4, 6, STEPS)
    at_once = equality.compare(deployment, inputs, ("functional", "cycle"), "random")
    assert most == [1, 1]
    monkeypatch.setattr(equality, "COMPARED_BYTES", 1)
    parts = equality.compare(deployment, inputs, ("functional", "cycle"), "random")
    assert most == [1, 1, 1, 2]  # six parts, but no more simulators
    assert at_once == parts
    assert (at_once.total, at_once.spikes) == (0, parts.spikes)
    assert at_once.spikes == sum(
        tallies.spikes_of(deployment.network, functional.run(deployment.network, inputs)).values()
    )
