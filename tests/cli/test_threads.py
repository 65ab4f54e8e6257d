"""``--threads`` changes how long a run takes, and nothing else."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import Snnc, refused

from snnc import parallel
from snnc.ir.errors import SimulationError
from snnc.parallel import SharedProgress, in_order


@pytest.mark.parametrize("backend", ["cycle", "functional"])
@pytest.mark.parametrize("stop", [(), ("--early-stop", 2)])
def test_the_report_does_not_depend_on_threads(
    snnc: Snnc, compiled: Path, data: Path, backend: str, stop: tuple[object, ...]
) -> None:
    words = ("run", compiled, "--input", data, "--backend", backend, *stop, "--compare", 4)
    one, *others = (snnc(*words, "--threads", n, "--json").json for n in (1, 2, 3, 9))
    assert one["mismatches"] == 0
    for other in others:
        assert _plain(other) == pytest.approx(_plain(one), rel=1e-12)
        assert {k: v for k, v in other.items() if k not in ("cycle", "seconds")} == {
            k: v for k, v in one.items() if k not in ("cycle", "seconds")
        }


def _plain(value: Any, path: str = "") -> dict[str, Any]:
    """All numbers of the cycle report by path; sums of floats depend on their order."""
    if path == "":
        value = value["cycle"] or {}
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return {path: value} if isinstance(value, int | float) else {}
    return {k: v for name, item in items for k, v in _plain(item, f"{path}/{name}").items()}


def test_traces_do_not_depend_on_threads(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    files = [tmp_path / f"{n}.npz" for n in (1, 3)]
    for n, path in zip((1, 3), files, strict=True):
        snnc("run", compiled, "--input", data, "--threads", n, "--trace", path)
    with np.load(files[0]) as a, np.load(files[1]) as b:
        assert set(a.files) == set(b.files)
        for key in a.files:
            np.testing.assert_array_equal(a[key], b[key])


PATIENCE_S = 600.0


class Work:
    """Ten times the batch; batches of a group wait for each other, so they run at the same time."""

    def __init__(self, *groups: tuple[int, ...]) -> None:
        self.meet = {}
        for group in groups:
            self.meet |= dict.fromkeys(group, threading.Barrier(len(group), timeout=PATIENCE_S))
        self.threads: dict[int, int] = {}

    def __call__(self, batch: int) -> int:
        self.threads[batch] = threading.get_ident()
        if batch in self.meet:
            self.meet[batch].wait()
        return 10 * batch


def measured(monkeypatch: pytest.MonkeyPatch, alone: float, together: float) -> None:
    """What the clock says of the batches that are timed: two one by one, then two at once."""
    moments = [0.0, 99.0, 100.0, 100.0 + alone, 200.0, 200.0 + 2 * together]
    monkeypatch.setattr(parallel, "perf_counter", iter(moments).__next__)


def test_batches_run_side_by_side_and_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, alone=1.0, together=0.9)
    work = Work((2, 3), (4, 5), (6, 7), (8, 9), (10, 11))
    assert list(in_order(work, range(12), 2)) == [(k, 10 * k) for k in range(12)]
    assert work.threads[0] == work.threads[1] == threading.get_ident()
    assert len({work.threads[k] for k in range(2, 12)}) == 2


def test_threads_that_slow_each_other_down_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, alone=1.0, together=1.1)
    work = Work((2, 3))
    assert list(in_order(work, range(8), 2)) == [(k, 10 * k) for k in range(8)]
    assert work.threads[2] != work.threads[3]
    assert {work.threads[k] for k in (0, 1, 4, 5, 6, 7)} == {threading.get_ident()}


@pytest.mark.parametrize("bad", [0, 1, 2, 3, 7])
def test_an_error_in_a_batch_is_the_error_of_the_run(bad: int) -> None:
    def work(batch: int) -> int:
        if batch == bad:
            raise SimulationError("stuck")
        return batch

    with pytest.raises(SimulationError, match="stuck"):
        list(in_order(work, range(100), 2))


@pytest.mark.parametrize("count", range(7))
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_few_batches_are_all_run(count: int, threads: int) -> None:
    assert [k for k, _ in in_order(str, range(count), threads)] == list(range(count))


def test_progress_adds_up_over_threads() -> None:
    seen: list[tuple[int, int]] = []
    progress = SharedProgress(lambda done, total: seen.append((done, total)), 7)
    first, second = progress.of(0), progress.of(4)
    first(1, 4)
    second(2, 3)
    first(4, 4)
    second(3, 3)
    assert seen == [(1, 7), (3, 7), (6, 7), (7, 7)]


def test_threads_that_cannot_be_are_refused(snnc: Snnc, compiled: Path, data: Path) -> None:
    words = ("run", compiled, "--input", data, "--threads")
    refused(snnc(*words, 0), "--threads", "1 to 64")
    refused(snnc(*words, 65), "--threads")
    refused(snnc(*words, 2, "--backend", "reference"), "one thread")
