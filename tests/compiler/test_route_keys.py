"""Keys, masks and router tables: minimised, checked by walking them, refused when too many."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.random_networks import Options as NetworkOptions
from support.random_networks import random_inputs, random_network
from support.routed import machine, moved, random_flow, routed_deployment

from snnc.compiler.route import Routing, route
from snnc.compiler.route.minimise import WIDE, Entry, minimise, prefixes
from snnc.compiler.verify import examine
from snnc.ir import artifact
from snnc.ir.deployment import Deployment, KeyTables
from snnc.ir.errors import CapacityError
from snnc.ir.topology import mesh_of
from snnc.simulators import cycle, reference

Codes = list[tuple[int, int, bool]]


def sends(entries: list[Entry], codes: Codes) -> bool:
    """The meaning of a table, in plain Python."""
    for code, label, straight in codes:
        found = next((r for (key, mask), r in entries if code & mask == key), None)
        if not (found == label or (found is None and straight)):
            return False
    return True


def arrays(codes: Codes) -> tuple[np.ndarray, ...]:
    return tuple(np.array(column) for column in zip(*codes, strict=True))


codes_strategy = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 3), st.booleans()),
    min_size=1, max_size=60, unique_by=lambda row: row[0],
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(codes=codes_strategy)
def test_a_minimised_table_sends_every_code_right_with_fewer_entries(codes: Codes) -> None:
    entries = minimise(*arrays(codes))
    assert sends(entries, codes)
    assert len(entries) <= sum(1 for _, _, straight in codes if not straight)


@settings(max_examples=60, deadline=None)
@given(
    codes=st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 1), st.booleans()),
        min_size=1, max_size=8, unique_by=lambda row: row[0],
    )
)  # fmt: skip
def test_no_table_of_prefixes_is_smaller(codes: Codes) -> None:
    """Against all sets of prefixes of three bits."""
    found = prefixes(*arrays(sorted(codes)))
    assert sends(found, codes)
    every = [
        ((key & (WIDE >> low << low), WIDE >> low << low), label)
        for low in range(4)
        for key in range(0, 8, 1 << low)
        for label in range(2)
    ]
    for smaller in combinations(every, max(0, len(found) - 1)):
        table = sorted(smaller, key=lambda e: -e[0][1].bit_count())
        assert not sends(table, codes) or not found


def test_masks_leave_out_bits_that_prefixes_cannot() -> None:
    """Even codes one way, odd ones the other: two entries, or one and a wide one below it."""
    codes = [(k, k % 2, False) for k in range(16)]
    assert len(minimise(*arrays(codes))) == 2


def test_a_net_that_goes_straight_on_needs_no_entry() -> None:
    target = machine(4, 1, entries=8)
    routing = route(moved([(0, [3])], 4), np.arange(4), target, mesh_of(target, 1))
    keys = routing.tables.keys
    assert keys is not None
    assert np.diff(keys.entry_ptr).tolist() == [1, 0, 0, 1]
    assert keys.entry_links.tolist() == [1, 0]
    assert keys.entry_core.tolist() == [3]
    assert routing.report["tables"]["largest"] == 1


def with_tables(seed: int, rule: str = "xy", entries: int = 1023, bits: int = 32) -> Deployment:
    network = random_network(seed, NetworkOptions(layers=4, width=3))
    seed -= seed % 3 - 1  # tables need multicast
    return routed_deployment(
        network, seed, rule, 1 + seed % 2, 2, seed % 3, entries=entries, key_bits=bits
    )


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(3, 10**6), rule=st.sampled_from(["xy", "yx", "tree", "balanced"]))
def test_walking_the_tables_reaches_who_listens(seed: int, rule: str) -> None:
    deployment = with_tables(seed, rule)
    report = examine(deployment)
    assert "keys" not in report.broken, report.violations[:3]
    assert report.checked["keys"] > 0
    keys = deployment.routes.keys
    assert keys is not None
    rng = np.random.default_rng(seed)
    for name in ("source_key", "entry_key", "entry_mask", "entry_links"):
        table = np.array(getattr(keys, name))
        if not table.size or (name != "source_key" and not keys.entry_key.size):
            continue
        place = int(rng.integers(table.size))
        table[place] ^= 1 if name != "entry_mask" else int(table[place] & -table[place])
        changed = replace(keys, **{name: table})
        broken = replace(deployment, routes=replace(deployment.routes, keys=changed))
        # What no packet can notice is as good: the same walks end at the same cores.
        if examine(broken).ok:
            assert walks(broken) == walks(deployment)


def walks(deployment: Deployment) -> list[tuple[int, ...]]:
    """Cores that every source's packets reach, one source and one hop at a time."""
    keys, mesh = deployment.routes.keys, deployment.mesh
    assert keys is not None
    cores = deployment.cores
    home = np.full(deployment.sources.total, -1)
    home[cores.neuron_source] = np.repeat(np.arange(cores.count), np.diff(cores.neuron_ptr))
    result = []
    for source, key in enumerate(keys.source_key.tolist()):
        x, y = cores.location[home[source], :2].tolist() if home[source] >= 0 else (0, 0)
        todo, found = [(x, y, -1)] if key >= 0 else [], []
        while todo and len(found) < 1000:
            x, y, came = todo.pop()
            at = mesh.router(x, y)
            for e in range(keys.entry_ptr[at], keys.entry_ptr[at + 1]):
                if key & keys.entry_mask[e] == keys.entry_key[e]:
                    found += keys.entry_core[keys.core_ptr[e] : keys.core_ptr[e + 1]].tolist()
                    sides = [s for s in range(4) if keys.entry_links[e] >> s & 1]
                    break
            else:
                sides = [came]
            for side in sides:
                dx, dy = ((1, 0), (-1, 0), (0, 1), (0, -1))[side]
                todo.append((x + dx, y + dy, side))
        result.append(tuple(sorted(found)))
    return result


