"""What both networks share: named nodes, implicit edges, order, and structural checks.

A node names its producers in ``inputs``; each node has one output tensor.  A cycle must pass
through at least one ``Delay``: within a time step, data flows along the topological order.
"""

from __future__ import annotations

import heapq
from typing import Protocol, TypeVar

from snnc.ir.errors import ModelError


class Node(Protocol):
    """The part of a node that the structure needs."""

    @property
    def name(self) -> str:
        """Unique name, kept from the model file."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the producers, in operand order."""
        ...


N = TypeVar("N", bound=Node)


def by_name(nodes: tuple[N, ...]) -> dict[str, N]:
    """Index the nodes; names are unique and every edge has both ends."""
    index: dict[str, N] = {}
    for node in nodes:
        if node.name in index:
            raise ModelError("two nodes have the same name", where=node.name)
        index[node.name] = node
    for node in nodes:
        for source in node.inputs:
            if source not in index:
                raise ModelError(
                    "dangling edge: the source node does not exist",
                    where=f"{source} -> {node.name}",
                    allowed=", ".join(sorted(index)[:20]),
                )
    return index


def topological_order(nodes: tuple[N, ...], breaks_cycle: frozenset[str]) -> tuple[N, ...]:
    """Order the nodes so that each follows its producers, ties broken by name.

    Nodes in ``breaks_cycle`` (delays of at least one step) read the past and wait for nobody.
    """
    index = by_name(nodes)
    waiting = {
        node.name: set() if node.name in breaks_cycle else set(node.inputs) for node in nodes
    }
    users: dict[str, list[str]] = {name: [] for name in index}
    for name, sources in waiting.items():
        for source in sources:
            users[source].append(name)
    ready = [name for name, sources in waiting.items() if not sources]
    heapq.heapify(ready)
    order: list[N] = []
    while ready:
        name = heapq.heappop(ready)
        order.append(index[name])
        for user in users[name]:
            waiting[user].discard(name)
            if not waiting[user]:
                heapq.heappush(ready, user)
    if len(order) != len(nodes):
        raise ModelError(
            "a loop without delay: its nodes wait for each other within one time step",
            where=", ".join(_looping(waiting, users)[:12]),
            allowed="every loop passes through a delay of at least one step",
            remedy="the frontend places it for recurrent neurons; see --loop-delay",
        )
    return tuple(order)


def _looping(waiting: dict[str, set[str]], users: dict[str, list[str]]) -> list[str]:
    """Nodes that still wait, without those that merely come after the loop."""
    stuck = {name for name, sources in waiting.items() if sources}
    while ends := {name for name in stuck if not stuck.intersection(users[name])}:
        stuck -= ends
    return sorted(stuck)
