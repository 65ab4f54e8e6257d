"""Lava's worker process: whatever happens, a typed error in bounded time and nothing left."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.lava import Leftovers, require_lava
from support.lava_networks import lif_network
from support.random_networks import random_inputs

from snnc.backends.lava import LavaError, LavaOptions, launch, lower, run_on_lava, widths
from snnc.backends.lava import environment as lava_environment
from snnc.backends.lava.environment import probe, python_for_lava
from snnc.backends.lava.jobs import Job

STEPS = 6
PATIENCE_S = 600.0  # only a test that would hang for ever gets there


@pytest.fixture
def leftovers(monkeypatch: pytest.MonkeyPatch) -> Leftovers:
    return Leftovers(monkeypatch)


def job(samples: int = 1, steps: int = STEPS) -> Job:
    network = lif_network(0)
    return Job(lower(network, steps), random_inputs(network, 1, samples, steps))


def interpreter(path: Path, script: str) -> Path:
    """A program that stands where a Python should."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_success_leaves_nothing_even_where_a_start_method_was_set(leftovers: Leftovers) -> None:
    python = require_lava()
    multiprocessing.get_context("spawn")
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        (run,) = run_on_lava([job()], LavaOptions(python))
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert run.time_steps >= STEPS
    leftovers.check()


def test_a_real_hang_of_lava_ends_in_an_error(
    leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vth = 1.5 hangs Lava for ever; only with the check of the widths taken out it gets there."""
    python = require_lava()
    plan = job().plan
    lif = next(p for p in plan.processes if p.kind == "LIF")
    monkeypatch.setattr(widths, "check", lambda _: None)
    lif.parameters["vth"] = 1.5  # type: ignore[index]
    with pytest.raises(LavaError, match=r"hangs|an error inside") as raised:
        run_on_lava([Job(plan, job().inputs)], LavaOptions(python, 10.0))
    assert raised.value.found
    leftovers.check()


def test_a_worker_that_says_nothing_is_killed_with_its_children(
    tmp_path: Path, leftovers: Leftovers
) -> None:
    python = interpreter(tmp_path / "python", "sleep 1000 & sleep 1000")
    with pytest.raises(LavaError, match="Lava hangs"):
        run_on_lava([job()], LavaOptions(python, 1.0))
    leftovers.check()


def test_a_worker_that_dies_is_an_error(tmp_path: Path, leftovers: Leftovers) -> None:
    python = interpreter(tmp_path / "python", "echo broken >&2; sleep 1000 & exit 3")
    with pytest.raises(LavaError, match="ended before the network did") as raised:
        run_on_lava([job()], LavaOptions(python))
    assert raised.value.found == "broken"
    leftovers.check()


def test_the_last_words_of_a_worker_are_read_however_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here nothing is read before it is known that the worker has exited."""
    words = '{"error": "failed", "problem": "its last words", "found": "this"}'
    python = interpreter(tmp_path / "python", f"echo '{words}'; sleep 1000 &")
    read, kill, known = launch._read, launch._Worker.kill, threading.Event()

    def late(*given: Any) -> None:
        known.wait()
        read(*given)

    def killed(worker: launch._Worker) -> None:
        known.set()
        kill(worker)

    monkeypatch.setattr(launch, "_read", late)
    monkeypatch.setattr(launch._Worker, "kill", killed)
    with pytest.raises(LavaError, match="its last words"):
        run_on_lava([job()], LavaOptions(python))


def test_a_worker_outlives_nobody(tmp_path: Path, leftovers: Leftovers) -> None:
    """Killed without warning, the parent can clean nothing up; the worker notices."""
    python = require_lava()
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from backends.lava.test_worker import job\n"
        "from snnc.backends.lava import LavaOptions, run_on_lava\n"
        "from pathlib import Path\n"
        "run_on_lava([job(2000, 20)], LavaOptions(Path(sys.argv[2])))\n"
    )
    tests = str(Path(__file__).resolve().parents[2])
    parent = subprocess.Popen([sys.executable, str(script), tests, str(python)])
    _wait_for_worker(leftovers, parent)
    parent.kill()
    parent.wait()
    leftovers.check()
    assert list(Path("/dev/shm").glob(f"snnclava{parent.pid}x*")) == []


