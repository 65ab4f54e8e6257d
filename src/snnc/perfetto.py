"""Traces to look at in a browser: the JSON "trace event" format of Perfetto and Chrome.

Every core is a process with a track per stage, the chip a process with its ticks, and channels and
populations are counters.  The format counts in microseconds; here one of them is one cycle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from snnc.ir.deployment import Deployment
from snnc.simulators.cycle.result import Trace

EVENT_LIMIT = 1_000_000
"""Events after which no other sample is written; browsers open no larger files."""

CHIP, NETWORK, SPIKES, FIRST_CORE = 1, 2, 3, 10
SWEEP, RECEIVE = 1, 2

Event = dict[str, Any]


class PerfettoWriter:
    """Writes samples one after the other on one time axis.

    Attributes:
        samples, left_out: samples written, and those beyond ``EVENT_LIMIT``.
    """

    def __init__(self, file: IO[bytes], deployment: Deployment, limit: int = EVENT_LIMIT) -> None:
        self.samples = self.left_out = 0
        self._file, self._mesh, self._limit = file, deployment.mesh, limit
        self._events = 0
        self._origin = 0.0
        cycle_s = deployment.target.execution.cycle_s.v
        about = {"schema": "snnc-perfetto/1", "time_unit": "1 us shown is 1 cycle",
                 "cycle_s": cycle_s, "target": deployment.target.id}  # fmt: skip
        self._file.write(b'{"displayTimeUnit":"ns","otherData":')
        self._file.write(json.dumps(about).encode() + b',"traceEvents":[')
        for event in _names(deployment):
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
        a, b = self._mesh.xy(source), self._mesh.xy(target)
        return f"({a[0]},{a[1]})->({b[0]},{b[1]})"


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


def _names(deployment: Deployment) -> Iterator[Event]:
    """Names and order of all tracks."""
    processes = [(CHIP, "chip", ("ticks", "barrier")), (NETWORK, "packets per channel", ()),
                 (SPIKES, "spikes per population", ())]  # fmt: skip
    for core, (x, y, slot) in enumerate(deployment.cores.location.tolist()):
        processes.append((FIRST_CORE + core, f"core {core} at ({x},{y}) slot {slot}",
                          ("sweep", "receive")))  # fmt: skip
    for process, name, threads in processes:
        yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}
        yield {"ph": "M", "pid": process, "name": "process_sort_index",
               "args": {"sort_index": process}}  # fmt: skip
        for number, thread in enumerate(threads, 1):
            yield {"ph": "M", "pid": process, "tid": number, "name": "thread_name",
                   "args": {"name": thread}}  # fmt: skip
