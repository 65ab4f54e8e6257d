"""Core tables with shared rows are the same machine as plain ones, to everyone who looks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.chains import chain, chain_inputs, speck
from support.compiled import compiled
from support.deployed import deployed
from support.deployments import small_deployment
from support.files import rewrite
from support.nets import small_conv
from support.random_networks import Options, random_inputs, random_network
from support.small_target import small_target
from support.tiny import tiny_deployment

from snnc.backends.targets import load
from snnc.compiler import estimate
from snnc.compiler.summary import summarize
from snnc.compiler.verify import examine, verify
from snnc.deciding import entries_per_source
from snnc.ir import artifact
from snnc.ir.core_tables import CoreTables, SharedCoreTables, share
from snnc.ir.deployment import Deployment
from snnc.ir.errors import ArtifactError, ModelError, SnncError, UnsupportedError
from snnc.ir.rows import Rows, shared_rows
from snnc.simulators import cycle
from snnc.simulators.cycle.asynchronous import run as asynchronous
from snnc.simulators.reference import event_order

SLOW_IS_FINE = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def shared(deployment: Deployment) -> Deployment:
    return replace(deployment, cores=share(deployment.cores))


def rows_of(deployment: Deployment) -> Rows:
    assert isinstance(deployment.cores, SharedCoreTables)
    return deployment.cores.rows


def changed(deployment: Deployment, name: str, entry: int, value: int) -> Deployment:
    """The deployment with another number in its rows."""
    array = np.array(getattr(rows_of(deployment), name), np.int64)
    array[entry] = value
    rows = replace(rows_of(deployment), **{name: array})
    return replace(deployment, cores=replace(deployment.cores, rows=rows))  # type: ignore[arg-type]


def same_arrays(a: Any, b: Any, names: tuple[str, ...]) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_rows_are_shared_and_written_out_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length = rng.integers(0, 4, 30)
    row_ptr = np.concatenate([[0], np.cumsum(length)])
    target = np.concatenate(
        [np.zeros(0, np.int64), *(np.sort(rng.choice(9, n, replace=False)) for n in length)]
    )
    weight = rng.integers(1, 3, target.size)
    rows = shared_rows(row_ptr, target, weight)
    assert rows.shape_ptr.size - 1 < 30
    assert rows.synapses == target.size
    for mine, given_ in zip(rows.plain(), (row_ptr, target, weight), strict=True):
        assert np.array_equal(mine, given_)
    part = rows.plain(slice(10, 20))
    assert np.array_equal(part[1], target[row_ptr[10] : row_ptr[20]])
    shapes = [tuple(rows.offset[a:b]) + tuple(rows.weight[a:b])
              for a, b in zip(rows.shape_ptr[:-1], rows.shape_ptr[1:], strict=True)]  # fmt: skip
    assert len(set(shapes)) == len(shapes)


def test_rows_with_the_same_code_are_not_taken_for_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnc.ir.row_kernels.hash_rows", lambda *_: _[-1].fill(7))
    rows = shared_rows(np.array([0, 2, 4, 5]), np.array([0, 3, 1, 3, 2]), np.array([1, 1, 1, 1, 1]))
    assert rows.shape.tolist() == [0, 1, 2]
    assert rows.plain()[1].tolist() == [0, 3, 1, 3, 2]


@SLOW_IS_FINE
@given(seed=st.integers(0, 10**6), target=st.sampled_from(["toy-mesh", "small"]))
def test_nothing_changes_when_rows_are_shared(seed: int, target: str) -> None:
    machine = load("toy-mesh") if target == "toy-mesh" else small_target()
    network = random_network(seed, Options(layers=3, readouts=False))
    try:
        plain = compiled(network, machine, 6)
    except SnncError:
        return  # not for this machine
    mine = shared(plain)
    assert examine(mine).as_dict() == examine(plain).as_dict()
    written = mine.cores.plain()
    names = ("synapse_ptr", "synapse_target", "synapse_weight", "axon_sign", "axon_source")
    assert same_arrays(written, plain.cores, names)
    for name in ("fan_in", "core_synapses", "axon_core"):
        assert np.array_equal(getattr(mine.cores, name), getattr(plain.cores, name))
    assert np.array_equal(entries_per_source(mine), entries_per_source(plain))
    inputs = random_inputs(plain.network, np.random.default_rng(seed), 2, 6)
    a, b = cycle.run(mine, inputs), cycle.run(plain, inputs)
    assert sum(b.result.mismatches(a.result).values()) == 0
    assert a.counts == b.counts
    assert np.array_equal(a.timing.cycles, b.timing.cycles) if a.timing and b.timing else True


def test_counts_portion_by_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = small_deployment(load("loihi1"))
    expected = plain.cores.rows.synapses, plain.cores.core_synapses.tolist()
    events = estimate.traffic(plain, {n: np.ones(s) for n, s in plain.sources.size.items()})
    for module in ("rows", "core_tables"):
        monkeypatch.setattr(f"snnc.ir.{module}.AT_ONCE", 3)
    monkeypatch.setattr(estimate, "AT_ONCE", 3)
    mine = shared(plain)
    assert (mine.cores.rows.synapses, mine.cores.core_synapses.tolist()) == expected
    again = estimate.traffic(mine, {n: np.ones(s) for n, s in plain.sources.size.items()})
    assert again.counts == events.counts
    assert sum(v for k, v in events.counts.items() if k.startswith("synapse_op")) == expected[0]


def summary(deployment: Deployment) -> dict[str, Any]:
    checked = verify(deployment).as_dict()
    cores = [{"use": {}} for _ in range(deployment.cores.count)]
    stages = {
        "map": SimpleNamespace(report={"cores": cores}),
        "quantize": SimpleNamespace(report={}),
        "retime": SimpleNamespace(report={}),
    }
    rates = {name: np.linspace(0, 3, size) for name, size in deployment.sources.size.items()}
    return dict(summarize(deployment, checked, stages, rates).report)


def test_the_report_is_the_same() -> None:
    plain = small_deployment(load("loihi1"))
    assert summary(shared(plain)) == summary(plain)


def test_an_asynchronous_machine_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = deployed(chain(np.random.default_rng(1)), speck(), 5)
    inputs = chain_inputs(np.random.default_rng(1), 2, 5)
    a, b = cycle.run(shared(plain), inputs), cycle.run(plain, inputs)
    assert sum(b.result.mismatches(a.result).values()) == 0
    assert a.counts == b.counts
    truth = event_order.run(shared(plain), inputs)
    assert sum(truth.mismatches(a.result).values()) == 0
    monkeypatch.setattr(asynchronous, "MOST_SYNAPSES", 3)
    with pytest.raises(UnsupportedError, match=r"writes every synapse out[\s\S]*bytes"):
        cycle.run(shared(plain), inputs)


def test_an_artifact_keeps_rows_shared(tmp_path: Path) -> None:
    mine = shared(small_deployment(load("toy-mesh")))
    path, again = tmp_path / "a.snnc", tmp_path / "b.snnc"
    artifact.write(mine, path)
    assert artifact.read_report(path).manifest["version"] == artifact.SHARED_VERSION
    back = artifact.read(path)
    assert same_arrays(
        rows_of(back), rows_of(mine), ("shape", "shift", "shape_ptr", "offset", "weight")
    )
    assert verify(back).ok
    artifact.write(back, again)
    assert path.read_bytes() == again.read_bytes()
    artifact.write(replace(mine, cores=mine.cores.plain()), again)
    assert artifact.read_report(again).manifest["version"] == artifact.FORMAT_VERSION
    assert isinstance(artifact.read(again).cores, CoreTables)


@pytest.mark.parametrize(
    ("name", "entry", "value"),
    [
        ("shape", 0, 10**6),
        ("shape", -1, -1),
        ("shape_ptr", 1, 10**6),
        ("shape_ptr", 0, 1),
        ("offset", 0, 1 << 40),
        ("shift", 0, -(1 << 40)),
    ],
)
def test_rows_that_point_outside_cannot_be_made(name: str, entry: int, value: int) -> None:
    with pytest.raises(ModelError):
        changed(shared(small_deployment(load("toy-mesh"))), name, entry, value)


def test_a_small_file_cannot_ask_for_endless_work(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = share(tiny_deployment().cores)
    monkeypatch.setattr("snnc.ir.core_tables.MOST_SYNAPSES", 3)
    with pytest.raises(ModelError, match="4 synapses"):
        replace(tables, location=tables.location)


def test_an_artifact_with_such_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.snnc"
    artifact.write(shared(tiny_deployment()), path)

    def edit(parts: dict[str, bytes]) -> None:
        tables = json.loads(parts["tables.json"])
        tables["cores"]["rows"]["shape"] = tables["cores"]["neuron_ptr"]
        parts["tables.json"] = json.dumps(tables).encode()

    rewrite(path, edit)
    with pytest.raises(ArtifactError, match=r"Rows"):
        artifact.read(path)


@pytest.mark.parametrize(
    ("name", "value"), [("shift", 10**6), ("shift", -1), ("offset", 10**6), ("offset", -5)]
)
def test_targets_beyond_the_core_are_refused(name: str, value: int) -> None:
    bad = changed(shared(small_deployment(load("toy-mesh"))), name, 0, value)
    assert "structure" in examine(bad).broken
    inputs = random_inputs(bad.network, np.random.default_rng(0), 1, 3)
    with pytest.raises(ArtifactError, match="contradict"):
        cycle.run(bad, inputs)


def test_rows_longer_than_their_core_are_refused() -> None:
    deployment = shared(tiny_deployment())
    rows = Rows(np.zeros(2, int), np.zeros(2, int), np.array([0, 3]), np.array([0, 1, 1]),
                np.array([3, 1, 2]))  # fmt: skip
    bad = replace(deployment, cores=replace(deployment.cores, rows=rows))  # type: ignore[arg-type]
    assert examine(bad).broken == {"structure": 1}
    with pytest.raises(ArtifactError, match="longer than its core"):
        cycle.run(bad, {"in": np.ones((1, 5, 2), np.int64)})
    short = replace(rows, shape=np.zeros(1, int), shift=np.zeros(1, int))
    bad = replace(deployment, cores=replace(deployment.cores, rows=short))  # type: ignore[arg-type]
    assert "structure" in examine(bad).broken


def test_a_wrong_weight_is_found_wherever_its_shape_is_used() -> None:
    mine = shared(compiled(small_conv(), load("toy-mesh"), 4))
    times = np.bincount(rows_of(mine).shape)
    shape, uses = int(times.argmax()), int(times.max())
    entry = int(rows_of(mine).shape_ptr[shape])
    bad = changed(mine, "weight", entry, int(rows_of(mine).weight[entry]) + 1)
    assert uses > 1
    assert examine(bad).broken == {"function": uses}
    again = replace(bad, cores=bad.cores.plain())
    assert examine(again).as_dict() == examine(bad).as_dict()


def test_a_wrong_shift_is_found() -> None:
    mine = shared(small_deployment(load("toy-mesh")))
    rows = rows_of(mine)
    limit = np.diff(mine.cores.neuron_ptr)[mine.cores.axon_core]
    last = np.maximum.reduceat(rows.offset, rows.shape_ptr[:-1])[rows.shape] + rows.shift
    row = int(np.flatnonzero(last + 1 < limit)[0])
    bad = changed(mine, "shift", row, int(rows.shift[row]) + 1)
    assert "function" in examine(bad).broken


def test_a_weight_beyond_the_format_names_its_synapse() -> None:
    mine = shared(small_deployment(load("toy-mesh")))
    bad = changed(mine, "weight", 0, 10**6)
    plain = replace(bad, cores=bad.cores.plain())
    assert examine(bad).as_dict() == examine(plain).as_dict()
    assert "weights" in examine(bad).broken
