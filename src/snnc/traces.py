"""``--trace``: spikes of a run and the chip's time series, in the format of the file's suffix.

``.h5`` grows batch by batch in bounded memory, ``.npz`` is put together at the end, ``.json`` is
for a browser.  docs/report.md lists what is in them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.atomic import atomic_file
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError, OutputError
from snnc.ir.phased import Program
from snnc.simulators.cycle.result import CycleResult
from snnc.simulators.result import RunResult
from snnc.traces_h5 import Hdf5Trace

SUFFIXES = (".h5", ".hdf5", ".npz", ".json")


class TraceFile(Protocol):
    """Takes the results of batch after batch."""

    def add(self, result: RunResult, chip: CycleResult | None) -> None:
        """Append a batch; ``chip`` is None unless it comes from the cycle simulator."""

    def close(self) -> tuple[str, ...]:
        """Write what is left; returns notes about what the file lacks."""

    def abandon(self) -> None:
        """The run failed, the file will be deleted."""
        return


@contextmanager
def trace_file(path: Path | None, deployment: Program, backend: str) -> Iterator[TraceFile]:
    """A trace that appears under ``path`` when the block ends without error; None writes nothing.

    Raises:
        OutputError: the path cannot be written, e.g. the disk is full; no partial file is left.
        OptionError: a suffix that names no format, or a browser trace without time.
    """
    if path is None:
        yield _Nothing()
        return
    check_format(path, backend)
    with atomic_file(path) as file:
        trace = _FORMATS[path.suffix.lower()](file, deployment, backend)
        try:
            yield trace
        except BaseException:
            trace.abandon()
            raise


def check_format(path: Path, backend: str) -> None:
    """Raise ``OptionError`` unless this backend's run can be written in the path's format."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(
            "no trace format has this suffix",
            where="--trace",
            found=path.name,
            allowed=", ".join(SUFFIXES),
        )
    if suffix == ".json" and backend != "cycle":
        raise OptionError(
            "a trace for a browser shows the chip's time",
            where="--trace",
            found=f"{path.name} with --backend {backend}",
            allowed="--backend cycle, or a trace to .h5 or .npz",
        )


class _Nothing(TraceFile):
    def add(self, result: RunResult, chip: CycleResult | None) -> None:
        pass

    def close(self) -> tuple[str, ...]:
        return ()


class _Npz(TraceFile):
    """All arrays of a run at once, which must fit in memory."""

    def __init__(self, file: IO[bytes], _: Program, backend: str) -> None:
        self._file = file
        self._parts: dict[str, list[AnyArray]] = {}
        self._fixed: dict[str, AnyArray] = {}
        self._samples = 0

    def add(self, result: RunResult, chip: CycleResult | None) -> None:
        for name, events in result.spikes.items():
            self._append(f"{name}.sample", (events.sample + self._samples).astype(np.int32))
            for field in ("step", "index", "value"):
                self._append(f"{name}.{field}", getattr(events, field))
        for name, values in result.outputs.items():
            self._append(f"output.{name}", values)
        self._samples += len(next(iter(result.outputs.values())))
        if chip is not None and chip.trace is not None:
            series = chip.trace.series()
            for name, values in series.items():
                self._append(f"chip.{name}", values)
            fixed = chip.trace.arrays().items()
            self._fixed = {f"chip.{name}": a for name, a in fixed if name not in series}

    def _append(self, key: str, array: AnyArray) -> None:
        self._parts.setdefault(key, []).append(array)

    def close(self) -> tuple[str, ...]:
        arrays: dict[str, Any] = {key: np.concatenate(p) for key, p in self._parts.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **(arrays | self._fixed))
        self._file.write(buffer.getvalue())
        return ()


class _Hdf5(TraceFile):
    def __init__(self, file: IO[bytes], deployment: Deployment, backend: str) -> None:
        self._trace = Hdf5Trace(file, deployment, backend)

    def add(self, result: RunResult, chip: CycleResult | None) -> None:
        self._trace.add(result, chip)

    def close(self) -> tuple[str, ...]:
        self._trace.close()
        return ()

    def abandon(self) -> None:
        self._trace.abandon()


class _Perfetto(TraceFile):
    def __init__(self, file: IO[bytes], deployment: Deployment, _: str) -> None:
        from snnc.perfetto import PerfettoWriter, Scene

        self._writer = PerfettoWriter(file, Scene.of(deployment))

    def add(self, result: RunResult, chip: CycleResult | None) -> None:
        if chip is None or chip.trace is None or chip.timing is None:
            raise OutputError("a trace for a browser needs the chip's time", where="--trace")
        self._writer.add(chip.trace, chip.timing.barrier_s / chip.timing.cycle_s)

    def close(self) -> tuple[str, ...]:
        self._writer.close()
        if not self._writer.left_out:
            return ()
        return (
            f"the browser trace ends after {self._writer.samples} samples: larger ones cannot be "
            "opened; .h5 holds all of them",
        )


_FORMATS: dict[str, Any] = {".h5": _Hdf5, ".hdf5": _Hdf5, ".npz": _Npz, ".json": _Perfetto}
