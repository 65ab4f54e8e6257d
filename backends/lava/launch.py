"""Running jobs in the worker: its own process group, bounded time, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from snnc.backends.lava.environment import STANDALONE, python_for_lava
from snnc.backends.lava.errors import LavaError
from snnc.backends.lava.jobs import Job, read_events, write_job
from snnc.ir.arrays import IntArray

SHARED_MEMORY = Path("/dev/shm")
STALL_SECONDS = 120.0
"""How long the worker may be silent before it counts as hung."""
_CRASH_SECONDS = 5.0
_TICK_SECONDS = 0.5
_REMEDY = {
    "absent": "snnc setup lava, or name an interpreter that has it in SNNC_LAVA_PYTHON",
    "version": "pip install --no-deps --ignore-requires-python lava-nc==0.10.0",
}


@dataclass(frozen=True, eq=False)
class LavaRun:
    """What Lava computed.

    Attributes:
        events: by population, int64 [events, 4]: sample, step, flat neuron, value.
        probes: by (population, variable), int64 [time steps, neurons], raw Lava time.
        start_seconds: compiling, forking and the first time step.
        run_seconds: the other time steps.
        time_steps: of Lava, in total.
        cpu_seconds: of all of Lava's processes, start included.
    """

    events: dict[str, IntArray]
    probes: dict[tuple[str, str], IntArray]
    start_seconds: float
    run_seconds: float
    time_steps: int
    cpu_seconds: float


@dataclass(frozen=True)
class LavaOptions:
    """How to run the worker.

    Attributes:
        python: interpreter that has lava-nc; None finds one, see ``python_for_lava``.
        stall_seconds: silence after which the worker is killed.
    """

    python: Path | None = None
    stall_seconds: float = STALL_SECONDS


def run_on_lava(
    jobs: Sequence[Job],
    options: LavaOptions | None = None,
    on_progress: Callable[[int, int, int], None] = lambda *_: None,
) -> list[LavaRun]:
    """Run jobs one after the other in one worker process.

    Args:
        jobs: plans with data.
        options: interpreter and patience.
        on_progress: called as (job, time steps done, time steps).

    Raises:
        LavaError: Lava is absent, refuses, crashes or hangs; nothing is left running then.
    """
    options = options or LavaOptions()
    python = python_for_lava(options.python)
    token = f"snnclava{os.getpid()}x{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix=f"snnc-lava-{os.getpid()}-") as name:
        folders = [Path(name) / str(index) for index in range(len(jobs))]
        for job, folder in zip(jobs, folders, strict=True):
            write_job(job, folder, token)
        with _worker(python, [str(f) for f in folders], Path(name) / "stderr", token) as worker:
            reports = _follow(worker, len(jobs), options.stall_seconds, on_progress)
        return [
            LavaRun(
                read_events(folder, job),
                _probes(job, folder),
                report["start_seconds"],
                report["run_seconds"],
                report["steps"],
                report["cpu_seconds"],
            )
            for job, folder, report in zip(jobs, folders, reports, strict=True)
        ]


@dataclass
class _Worker:
    python: Path
    process: subprocess.Popen[bytes]
    errors: Path
    lines: queue.Queue[bytes] = field(default_factory=queue.Queue)
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        assert self.process.stdout is not None
        self.reader = threading.Thread(
            target=_read, args=(self.process.stdout, self.lines), daemon=True
        )
        self.reader.start()

    def ended(self) -> bool:
        """Whether it has exited; it stays a zombie, so that its group is not reused."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, flags) is not None

    def silenced(self) -> bool:
        """Whether it has exited and no line of it is left; what it started is killed then."""
        if not self.ended():
            return False
        self.kill()  # or the pipe would stay open
        self.reader.join(_CRASH_SECONDS)
        return self.lines.empty()

    def kill(self) -> None:
        """End its whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def complaint(self) -> str:
        """The last line of its standard error."""
        text = self.errors.read_text(errors="replace") if self.errors.exists() else ""
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""

    def raised(self) -> bool:
        """Whether one of Lava's processes printed an exception."""
        return self.errors.exists() and b"Traceback (most recent" in self.errors.read_bytes()


@contextlib.contextmanager
def _worker(python: Path, arguments: list[str], errors: Path, token: str) -> Iterator[_Worker]:
    """A running worker; at the end of the block its whole group is dead, its memory released."""
    command = [str(python), str(STANDALONE / "snnc_worker.py"), *arguments]
    # Dozens of processes with a thread pool each would only fight for the same cores.
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with errors.open("wb") as stderr:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **single},
                start_new_session=True,
            )
        except OSError as error:
            raise LavaError(
                "the interpreter for Lava cannot be started",
                where=str(python),
                found=error.strerror or str(error),
                remedy=_REMEDY["absent"],
            ) from error
    worker = _Worker(python, process, errors)
    assert process.stdin is not None
    try:
        yield worker
    finally:
        worker.kill()
        process.wait()
        process.stdin.close()
        for leftover in SHARED_MEMORY.glob(f"{token}_*"):
            leftover.unlink(missing_ok=True)


def _read(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    with stream:
        for line in stream:
            lines.put(line)


def _follow(
    worker: _Worker, jobs: int, patience: float, on_progress: Callable[[int, int, int], None]
) -> list[dict[str, Any]]:
    """Read the worker's messages until all jobs are done; one report per job."""
    reports: list[dict[str, Any]] = []
    last = time.monotonic()
    while len(reports) < jobs:
        try:
            message = _message(worker.lines.get(timeout=_TICK_SECONDS))
        except queue.Empty:
            _check_alive(worker, time.monotonic() - last, patience)
            continue
        last = time.monotonic()
        if "error" in message:
            raise LavaError(
                message["problem"],
                where=f"Lava ({worker.python})",
                found=message["found"],
                allowed="lava-nc 0.10.0" if message["error"] in _REMEDY else "",
                remedy=_REMEDY.get(message["error"], ""),
            )
        if "done" in message:
            reports.append(message)
        elif "step" in message:
            on_progress(len(reports), message["step"], message["of"])
    return reports


def _message(line: bytes) -> dict[str, Any]:
    """A line of the worker; whatever Lava itself prints counts as a sign of life."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _check_alive(worker: _Worker, silence: float, patience: float) -> None:
    where = "Lava's worker process"
    if worker.silenced():
        raise LavaError(
            "Lava's worker ended before the network did", where=where, found=worker.complaint()
        )
    if worker.raised() and silence > _CRASH_SECONDS:
        raise LavaError(
            "an error inside one of Lava's processes", where=where, found=worker.complaint()
        )
    if silence > patience:
        raise LavaError(
            "Lava hangs: no time step finished",
            where=where,
            found=f"silent for {silence:.0f} s {worker.complaint()}".strip(),
            allowed=f"{patience:g} s",
            remedy="give it longer with --lava-timeout if the network is very large",
        )


def _probes(job: Job, folder: Path) -> dict[tuple[str, str], IntArray]:
    found = {}
    for index, (name, variable) in enumerate(job.probes):
        values = np.load(folder / f"probe{index}.npy", allow_pickle=False)
        found[name, variable] = values.reshape(len(values), -1)
    return found
