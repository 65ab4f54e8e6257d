"""Logical steps to Lava's time steps.

Every layer of synapses takes one time step and neurons none, so step s of x is emitted at
``period s + first[x]`` and reaches y one step later, or as much later as its term is held back.
Same constraints as ``snnc.compiler.retime`` solves for chips; here the earliest offsets do, since
a queue costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snnc.backends.lava.plan import Window


@dataclass(frozen=True)
class Edge:
    """A term: ``target`` sees step s - delay of ``source`` in its step s."""

    source: str
    target: str
    delay: int


def windows(
    inputs: Sequence[str], targets: Sequence[str], edges: Sequence[Edge], timesteps: int
) -> dict[str, Window]:
    """The window of every input and target, for samples of ``timesteps`` logical steps.

    Samples follow each other without gap where no term has a delay; else so far apart that
    nothing of one arrives in the next.
    """
    period = 1
    while (first := _earliest(inputs, targets, edges, period)) is None:
        period += 1
    longest = max((edge.delay for edge in edges), default=0)
    stride = period * (timesteps + longest)
    return {name: Window(at, timesteps, period, stride) for name, at in first.items()}


def extra(edge: Edge, at: Mapping[str, Window]) -> int:
    """Time steps a term is held back beyond the one its synapses take."""
    source, target = at[edge.source], at[edge.target]
    return source.period * edge.delay + target.first - source.first - 1


def _earliest(
    inputs: Sequence[str], targets: Sequence[str], edges: Sequence[Edge], period: int
) -> dict[str, int] | None:
    """Earliest first step of everything; None where a loop is shorter than its synapses."""
    first = dict.fromkeys(inputs, 1) | dict.fromkeys(targets, 2)
    for _ in range(len(targets) + 1):
        moved = False
        for edge in edges:
            least = first[edge.source] + 1 - period * edge.delay
            if first[edge.target] < least:
                first[edge.target], moved = least, True
        if not moved:
            return first
    return None
