"""The nodes of a network under construction: names, sharing of equal ones, pruning."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnc.compiler.frontends.record import Notes
from snnc.ir.arrays import AnyArray, Shape
from snnc.ir.errors import CompilerBugError, UnsupportedError
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Input, Output


@dataclass
class Nodes:
    """Nodes by name.

    Attributes:
        place: names what is being traced now; set by the tracer.
        where: the same place for messages.
        unavailable: nodes that stand for values no network has, with problem and remedy; an
            error only if an output needs them.
    """

    place: Callable[[], str] = lambda: "net"
    where: Callable[[], str] = lambda: "net"
    notes: Notes = field(default_factory=Notes)
    nodes: dict[str, RealNode] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    unavailable: dict[str, tuple[str, str]] = field(default_factory=dict)
    _known: dict[Hashable, str] = field(default_factory=dict)

    def add(self, kind: type, inputs: tuple[str, ...], out: Shape, key: Hashable = (), /,
            suffix: str = "", **fields: Any) -> str:  # fmt: skip
        """A node of this class, or the name of the equal one there is.

        Args:
            out: its shape.
            key: what identifies the node among those of its class with the same inputs.
            suffix: of the node's name, behind the module's path.
        """
        known = (kind, inputs, out, key)
        if known not in self._known:
            name = self.unique(self.place() + suffix)
            self._known[known] = name
            self.put(kind(name, inputs, **fields), out)
        return self._known[known]

    def put(self, node: RealNode, shape: Shape) -> str:
        """Add a finished node."""
        self.nodes[node.name] = node
        self.shapes[node.name] = shape
        return node.name

    def unique(self, name: str) -> str:
        """The name, numbered where it is taken."""
        count, candidate = 1, name
        while candidate in self.nodes:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def network(self, name: str) -> Network:
        """The finished network, without the nodes that no output needs."""
        needed: set[str] = set()
        waiting = [n.name for n in self.nodes.values() if isinstance(n, Output)]
        while waiting:
            current = waiting.pop()
            if current == "":
                raise CompilerBugError("a feedback was never closed", where=name)
            if current not in needed:
                needed.add(current)
                waiting.extend(self.nodes[current].inputs)
        for node in sorted(needed & self.unavailable.keys()):
            problem, remedy = self.unavailable[node]
            raise UnsupportedError(problem, where=node, remedy=remedy)
        kept = tuple(n for n in self.nodes.values() if n.name in needed or isinstance(n, Input))
        notes: Mapping[str, str] = dict(self.notes.values)
        return Network(name, kept, notes)


def digest(array: AnyArray | None) -> Hashable:
    """Identity of an array's contents."""
    if array is None:
        return None
    data = np.ascontiguousarray(array)
    return (data.shape, data.dtype.str, hashlib.blake2b(data.tobytes(), digest_size=16).digest())
