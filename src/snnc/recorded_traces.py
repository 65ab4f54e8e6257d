"""``snnc trace``: a recorded trace in another format, sample by sample.

The file may come from anybody: nothing in it is executed, links out of it are not followed, and no
more of it is read at a time than one sample, whose size is checked first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.atomic import atomic_file, check_separate
from snnc.ir.errors import InputError, OptionError
from snnc.perfetto import PerfettoWriter, Scene
from snnc.results import TraceResult
from snnc.simulators.cycle.result import Trace
from snnc.traces_h5 import SCHEMA

FORMATS = ("perfetto",)
SAMPLE_LIMIT = 256 << 20
"""Bytes of one sample's time series."""
TABLE_LIMIT = 1 << 20
"""Cores, channels and populations of a trace."""
_AXES = {
    "spikes": ("ticks", "populations"),
    "channel_load": ("ticks + 1", "channels"),
    "tick_start": ("ticks + 1",),
    "tick_cycles": ("ticks + 1",),
    "sweep_cycles": ("ticks + 1", "cores"),
    "stall_cycles": ("ticks + 1", "cores"),
    "receive_end": ("ticks + 1", "cores"),
    "receive_cycles": ("ticks + 1", "cores"),
    "received": ("ticks + 1", "cores"),
}


def convert(path: Path, to: str, output: Path) -> TraceResult:
    """Write a trace of ``snnc run --trace FILE.h5`` in another format.

    The result has the same bytes as the file that the run itself would have written.

    Args:
        path: ``.h5``, recorded by the cycle simulator.
        to: "perfetto".
        output: file to write, whole or not at all.

    Raises:
        InputError: no such trace, damaged, or recorded without the chip's time.
        OptionError: an unknown format.
        OutputError: the output cannot be written.
    """
    if to not in FORMATS:
        raise OptionError(
            "no such trace format", where="--to", found=to, allowed=", ".join(FORMATS)
        )
    check_separate(output, path)
    with _opened(path) as file:
        with _damage(path):
            record = _Record(file, path)
        with atomic_file(output) as stream:
            writer = PerfettoWriter(stream, record.scene)
            for number in range(record.samples):
                with _damage(path):
                    sample = record.sample(number)
                writer.add(sample, record.barrier)
            writer.close()
    return TraceResult(to, output, writer.samples, writer.left_out)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise InputError(
            "no such trace",
            where=str(path),
            found="a folder" if path.is_dir() else "nothing",
            remedy="record one: snnc run ARTIFACT --input DATA --trace FILE.h5",
        )
    with _damage(path):
        file = h5py.File(path, "r")
    with file:
        yield file


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """What HDF5 and NumPy say of a broken file, as an ``InputError``."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise InputError(
            "not a trace, or damaged",
            where=str(path),
            found=str(error)[:200],
            allowed=f"an HDF5 file of schema {SCHEMA}",
            remedy="record it again",
        ) from error


class _Record:
    """A checked trace.

    Attributes:
        samples: in the file.
        barrier: cycles of the barrier.
        scene: the machine it was recorded on.
    """

    def __init__(self, file: Any, path: Path) -> None:
        self._where = str(path)
        if file.attrs.get("schema") != SCHEMA:
            self._refuse("not a trace of this version", file.attrs.get("schema"), SCHEMA)
        self._chip = self._member(file, "chip")
        if not isinstance(self._chip, h5py.Group) or "tick_cycles" not in self._chip:
            self._refuse(
                "the trace has no time", "no chip", "--backend cycle, on a chip with ticks"
            )
        about = self._chip.attrs
        if "mesh_width" not in about or "barrier_cycles" not in about:
            self._refuse("the trace does not say which mesh it is of", "no mesh_width",
                         "a trace of this version")  # fmt: skip
        cycle_s, width = float(about["cycle_s"]), int(about["mesh_width"])
        self.barrier = float(about["barrier_cycles"])
        if not (np.isfinite(self.barrier) and self.barrier >= 0 and 1 <= width <= TABLE_LIMIT):
            self._refuse("a number of the trace is impossible", f"{self.barrier}, {width}", "")
        cores = self._table("core_location", 3)
        self._channels = self._table("channels", 2)
        self._populations = self._names()
        self.samples = self._extents(len(cores))
        self.scene = Scene(
            str(file.attrs.get("target", ""))[:200],
            None if np.isnan(cycle_s) else cycle_s,
            width,
            tuple((int(x), int(y), int(slot)) for x, y, slot in cores),
        )

    def sample(self, number: int) -> Trace:
        """One sample; every number of a tick that ran is finite and not negative."""
        part = slice(number, number + 1)
        series: dict[str, AnyArray] = {name: self._chip[name][part] for name in _AXES}
        ran = ~np.isnan(series["tick_cycles"][0])
        for name, values in series.items():
            shown = values[0] if name == "spikes" else values[0][ran]
            if not np.isfinite(shown).all() or (shown < 0).any():
                self._refuse("a number of the trace is impossible", f"chip/{name}, sample {number}",
                             "finite numbers, not negative")  # fmt: skip
        return Trace(self._populations, channels=self._channels, **series)

    def _extents(self, cores: int) -> int:
        """Number of samples; all series agree with each other and with the tables."""
        samples, ticks = self._series("tick_cycles").shape
        extent = {
            "ticks": ticks - 1,
            "ticks + 1": ticks,
            "cores": cores,
            "channels": len(self._channels),
            "populations": len(self._populations),
        }
        size = 0
        for name, axes in _AXES.items():
            data = self._series(name)
            wanted = (samples, *(extent[axis] for axis in axes))
            if data.shape != wanted:
                self._refuse(f"chip/{name} has another shape", data.shape, wanted)
            size += int(np.prod(wanted[1:])) * data.dtype.itemsize
        if size > SAMPLE_LIMIT:
            self._refuse("a sample is too large", f"{size} bytes", f"{SAMPLE_LIMIT} bytes")
        return int(samples)

    def _series(self, name: str) -> Any:
        data = self._member(self._chip, name)
        plain = isinstance(data, h5py.Dataset) and not data.is_virtual and not data.external
        if not plain or data.dtype.kind not in "fiu" or data.dtype.itemsize > 8:
            self._refuse("not an array of numbers", f"chip/{name}", "integers or reals in the file")
        return data

    def _table(self, name: str, columns: int) -> AnyArray:
        data = self._series(name)
        fine = data.ndim == 2 and data.shape[1] == columns and data.dtype.kind in "iu"
        if not fine or data.shape[0] > TABLE_LIMIT:
            self._refuse(f"chip/{name} has another shape", data.shape, f"(n, {columns}) integers")
        return np.asarray(data[()]).astype(np.int64)

    def _names(self) -> tuple[str, ...]:
        data = self._member(self._chip, "populations")
        plain = isinstance(data, h5py.Dataset) and data.ndim == 1 and data.dtype.kind == "S"
        if not plain or data.size * data.dtype.itemsize > TABLE_LIMIT:
            self._refuse("not a list of names", "chip/populations", "texts of a fixed length")
        return tuple(name.decode() for name in data[()].tolist())

    def _member(self, group: Any, name: str) -> Any:
        """A member that really lies in this file."""
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            self._refuse("the trace lacks a part", f"no {name}", "a file of snnc run --trace")
        return group[name]

    def _refuse(self, problem: str, found: object, allowed: object) -> None:
        raise InputError(problem, where=self._where, found=found, allowed=allowed,
                         remedy="record it again: snnc run ... --trace FILE.h5")  # fmt: skip