def test_ctrl_c_ends_everything(tmp_path: Path, leftovers: Leftovers) -> None:
    python = require_lava()
    script = tmp_path / "parent.py"
    script.write_text(
        "import signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from backends.lava.test_worker import job\n"
        "from snnc.backends.lava import LavaOptions, run_on_lava\n"
        "from pathlib import Path\n"
        "try:\n"
        "    run_on_lava([job(2000, 20)], LavaOptions(Path(sys.argv[2])))\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    tests = str(Path(__file__).resolve().parents[2])
    parent = subprocess.Popen([sys.executable, str(script), tests, str(python)])
    _wait_for_worker(leftovers, parent)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(PATIENCE_S) == 130
    leftovers.check()
    assert list(Path("/dev/shm").glob(f"snnclava{parent.pid}x*")) == []


def _wait_for_worker(leftovers: Leftovers, parent: subprocess.Popen[bytes]) -> None:
    """Until Lava has forked its processes."""
    end = time.monotonic() + PATIENCE_S
    while len(leftovers.processes()) < 8:
        assert parent.poll() is None, "ended too early"
        assert time.monotonic() < end, "did not start"
        time.sleep(0.1)


def test_without_lava_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_environment, "candidates", list)
    with pytest.raises(LavaError, match="snnc setup lava"):
        python_for_lava()


def test_a_named_interpreter_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LavaError, match="--lava-python: no such interpreter"):
        python_for_lava(tmp_path / "nothing")
    monkeypatch.setenv("SNNC_LAVA_PYTHON", str(tmp_path / "nothing"))
    with pytest.raises(LavaError, match="SNNC_LAVA_PYTHON: no such interpreter"):
        python_for_lava()


def test_an_interpreter_without_lava_says_so(leftovers: Leftovers) -> None:
    if lava_environment.importlib.util.find_spec("lava") is not None:
        pytest.skip("Lava is installed in the tests' own environment")
    with pytest.raises(LavaError, match="lava-nc is not installed"):
        run_on_lava([job()], LavaOptions(Path(sys.executable)))
    assert probe(Path(sys.executable))["error"] == "absent"
    leftovers.check()


def test_another_version_is_refused(tmp_path: Path, leftovers: Leftovers) -> None:
    """A metadata directory is all the worker looks at first."""
    info = tmp_path / "lava_nc-0.9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lava-nc\nVersion: 0.9.0\n")
    python = interpreter(tmp_path / "python", f'PYTHONPATH={tmp_path} exec {sys.executable} "$@"')
    with pytest.raises(LavaError, match="another version of lava-nc") as raised:
        run_on_lava([job()], LavaOptions(python))
    assert raised.value.found == "0.9.0"
    assert "0.10.0" in raised.value.remedy
    leftovers.check()


def test_probe_of_what_is_no_python(tmp_path: Path) -> None:
    silent = interpreter(tmp_path / "silent", "exit 1")
    assert probe(silent)["problem"] == "gives no answer"
    assert probe(tmp_path / "nothing")["problem"] == "cannot be started"


def test_input_beyond_32_bits_and_another_length_are_refused(tmp_path: Path) -> None:
    good = job()
    name = next(iter(good.inputs))
    wide = Job(good.plan, {**good.inputs, name: good.inputs[name] + 2**31})
    longer = Job(good.plan, {name: np.repeat(good.inputs[name], 2, axis=1)})
    python = interpreter(tmp_path / "python", "exit 0")
    with pytest.raises(LavaError, match="holds 32 bits"):
        run_on_lava([wide], LavaOptions(python))
    with pytest.raises(LavaError, match="another number of steps"):
        run_on_lava([longer], LavaOptions(python))
