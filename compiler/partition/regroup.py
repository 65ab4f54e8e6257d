"""Which clusters share a core: moves and swaps that save packets, on no more cores.

First fit knows what fits, not who talks to whom.  Here a cluster moves to a core, or changes places
with a cluster of one, that holds others with the same sources, or its senders or receivers.  A
packet goes once to every core with a destination but its own, so what counts is the number of
(packet, core) pairs.  Limits that add up are looked at first; before a step is taken both cores
are measured exactly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.compiler.partition.affinity import ABSENT, steps_of, wake
from snnc.compiler.partition.clusters import Clusters
from snnc.compiler.partition.layout import layout
from snnc.compiler.partition.nets import Nets, nets_of_clusters
from snnc.compiler.partition.share import ROOM
from snnc.ir.arrays import AnyArray, IntArray, RealArray
from snnc.ir.row_shapes import pointers

PASSES = 12
LAYOUTS = 2
PARCEL = 0.25
"""Hops that a packet to a core is worth, beside those of its way."""
STEPS = 8
"""Steps of a cluster that are measured exactly before it is left alone for a pass."""
SLACK = 0.1
"""Rows of one source merge: so much more than a core, costs added, may turn out to fit."""
LONGEST = 256
"""Clusters of a net from which on it is thought to reach every core, whatever moves."""
LEAST = 1e-9
"""Share of all packets that a step must save."""


class Regrouping:
    """Clusters on cores.

    Args:
        clusters: what is to be packed.
        core: [clusters] where every one is, changed in place; every core fits.
    """

    def __init__(self, clusters: Clusters, core: IntArray) -> None:
        self.clusters, self.core = clusters, core
        nets = self.nets = _short(nets_of_clusters(clusters.meter.wiring, clusters.tilings))
        self._nets = nets.weight, nets.home, nets.ptr, nets.dest
        self._at = (*nets.at_homes(), *nets.at_destinations())
        self._least = LEAST * nets.packets
        walls = clusters.meter.limits.walls
        capacity = np.array([max(w.capacity, 1) for w in walls], np.float64)
        merging = np.array([bool(w.per_axon) or "n_axons_in" in w.names for w in walls], bool)
        added = np.array([not w.table for w in walls], bool)
        share = clusters.usage() / capacity / (1 + SLACK * merging)
        self._usage = np.ascontiguousarray(share[:, added])
        cores = int(core.max(initial=-1)) + 1
        self._load = np.zeros((cores, self._usage.shape[1]))
        np.add.at(self._load, core, self._usage)
        self._members: list[set[int]] = [set() for _ in range(cores)]
        self._head = np.full(cores, ABSENT, np.int64)
        self._next = np.full(core.size, ABSENT, np.int64)
        for cluster, place in enumerate(core.tolist()):
            self._members[place].add(cluster)
        for place in range(cores):
            self._link(place)
        self._known: dict[frozenset[int], bool] = {}
        self._x, self._y, self._parcel = np.zeros(cores + 1), np.zeros(cores + 1), 1.0
        self._ways = np.zeros(cores + 1), np.zeros(cores + 1)
        self._marks = (
            np.zeros(cores + 1, np.int64), np.zeros((2, cores + 1), np.int64), np.zeros(1, np.int64)
        )  # fmt: skip
        self.taken = 0

    @property
    def places(self) -> tuple[RealArray, RealArray]:
        """([cores + 1] x, [cores + 1] y) where cores are thought to be, and last the host."""
        return self._x, self._y

    def far(self, x: RealArray, y: RealArray, parcel: float) -> None:
        """From now on ways count.

        Args:
            x, y: [cores].
            parcel: hops that a packet is worth beside those of its way.
        """
        self._x, self._y, self._parcel = np.append(x, 0.0), np.append(y, 0.0), parcel

    def improve(self) -> None:
        """Fewer packets first, then shorter ways."""
        self._descend()
        slots = self.clusters.meter.limits.target.topology.cores_per_router
        for _ in range(LAYOUTS):
            before = self.taken
            places = layout(self.nets, self.core, self._head.size, slots)
            if places is None:
                break
            self.far(*places, PARCEL)
            self._descend()
            if self.taken == before:
                break

    def _descend(self) -> None:
        """Take steps until none saves anything, or the passes are over."""
        waiting = self._movable()
        for _ in range(PASSES):
            before = self.taken
            for cluster in np.flatnonzero(waiting).tolist():
                waiting[cluster] = False
                if any(self._take(cluster, *step[:2]) for step in self.steps(cluster)):
                    wake(cluster, *self._nets[1:], *self._at, waiting)
            waiting &= self._movable()
            if self.taken == before:
                break

    def _movable(self) -> AnyArray:
        """[clusters] those beside which there is room, and that share a core or could.

        What fills a core alone changes places when the other cluster's turn comes.
        """
        if not self._usage.size:
            return np.ones(self.core.size, np.bool_)
        room = ROOM - self._load.min(axis=0)
        lone = self._next[self._head[self.core]] == ABSENT
        movable: AnyArray = (self._usage + self._usage.min(axis=0) <= ROOM).all(axis=1)
        movable &= ~lone | (self._usage <= room).all(axis=1)
        return movable

    def steps(self, cluster: int) -> list[tuple[int, int, float]]:
        """The best steps: core to go to, cluster that comes back or ``ABSENT``, what is saved."""
        place, other, saved = np.zeros(STEPS, np.int64), np.zeros(STEPS, np.int64), np.zeros(STEPS)
        steps_of(
            cluster, self.core, *self._nets, *self._at, self._usage, self._load,
            self.clusters.kind, self._head, self._next, self._x, self._y, self._parcel,
            *self._ways, *self._marks, place, other, saved,
        )  # fmt: skip
        found = zip(place.tolist(), other.tolist(), saved.tolist(), strict=True)
        return [step for step in found if step[2] > self._least]

    def _take(self, cluster: int, there: int, back: int) -> bool:
        """Move a cluster, and another one the other way, if both cores then fit exactly."""
        here = int(self.core[cluster])
        coming, going = {cluster}, {back} - {ABSENT}
        after = self._members[there] - going | coming, self._members[here] - coming | going
        if not all(self._fit(members) for members in after):
            return False
        self.taken += 1
        for place, members in zip((there, here), after, strict=True):
            self._members[place] = members
            self.core[list(members)] = place
            self._load[place] = self._usage[sorted(members)].sum(axis=0)
            self._link(place)
        return True

    def _fit(self, members: set[int]) -> bool:
        key = frozenset(members)
        if key not in self._known:
            self._known[key] = not members or self.clusters.fit(sorted(members))
        return self._known[key]

    def _link(self, place: int) -> None:
        """Write the members of a core as a chain for the kernels."""
        last = ABSENT
        for member in sorted(self._members[place]):
            self._next[member] = last
            last = member
        self._head[place] = last


def _short(nets: Nets) -> Nets:
    """Without the nets that reach very many clusters, and those without packets."""
    size = np.diff(nets.ptr)
    kept = (size <= LONGEST) & (nets.weight > 0)
    return replace(
        nets,
        weight=nets.weight[kept],
        home=nets.home[kept],
        ptr=pointers(size[kept]),
        dest=nets.dest[np.repeat(kept, size)],
    )