def test_the_plain_walk_agrees_with_the_axons() -> None:
    deployment = with_tables(7)
    cores = deployment.cores
    axon_core = np.repeat(np.arange(cores.count), np.diff(cores.axon_ptr))
    for source, reached in enumerate(walks(deployment)):
        assert list(reached) == np.unique(axon_core[cores.axon_source == source]).tolist()


def busy_mesh(entries: int, bits: int = 32) -> Routing:
    target = machine(4, 4, entries=entries, key_bits=bits)
    flow = random_flow(3, 16, 60, 5)
    return route(flow, np.arange(16), target, mesh_of(target, 1))


def test_a_table_that_overflows_names_the_router_and_what_is_missing() -> None:
    need = busy_mesh(1000).report["tables"]
    x, y = need["largest_at"]
    assert 1 < need["largest"] < need["largest_without_minimising"]
    assert busy_mesh(need["largest"]).tables.keys is not None
    with pytest.raises(CapacityError) as caught:
        busy_mesh(need["largest"] - 1)
    assert caught.value.where == f"router ({x}, {y})"
    assert caught.value.found.startswith(f"{need['largest']} entries after minimisation")
    assert caught.value.remedy.startswith("1 more would do")


def test_keys_too_narrow_are_refused() -> None:
    assert busy_mesh(1000, bits=6).report["tables"]["key_bits_used"] == 6
    with pytest.raises(CapacityError, match=r"noc\.key_bits"):
        busy_mesh(1000, bits=5)


def test_tables_survive_the_artifact_and_spikes_are_the_reference_s(tmp_path: Path) -> None:
    deployment = with_tables(7)
    artifact.write(deployment, tmp_path / "a.snnc")
    again = artifact.read(tmp_path / "a.snnc")
    for field in fields(KeyTables):
        one, two = (getattr(d.routes.keys, field.name) for d in (deployment, again))
        np.testing.assert_array_equal(one, two)
    inputs = random_inputs(deployment.network, 7, 1, 12)
    got = cycle.run(again, inputs)
    assert not any(got.result.mismatches(reference.run(deployment.network, inputs)).values())


def test_tables_where_the_routers_have_none_are_refused() -> None:
    deployment = with_tables(7)
    bare = machine(3, 3, lanes=2, cores_per_router=2, signed=True, payload_bits=8)
    report = examine(replace(deployment, target=bare))
    assert report.broken["keys"] == 1
    stripped = replace(deployment, routes=replace(deployment.routes, keys=None))
    assert "keys" in examine(stripped).broken
