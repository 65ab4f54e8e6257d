"""The placement problem: cores onto sites of a mesh, nets to be kept short."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnc.compiler.place.zones import Zones
from snnc.compiler.traffic import Traffic, weighted
from snnc.ir.arrays import IntArray, RealArray, sorted_unique
from snnc.ir.errors import CapacityError
from snnc.ir.target import LinkKind, Target
from snnc.ir.topology import Mesh, usable_chips


@dataclass(frozen=True, eq=False)
class Sites:
    """Where cores can be.

    Attributes:
        router: [sites] router of each usable core site.
        slot: [sites] its slot at the router.
        width: routers per row.
        routers: number of routers.
        slots: sites per router on the chip, usable or not.
        links: of every router; see ``ir.topology.Mesh``.
    """

    router: IntArray
    slot: IntArray
    width: int
    routers: int
    slots: int
    links: LinkKind = "mesh"

    @cached_property
    def mesh(self) -> Mesh:
        """The routers, as if they were one chip."""
        height = self.routers // self.width
        return Mesh(self.width, height, self.width, height, self.slots, self.links)

    @property
    def count(self) -> int:
        """Number of usable sites."""
        return int(self.router.size)

    @cached_property
    def xy(self) -> IntArray:
        """[sites, 2]."""
        return np.stack([self.router % self.width, self.router // self.width], axis=1)

    @cached_property
    def room(self) -> IntArray:
        """[routers] usable sites per router."""
        return np.bincount(self.router, minlength=self.routers)


def sites_of(target: Target, mesh: Mesh) -> Sites:
    """Usable core sites of all chips that can be reached.

    Defects (x, y, slot of a chip) hold on every chip; of the rest at most ``usable_cores`` per
    chip are used, those closest to the chip's host corner.
    """
    slots = mesh.cores_per_router
    width, height = mesh.chip_width, mesh.chip_height
    y, x, slot = (a.reshape(-1) for a in np.indices((height, width, slots)))
    works = np.ones((height, width, slots), np.bool_)
    for dx, dy, ds in target.topology.defects:
        works[dy, dx, ds] = False
    alive = works.reshape(-1)
    host_x, host_y = target.topology.host_router
    distance = np.abs(x - host_x) + np.abs(y - host_y)
    order = np.lexsort((slot, x, y, distance))
    order = order[alive[order]][: target.topology.usable_cores]
    columns = mesh.width // width
    chips = [
        (chip % columns * width, chip // columns * height) for chip in usable_chips(target, mesh)
    ]
    router = [(y[order] + oy) * mesh.width + x[order] + ox for ox, oy in chips]
    all_slots = np.tile(slot[order], len(chips))
    flat = np.concatenate(router)
    rank = np.lexsort((all_slots, flat))
    return Sites(flat[rank], all_slots[rank], mesh.width, mesh.routers, slots, mesh.links)


@dataclass(frozen=True, eq=False)
class Problem:
    """Cores, sites, nets with weights, and the router of the host port.

    A net's cost is its weight times the edges of its tree in dimension order (one destination: the
    distance).
    ``zones`` hold cores in a part of the machine.
    """

    sites: Sites
    host: int
    cores: int
    net_core: IntArray
    dest_ptr: IntArray
    dest: IntArray
    weight: RealArray
    zones: Zones | None = None

    @staticmethod
    def of(traffic: Traffic, sites: Sites, host: int, zones: Zones | None = None) -> Problem:
        """The problem of placing the cores of some traffic.

        Raises:
            CapacityError: there are more cores than sites.
        """
        if traffic.cores > sites.count:
            raise CapacityError(
                "more cores are needed than the machine has",
                where="placement",
                found=f"{traffic.cores} cores",
                allowed=f"{sites.count} usable sites",
                remedy="add chips (--chips)",
            )
        return Problem(sites, host, traffic.cores, *_merged(traffic), zones)

    @staticmethod
    def directed(traffic: Traffic, sites: Sites, host: int, zones: Zones | None = None) -> Problem:
        """As ``of`` with every net as it is: links have a direction, weighted hops have none."""
        nets = traffic.net_core, traffic.dest_ptr, traffic.dest, traffic.rate
        return Problem(sites, host, traffic.cores, *nets, zones)

    @cached_property
    def pins(self) -> tuple[IntArray, IntArray]:
        """(pointers [cores + 1], nets): the nets every core takes part in, each once."""
        net = np.repeat(np.arange(self.net_core.size), np.diff(self.dest_ptr))
        core = np.concatenate([self.dest, self.net_core[self.net_core >= 0]])
        owner = np.concatenate([net, np.flatnonzero(self.net_core >= 0)])
        pairs = sorted_unique(core * max(self.net_core.size, 1) + owner)
        core, owner = pairs // max(self.net_core.size, 1), pairs % max(self.net_core.size, 1)
        return np.searchsorted(core, np.arange(self.cores + 1)), owner

    @cached_property
    def flow(self) -> tuple[IntArray, IntArray, RealArray]:
        """(core, core, weight) such that sum of weight x distance never exceeds the cost.

        A tree has at least as many edges as its farthest destination is away, hence as the mean
        distance of its destinations; the weight of a net is shared among them.
        """
        net = np.repeat(np.arange(self.net_core.size), np.diff(self.dest_ptr))
        sender = self.net_core[net]
        away = sender != self.dest
        count = np.bincount(net[away], minlength=self.net_core.size)
        share = self.weight[net] / np.maximum(count[net], 1)
        return sender[away], self.dest[away], share[away]


def _merged(traffic: Traffic) -> tuple[IntArray, IntArray, IntArray, RealArray]:
    """(net_core, dest_ptr, dest, weight) with one net per pair of cores that talk alone.

    A path is as long in one direction as in the other, so both directions are one net.
    """
    size = np.diff(traffic.dest_ptr)
    pair = np.flatnonzero(size == 1)
    sender, dest = traffic.net_core[pair], traffic.dest[traffic.dest_ptr[pair]]
    span = traffic.cores + 1
    key = (np.minimum(sender, dest) + 1) * span + np.maximum(sender, dest)
    unique, index = np.unique(key, return_inverse=True)
    weight = weighted(index.reshape(-1), traffic.rate[pair], unique.size)
    tree = np.flatnonzero(size != 1)
    length = np.concatenate([np.ones(unique.size, np.int64), size[tree]])
    flat = np.repeat(size != 1, size)
    return (
        np.concatenate([unique // span - 1, traffic.net_core[tree]]),
        np.concatenate([[0], np.cumsum(length)]),
        np.concatenate([unique % span, traffic.dest[flat]]),
        np.concatenate([weight, traffic.rate[tree]]),
    )
