"""Time and energy of samples: latencies, deadlines, and what silence costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.cli import Snnc, refused

from snnc import idle, running
from snnc.ir import artifact
from snnc.ir.nodes import Input
from snnc.simulators import cycle


@pytest.fixture(scope="module")
def whole(compiled: Path, data: Path) -> cycle.CycleResult:
    """All samples in one batch."""
    deployment = artifact.read(compiled)
    with np.load(data) as arrays:
        return cycle.run(deployment, {"in": arrays["x"].astype(np.int64)})


def test_the_report_has_the_distribution_of_latencies(
    snnc: Snnc,
    compiled: Path,
    data: Path,
    whole: cycle.CycleResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "BATCH_BYTES", 1)  # a batch per sample
    timing = snnc("run", compiled, "--input", data, "--json").json["cycle"]["timing"]
    assert whole.timing is not None
    seconds = np.sort(whole.timing.seconds)
    latency = timing["latency_s"]
    assert (latency["min"], latency["max"]) == (seconds[0], seconds[-1])
    assert latency["median"] == pytest.approx((seconds[1] + seconds[2]) / 2)
    assert latency["p95"] == pytest.approx(seconds[2] + 0.85 * (seconds[3] - seconds[2]))
    assert latency["p99"] == pytest.approx(seconds[2] + 0.97 * (seconds[3] - seconds[2]))
    assert timing["throughput_per_s"] == pytest.approx(4 / seconds.sum())


def test_a_deadline_is_met_or_missed_sample_by_sample(
    snnc: Snnc, compiled: Path, data: Path, whole: cycle.CycleResult
) -> None:
    assert whole.timing is not None
    seconds = whole.timing.seconds
    words = ("run", compiled, "--input", data)
    limit = float(np.median(seconds))
    found = snnc(*words, "--deadline", limit, "--json")
    late = np.flatnonzero(seconds > limit)
    assert found.code == 1
    assert found.json["deadline"] == {
        "deadline_s": limit,
        "met": False,
        "missed": late.size,
        "first_missed": int(late[0]),
        "slack_s": pytest.approx(limit - seconds.max()),
    }
    shown = snnc(*words, "--deadline", limit)
    assert shown.code == 1
    assert f"by {late.size} of 4 samples" in shown.out
    on_time = snnc(*words, "--deadline", float(seconds.max()))
    assert on_time.code == 0
    assert "met" in on_time.out
    assert snnc(*words, "--json").json["deadline"] is None


def test_deadlines_that_mean_nothing_are_refused(snnc: Snnc, compiled: Path, data: Path) -> None:
    words = ("run", compiled, "--input", data)
    for value in (0, -1, "inf", "nan"):
        refused(snnc(*words, "--deadline", value), "--deadline: must be positive")
    refused(snnc(*words, "--deadline", 1, "--backend", "functional"), "--backend cycle")


def test_idle_and_active_energy_add_up(
    snnc: Snnc, compiled: Path, data: Path, whole: cycle.CycleResult
) -> None:
    found = snnc("run", compiled, "--input", data, "--json").json["cycle"]
    still, dynamic = found["energy"]["idle"], found["energy"]["dynamic_j_per_sample"]
    assert still["dynamic_j"] + still["active_j_per_sample"] == pytest.approx(dynamic["mean"])
    assert sum(still["dynamic_j_by_kind"].values()) == pytest.approx(still["dynamic_j"])
    assert 0 < still["dynamic_j"] < dynamic["min"]
    assert (still["spikes"], still["packets"]) == (0, 0)
    busy = {kind for kind, count in still["events"].items() if count}
    assert busy == {"neuron_access"}  # the barrier machine looks at its neurons in every tick
    assert whole.timing is not None
    assert 0 < still["seconds"] < whole.timing.seconds.min()
    unpriced = {e["kind"] for e in found["unpriced"] if e["quantity"] == "energy"}
    assert set(still["unpriced"]) <= unpriced
    assert "idle, as on silence (0 spikes)" in snnc("run", compiled, "--input", data).out


def test_no_idle_energy_where_an_input_cannot_be_silent(
    compiled: Path, whole: cycle.CycleResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = artifact.read(compiled)
    (node,) = deployment.network.of_type(Input)
    monkeypatch.setattr(type(node.type), "low", property(lambda _: 1))
    assert idle.idle_energy(deployment, 6, [whole]) == {"idle": None}
