"""Traces to look at in a browser: the JSON "trace event" format of Perfetto and Chrome.

Every core is a process with a track per stage, the chip a process with its ticks, and channels and
populations are counters.  The format counts in microseconds; here one of them is one cycle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from snnc.ir.deployment import Deployment
from snnc.simulators.cycle.result import Trace

EVENT_LIMIT = 1_000_000
"""Events after which no other sample is written; browsers open no larger files."""

CHIP, NETWORK, SPIKES, FIRST_CORE = 1, 2, 3, 10
SWEEP, RECEIVE = 1, 2

Event = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """The machine of a trace: its name, seconds per cycle, routers per row, places of the cores."""

    target: str
    cycle_s: float | None
    width: int
    cores: tuple[tuple[int, int, int], ...]

    @staticmethod
    def of(deployment: Deployment) -> Scene:
        """The machine of a deployment."""
        cycle_s = deployment.target.execution.cycle_s.v
        places = tuple((int(x), int(y), int(k)) for x, y, k in deployment.cores.location)
        known = None if cycle_s is None else float(cycle_s)
        return Scene(deployment.target.id, known, deployment.mesh.width, places)


class PerfettoWriter:
    """Writes samples one after the other on one time axis.

    Attributes:
        samples, left_out: samples written, and those beyond ``EVENT_LIMIT``.
    """

    def __init__(self, file: IO[bytes], scene: Scene, limit: int = EVENT_LIMIT) -> None:
        self.samples = self.left_out = 0
        self._file, self._width, self._limit = file, scene.width, limit
        self._events = 0
        self._origin = 0.0
        about = {"schema": "snnc-perfetto/1", "time_unit": "1 us shown is 1 cycle",
                 "cycle_s": scene.cycle_s, "target": scene.target}  # fmt: skip
        self._file.write(b'{"displayTimeUnit":"ns","otherData":')
        self._file.write(json.dumps(about).encode() + b',"traceEvents":[')
        for event in _names(scene):
            self._put(event)

    def add(self, trace: Trace, barrier_cycles: float) -> None:
        """Append the samples of a trace."""
        for sample in range(len(trace.tick_start)):
            if self.samples and self._events >= self._limit:
                self.left_out += 1
                continue
            for event in self._sample(trace, sample, barrier_cycles):
                self._put(event)
            self.samples += 1

    def close(self) -> None:
        """End the file."""
        self._file.write(b"]}\n")

    def _put(self, event: Event) -> None:
        self._file.write((b",\n" if self._events else b"\n") + json.dumps(event).encode())
        self._events += 1

    def _sample(self, trace: Trace, sample: int, barrier: float) -> Iterator[Event]:
        ran = np.flatnonzero(~np.isnan(trace.tick_cycles[sample]))
        starts = self._origin + trace.tick_start[sample]
        load, spikes = _Changes(NETWORK, "packets"), _Changes(SPIKES, "spikes")
        links = [self._link(*pair) for pair in trace.channels.tolist()]
        for tick in ran.tolist():
            now, length = float(starts[tick]), float(trace.tick_cycles[sample, tick])
            name = "load" if tick == 0 else f"tick {tick - 1}"
            yield _slice(CHIP, 1, f"sample {self.samples}, {name}", now, length)
            if barrier:
                yield _slice(CHIP, 2, "barrier", now + length, barrier)
            yield from _stages(trace, sample, tick, now)
            yield from load.at(now, links, trace.channel_load[sample, tick].tolist())
            if tick:
                yield from spikes.at(
                    now, list(trace.populations), trace.spikes[sample, tick - 1].tolist()
                )
            self._origin = max(self._origin, now + length + barrier)
        yield from load.at(self._origin, links, [0] * len(links))
        yield from spikes.at(self._origin, list(trace.populations), [0] * len(trace.populations))

    def _link(self, source: int, target: int) -> str:
        a, b = divmod(source, self._width), divmod(target, self._width)
        return f"({a[1]},{a[0]})->({b[1]},{b[0]})"


class _Changes:
    """Counter events of the values that differ from the tick before."""

    def __init__(self, process: int, unit: str) -> None:
        self._process, self._unit = process, unit
        self._last: dict[str, int] = {}

    def at(self, time: float, names: list[str], values: list[int]) -> Iterator[Event]:
        for name, value in zip(names, values, strict=True):
            if self._last.get(name, 0) != value:
                self._last[name] = value
                yield {"ph": "C", "pid": self._process, "name": name, "ts": time,
                       "args": {self._unit: value}}  # fmt: skip


def _stages(trace: Trace, sample: int, tick: int, now: float) -> Iterator[Event]:
    """Slices of the cores that worked; a receive slice ends where the work ended, gaps left out."""
    at = sample, tick
    for core in np.flatnonzero(trace.sweep_cycles[at]).tolist():
        stalled = float(trace.stall_cycles[at][core])
        length = float(trace.sweep_cycles[at][core])
        event = _slice(FIRST_CORE + core, SWEEP, "sweep", now, length)
        yield event | {"args": {"stall_cycles": stalled}}
    for core in np.flatnonzero(trace.received[at]).tolist():
        busy, end = float(trace.receive_cycles[at][core]), float(trace.receive_end[at][core])
        event = _slice(FIRST_CORE + core, RECEIVE, "receive", now + end - busy, busy)
        yield event | {"args": {"packets": int(trace.received[at][core])}}


def _slice(process: int, thread: int, name: str, start: float, length: float) -> Event:
    return {"ph": "X", "pid": process, "tid": thread, "name": name, "ts": start, "dur": length}


def _names(scene: Scene) -> Iterator[Event]:
    """Names and order of all tracks."""
    processes = [(CHIP, "chip", ("ticks", "barrier")), (NETWORK, "packets per channel", ()),
                 (SPIKES, "spikes per population", ())]  # fmt: skip
    for core, (x, y, slot) in enumerate(scene.cores):
        processes.append((FIRST_CORE + core, f"core {core} at ({x},{y}) slot {slot}",
                          ("sweep", "receive")))  # fmt: skip
    for process, name, threads in processes:
        yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}
        yield {"ph": "M", "pid": process, "name": "process_sort_index",
               "args": {"sort_index": process}}  # fmt: skip
        for number, thread in enumerate(threads, 1):
            yield {"ph": "M", "pid": process, "tid": number, "name": "thread_name",
                   "args": {"name": thread}}  # fmt: skip
