"""The columnar trace file: HDF5, chunked, shuffled and deflated, grown batch by batch.

Columns are the arrays of a table: spike k of a population is entry k of each of its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any
from urllib.parse import quote

import h5py
import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment
from snnc.simulators.cycle.result import CycleResult, Trace
from snnc.simulators.result import Events, RunResult

SCHEMA = "snnc-trace/1"
CHUNK_ROWS = 1 << 14
"""Spikes per chunk of a column."""
CHUNK_BYTES = 1 << 18
"""Bytes per chunk of a dense array."""
_COLUMNS = {"sample": np.int32, "step": np.int32, "index": np.int32, "value": np.int64}
_UNITS = {"spikes": "spikes", "channel_load": "packets", "received": "packets"}


class Hdf5Trace:
    """Writes batches; ``docs/report.md`` documents groups, datasets and attributes."""

    def __init__(self, file: IO[bytes], deployment: Deployment, backend: str) -> None:
        self._stream = _Stream(file)
        self._h5 = h5py.File(self._stream, "w")
        self._deployment, self._samples = deployment, 0
        schedule = deployment.schedule
        about = {"schema": SCHEMA, "backend": backend, "target": deployment.target.id,
                 "network": deployment.network.name, "samples": 0,
                 "period": schedule.period, "ticks": schedule.ticks}  # fmt: skip
        self._h5.attrs.update(about)

    def add(self, result: RunResult, chip: CycleResult | None) -> None:
        """Append the samples of a batch.

        Raises:
            OSError: they cannot be written, e.g. because the disk is full.
        """
        with self._stream.checked():
            for name, events in result.spikes.items():
                self._spikes(name, events)
            for name, values in result.outputs.items():
                _append(self._h5.require_group("outputs"), _key(name), values)
            if chip is not None and chip.trace is not None:
                timing = chip.timing
                barrier = 0.0 if timing is None else timing.barrier_s / timing.cycle_s
                self._chip(chip.trace, barrier)
            self._samples += len(next(iter(result.outputs.values())))
            self._h5.attrs["samples"] = self._samples
            self._h5.flush()

    def close(self) -> None:
        """Write what HDF5 still holds.

        Raises:
            OSError: it cannot be written.
        """
        with self._stream.checked():
            self._h5.close()

    def abandon(self) -> None:
        """Let go of a file that is not wanted any more."""
        self._stream.lost = True
        with suppress(Exception):  # HDF5 sees what it wrote no more, and must not complain later
            self._h5.close()

    def _spikes(self, name: str, events: Events) -> None:
        group = self._h5.require_group("spikes").require_group(_key(name))
        group.attrs["name"] = name
        group.attrs["offset"] = self._deployment.schedule.offset.get(name, 0)
        for column, dtype in _COLUMNS.items():
            values = getattr(events, column) + (self._samples if column == "sample" else 0)
            _append(group, column, values.astype(dtype))

    def _chip(self, trace: Trace, barrier_cycles: float) -> None:
        group = self._h5.require_group("chip")
        if "channels" not in group:
            execution = self._deployment.target.execution
            group.attrs["cycle_s"] = float("nan") if execution.cycle_s.v is None else (
                float(execution.cycle_s.v)
            )  # fmt: skip
            group.attrs["mesh_width"] = self._deployment.mesh.width
            group.attrs["barrier_cycles"] = barrier_cycles
            group["channels"] = trace.channels
            group["core_location"] = self._deployment.cores.location
            group["populations"] = np.array([p.encode() for p in trace.populations])
        for name, values in trace.series().items():
            _append(group, name, values)
            group[name].attrs["unit"] = _UNITS.get(name, "cycles")


class _Stream:
    """The file below HDF5, which cannot recover from a failed write and would complain at exit.

    Attributes:
        lost: after a failure nothing is written any more.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._error: OSError | None = None
        self.lost = False

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Raise the error of a write in the block instead of what HDF5 makes of it."""
        try:
            yield
        except Exception:
            if self._error is None:
                raise
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        self._try(lambda: self._file.write(data))
        return len(data)

    def truncate(self, size: int) -> int:
        self._try(lambda: self._file.truncate(size))
        return size

    def flush(self) -> None:
        self._try(self._file.flush)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._try(lambda: self._file.seek(offset, whence))
        return offset if self.lost else self._file.tell()

    def tell(self) -> int:
        return 0 if self.lost else self._file.tell()

    def read(self, size: int = -1) -> bytes:
        return b"" if self.lost else self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _try(self, action: Callable[[], object]) -> None:
        if self.lost:
            return
        try:
            action()
        except OSError as error:
            self._error, self.lost = error, True


def _key(name: str) -> str:
    """A name as a link of a group; the attribute ``name`` keeps the original."""
    return quote(name, safe=" :()[]+,") if name != "." else "%2E"


def _append(group: Any, key: str, values: AnyArray) -> None:
    """Append along the first axis."""
    if key not in group:
        row = max(1, values.itemsize * int(np.prod(values.shape[1:])))
        rows = CHUNK_ROWS if values.ndim == 1 else max(1, CHUNK_BYTES // row)
        extent = tuple(max(1, size) for size in values.shape[1:])
        group.create_dataset(
            key, (0, *values.shape[1:]), values.dtype, maxshape=(None,) * values.ndim,
            chunks=(rows, *extent), compression="gzip", compression_opts=4, shuffle=True,
        )  # fmt: skip
    dataset = group[key]
    before = len(dataset)
    dataset.resize(before + len(values), axis=0)
    if values.size:
        dataset[before:] = values
