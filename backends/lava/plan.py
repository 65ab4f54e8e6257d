"""A network as Lava processes and connections, without Lava itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snnc.ir.arrays import AnyArray, Shape

Through = tuple[tuple[str, Shape], ...]
"""Reshapes and transpositions a port is seen through: ("reshape", shape), ("transpose", axes)."""


@dataclass(frozen=True)
class Window:
    """Time steps in which a process lives, as in ``standalone/snnc_processes.py``.

    Attributes:
        first: time step of the first logical step of the first sample, counted from 1.
        steps: logical steps of a sample.
        period: time steps per logical step.
        stride: time steps from one sample to the next.
    """

    first: int
    steps: int
    period: int
    stride: int

    def as_dict(self) -> dict[str, int]:
        """JSON values."""
        return {
            "first": self.first,
            "steps": self.steps,
            "period": self.period,
            "stride": self.stride,
        }


@dataclass(frozen=True, eq=False)
class Matrix:
    """A sparse matrix in compressed rows."""

    data: AnyArray
    indices: AnyArray
    indptr: AnyArray
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Process:
    """One Lava process.

    Attributes:
        kind: a key of the worker's table of processes.
        parameters: JSON values by name.
        arrays: array parameters by name; "a.b" is field b of parameter a.
        matrices: sparse matrix parameters by name.
    """

    name: str
    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, AnyArray] = field(default_factory=dict)
    matrices: Mapping[str, Matrix] = field(default_factory=dict)


@dataclass(frozen=True)
class Connection:
    """From an out-port, seen through reshapes and transpositions, to an in-port."""

    source: str
    out: str
    through: Through
    target: str
    into: str


@dataclass(frozen=True, eq=False)
class Plan:
    """A network on Lava.

    Attributes:
        inputs: size of every input, by name; each becomes a Lava ring buffer.
        processes: without inputs and recorders.
        emitters: by population, the process whose ``s_out`` sends its spikes.
        windows: by input, population and operator, the steps in which it lives.
        notes: by population, why it is not one of Lava's own neurons; and what else was decided.
    """

    name: str
    inputs: Mapping[str, int]
    processes: tuple[Process, ...]
    connections: tuple[Connection, ...]
    emitters: Mapping[str, str]
    windows: Mapping[str, Window]
    notes: Mapping[str, str]

    def time_steps(self, samples: int) -> int:
        """Lava time steps that ``samples`` samples take."""
        last = max(w.first + w.period * (w.steps - 1) for w in self.windows.values())
        return (samples - 1) * next(iter(self.windows.values())).stride + last
