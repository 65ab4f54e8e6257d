"""Injection offsets: chosen from rates, stored, executed by both networks, spikes unchanged."""

from __future__ import annotations

import itertools
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.deployments import small_deployment
from support.nets import mlp
from support.random_networks import Options as NetworkOptions
from support.random_networks import random_inputs, random_network
from support.simple_mapping import Options, simple_mapping
from support.small_targets import small_target

import snnc
from snnc.compiler import stagger
from snnc.compiler.options import CompileOptions
from snnc.compiler.stagger_kernels import BETTER, LEVELS, PASSES
from snnc.compiler.verify import examine
from snnc.ir import artifact
from snnc.ir.deployment import Deployment
from snnc.ir.errors import ArtifactError, ModelError, OptionError
from snnc.simulators import cycle, reference
from snnc.simulators.cycle.timing import Fidelity

NETWORKS: tuple[Fidelity, ...] = ("transaction", "flit")


def starting(deployment: Deployment, start: tuple[int, ...]) -> Deployment:
    return replace(deployment, schedule=replace(deployment.schedule, core_start=start))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), fidelity=st.sampled_from(NETWORKS))
def test_spikes_do_not_depend_on_when_cores_begin(seed: int, fidelity: Fidelity) -> None:
    network = random_network(seed, NetworkOptions(layers=3, width=3))
    neurons = sum(p.size for p in network.populations)
    target = small_target(3, 3, signed=True, payload_bits=8, buffer=1, receive=1)
    options = Options(max(3, -(-neurons // 8)), seed=seed)
    deployment = simple_mapping(network, target, 12, 1, options)
    rng = np.random.default_rng(seed)
    start = tuple(rng.integers(0, 500, deployment.cores.count).tolist())
    inputs = random_inputs(network, seed, 1, 12)
    got = cycle.run(starting(deployment, start), inputs, noc=fidelity)
    assert not any(got.result.mismatches(reference.run(network, inputs)).values())
    assert got.timing is not None
    assert got.timing.tick_cycles[:, 1:].min() >= max(start)


@pytest.mark.parametrize("fidelity", NETWORKS)
def test_a_start_moves_the_sweep_and_a_late_one_misses_the_tick(fidelity: Fidelity) -> None:
    target = small_target(3, 3, sync="fixed_tick", tick_s=1e-6)
    deployment = small_deployment(target)
    inputs = {"x": np.zeros((1, 8, 12), np.int64)}
    cores = deployment.cores.count
    plain = cycle.run(deployment, inputs, noc=fidelity, trace=True)
    later = starting(deployment, (700,) * cores)
    moved = cycle.run(later, inputs, noc=fidelity, trace=True)
    assert plain.trace is not None
    assert moved.trace is not None
    difference = moved.trace.sweep_cycles[0, 1:] - plain.trace.sweep_cycles[0, 1:]
    np.testing.assert_allclose(difference, 700)
    assert moved.timing is not None
    assert plain.timing is not None
    assert moved.timing.deadline_misses == 0
    assert moved.timing.limits["compute"] == plain.timing.limits["compute"]  # waiting is no work
    late = cycle.run(starting(deployment, (998,) * cores), inputs, noc=fidelity)
    assert late.timing is not None
    assert late.timing.deadline_misses > 0
    assert examine(later).ok
    assert examine(starting(deployment, (1000,) * cores)).broken == {"schedule": cores}


def test_starts_that_do_not_fit_the_cores_are_refused() -> None:
    deployment = small_deployment(small_target(3, 3))
    wrong = starting(deployment, (1,))
    assert "schedule" in examine(wrong).broken
    with pytest.raises(ArtifactError, match="core_start"):
        cycle.run(wrong, {"x": np.zeros((1, 8, 12), np.int64)})
    for bad in ((-1,), (1.5,), (1 << 40,)):
        with pytest.raises(ModelError, match="whole number of cycles"):
            starting(deployment, bad)  # type: ignore[arg-type]


def rates_of(deployment: Deployment, rate: float) -> dict[str, np.ndarray]:
    return {name: np.full(size, rate) for name, size in deployment.sources.size.items()}


def test_expected_utilisation_falls_and_nobody_is_later_than_the_horizon() -> None:
    network = mlp((20, 60, 60, 10))
    target = small_target(3, 3, sync="fixed_tick", tick_s=20e-6)
    deployment = simple_mapping(network, target, 8, 1, Options(15, seed=1))
    start, found = stagger.stagger(deployment, rates_of(deployment, 2.0))
    before, after = found["expected_peak_utilisation"]
    assert after < 0.7 * before
    assert found["cores_moved"] == sum(at > 0 for at in start) > 0
    load = stagger.expected(deployment, rates_of(deployment, 2.0))
    assert (np.array(start) + load.finish <= found["horizon_cycles"] + 1).all()
    assert stagger.stagger(deployment, rates_of(deployment, 2.0))[0] == start
    silent, _ = stagger.stagger(deployment, rates_of(deployment, 0.0))
    assert not any(silent)


def test_few_cores_are_placed_in_time_no_worse_than_by_descent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = mlp((20, 60, 10))
    target = small_target(3, 3, sync="fixed_tick", tick_s=10e-6)
    deployment = simple_mapping(network, target, 8, 1, Options(12, seed=1))
    _, exact = stagger.stagger(deployment, rates_of(deployment, 4.0))
    monkeypatch.setattr(stagger, "EXACT", 0)
    _, descent = stagger.stagger(deployment, rates_of(deployment, 4.0))
    assert descent["engine"] == "descent"
    peaks = [found["expected_peak_utilisation"][1] for found in (exact, descent)]
    assert peaks[0] <= peaks[1] * (1 + 1e-3)


def spread(load: stagger.Load, core: int, start: float, horizon: float) -> np.ndarray:
    """[rows of the core, BINS] by the definition: packets evenly over the sweep, the rest last."""
    rows = slice(int(load.ptr[core]), int(load.ptr[core + 1]))
    edges = np.linspace(0.0, horizon, stagger.BINS + 1)
    length = max(float(load.sweep[core]), edges[1])
    done = (edges[None] - (start + load.delay[rows])[:, None]) / length
    done = np.clip(done, 0.0, 1.0)
    done[:, -1] = 1.0
    result: np.ndarray = np.diff(done, axis=1) * load.busy[rows][:, None] / edges[1]
    return result


def slowly(load: stagger.Load, slack: np.ndarray, horizon: float) -> np.ndarray:
    """The descent of ``stagger``, core by core."""
    start = np.zeros(slack.size)
    total = np.zeros((load.places, stagger.BINS))
    for core in range(slack.size):
        total[load.place[load.ptr[core] : load.ptr[core + 1]]] += spread(load, core, 0.0, horizon)
    traffic = [load.busy[a:b].sum() for a, b in itertools.pairwise(load.ptr)]
    for _ in range(PASSES):
        before = start.copy()
        for core in np.argsort(-np.array(traffic), kind="stable"):
            if slack[core] < 1.0:
                continue
            places = load.place[load.ptr[core] : load.ptr[core + 1]]
            total[places] -= spread(load, core, start[core], horizon)
            tried = [start[core], *np.linspace(0.0, slack[core], LEVELS)]
            cost = [((total[places] + spread(load, core, at, horizon)) ** 4).sum() for at in tried]
            best = 0
            for k in range(1, len(tried)):
                best = k if cost[k] < cost[best] * (1 - BETTER) else best
            start[core] = tried[best]
            total[places] += spread(load, core, start[core], horizon)
        if np.array_equal(start, before):
            break
    return start


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), cores=st.integers(1, 12), places=st.integers(1, 10))
def test_kernels_move_cores_as_the_definition_does(seed: int, cores: int, places: int) -> None:
    rng = np.random.default_rng(seed)
    sends = [rng.permutation(places)[: rng.integers(0, places + 1)] for _ in range(cores)]
    place = np.concatenate(sends).astype(np.int64)
    load = stagger.Load(
        rng.uniform(0.0, 300.0, cores), rng.uniform(0.0, 700.0, cores), 0.0,
        np.cumsum([0, *(s.size for s in sends)]), place, rng.uniform(0.0, 50.0, place.size),
        rng.uniform(0.0, 90.0, place.size), places,
    )  # fmt: skip
    horizon = 800.0
    slack = np.where(rng.random(cores) < 0.2, 0.0, horizon - load.finish)
    bins = stagger._Bins(load, horizon)
    found = stagger._descend(bins, np.zeros(cores), slack)
    np.testing.assert_allclose(found, slowly(load, slack, horizon), rtol=1e-12, atol=1e-9)
    total = np.zeros((load.places, stagger.BINS))
    for core in range(cores):
        profile = spread(load, core, found[core], horizon)
        np.testing.assert_allclose(bins.profile(core, found[core]), profile, atol=1e-9)
        total[load.place[load.ptr[core] : load.ptr[core + 1]]] += profile
    np.testing.assert_allclose(bins.utilisation(found), total[bins.used], atol=1e-9)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.npz"
    data = np.random.default_rng(0).random((4, 8, 32)) < 0.4
    np.savez(path, x=data.astype(np.int8))
    return path


def test_compiling_with_offsets_stores_what_it_measured(events: Path, tmp_path: Path) -> None:
    """On fixed ticks with room to spare bursts are spread; with a barrier nothing gets slower."""
    toy = yaml.safe_load((files("snnc.backends.targets") / "toy-mesh.yaml").read_text())
    toy["execution"] |= {
        "sync": "fixed_tick", "barrier_s": {}, "tick_s": {"v": 1.0e-5, "u": "s", "ev": "assumed"},
    }  # fmt: skip
    fixed = tmp_path / "fixed.yaml"
    fixed.write_text(yaml.safe_dump({**toy, "id": "fixed"}))
    out = tmp_path / "out.snnc"
    options = CompileOptions(target=str(fixed), offsets=True)
    result = snnc.compile(mlp((32, 128, 128, 10)), options, calibration=events, output=out)
    measured = snnc.report(out).report["schedule"]["offsets"]["measured"]
    assert measured["kept"]
    assert measured["deadline_misses"] == [0.0, 0.0]
    assert measured["stall_cycles"][1] < 0.5 * measured["stall_cycles"][0]
    assert "offsets kept" in result.notes[-1]
    assert max(artifact.read(out).schedule.core_start) > 0
    ran = snnc.run(out, events, compare=4).as_dict()
    assert ran["mismatches"] == 0
    assert ran["cycle"]["timing"]["deadline_misses"] == 0
    barrier = snnc.compile(
        mlp((32, 128, 128, 10)), CompileOptions(target="toy-mesh", offsets=True), calibration=events
    )
    assert barrier.deployment is not None
    found = barrier.deployment.report["schedule"]["offsets"]["measured"]
    assert found["kept"] == bool(barrier.deployment.schedule.core_start)
    assert not found["kept"] or found["cycles_per_sample"][1] <= found["cycles_per_sample"][0]


def test_offsets_need_rates() -> None:
    options = CompileOptions(target="toy-mesh", offsets=True, timesteps=4)
    with pytest.raises(OptionError, match="--offsets"):
        snnc.compile(mlp((8, 8, 4)), options)
