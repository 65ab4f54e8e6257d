"""The directed links of a mesh, what a packet costs them, and nets between routers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.geometry import grid_of
from snnc.compiler.route.priced import Links, Nets, Scratch
from snnc.compiler.traffic import Traffic
from snnc.ir.arrays import IntArray, RealArray, sorted_unique
from snnc.ir.target import Target
from snnc.ir.topology import Mesh


@dataclass(frozen=True, eq=False)
class Demand:
    """What has to be carried where.

    Attributes:
        mesh: the joined mesh.
        root: [nets] router where a net starts.
        rate: [nets] packets per sample.
        ptr, dest: [nets + 1], [destinations] routers to reach, distinct in a net, nearest first.
        cycles: [sides * routers] cycles a packet occupies a link; infinite where there is none.
    """

    mesh: Mesh
    root: IntArray
    rate: RealArray
    ptr: IntArray
    dest: IntArray
    cycles: RealArray

    @staticmethod
    def of(flow: Traffic, root: IntArray, router: IntArray, target: Target, mesh: Mesh) -> Demand:
        """The nets of a traffic whose cores sit at ``router`` [cores]."""
        net = np.repeat(np.arange(flow.nets), np.diff(flow.dest_ptr))
        key = sorted_unique(net * mesh.routers + router[flow.dest])
        owner, dest = key // mesh.routers, key % mesh.routers
        start = root[owner]
        order = np.lexsort((dest, mesh.distance(start, dest), owner))
        ptr = np.searchsorted(owner, np.arange(flow.nets + 1))
        cycles = link_cycles(target, mesh)
        return Demand(mesh, root, flow.rate.astype(np.float64), ptr, dest[order], cycles)

    @property
    def distance(self) -> IntArray:
        """[destinations] hops of a shortest path that does not cross joined sides."""
        start = np.repeat(self.root, np.diff(self.ptr))
        return self.mesh.distance(start, self.dest, wrap=False)

    def fresh(self) -> tuple[Links, Nets, Scratch]:
        """Empty links, nets without trees, and scratch room."""
        routers, nets = self.mesh.routers, self.root.size
        walked = np.concatenate([[0], np.cumsum(self.distance)])
        steps = np.diff(walked[self.ptr])
        # A tree never visits a router twice.
        room = np.concatenate([[0], np.cumsum(np.minimum(steps + 1, routers))])
        longest = int(np.diff(room).max(initial=1))
        size = self.cycles.size
        links = Links(
            grid_of(self.mesh), grid_of(self.mesh, wrap=False), self.mesh.sides,
            self.mesh.neighbours.reshape(-1), self.cycles, np.zeros(size), np.ones(size),
        )  # fmt: skip
        trees = Nets(
            self.root.astype(np.int32), self.rate, self.ptr.astype(np.int64),
            self.dest.astype(np.int32), room.astype(np.int64), np.zeros(nets, np.int64),
            np.zeros(int(room[-1]), np.int32), np.zeros(int(room[-1]), np.int32),
            np.zeros(nets, np.int64),
        )  # fmt: skip
        scratch = Scratch(
            np.zeros(routers, np.int64), np.zeros(routers, np.int64), np.zeros(longest, np.int32),
            np.zeros(longest, np.int32), np.zeros(routers), np.zeros(routers, np.int64),
            np.zeros(2, np.int64),
        )  # fmt: skip
        return links, trees, scratch


def link_cycles(target: Target, mesh: Mesh) -> RealArray:
    """[sides * routers] cycles a packet occupies every link; infinite where there is none.

    A link between chips takes ``chip_link_cycles``, or as long as any other where nobody
    published it, as in the cycle simulator.
    """
    rate = target.noc.packets_per_cycle.v or 1.0
    there = mesh.neighbours
    chip = mesh.chip(np.arange(mesh.routers))
    across = max(1.0 / rate, float(target.noc.chip_link_cycles.v or 0.0))
    result = np.where(chip[there] != chip[:, None], across, 1.0 / rate)
    return np.where(there < 0, np.inf, result).reshape(-1)


def ends_of(mesh: Mesh, link: IntArray) -> tuple[IntArray, IntArray]:
    """Routers at which links begin and end."""
    return link // mesh.sides, mesh.neighbours.reshape(-1)[link]
