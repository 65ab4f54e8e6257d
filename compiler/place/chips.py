"""Chips first: cores to chips by a hypergraph cut, chips to places, then cores within their chips.

Every net is a hyperedge over its sender and its destinations, so that the cut counts packets that
leave a chip once per chip, as multicast sends them (km1).  Blocks hold what a chip holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snnc.compiler.hypergraph import Hypergraph, divide
from snnc.compiler.place.memetic import search
from snnc.compiler.place.problem import Problem
from snnc.compiler.place.quadratic import LARGEST, Quadratic
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.zones import Zones
from snnc.ir.arrays import IntArray, RealArray

TABU = 500  # iterations per chip while blocks are given to chips


@dataclass(frozen=True, eq=False)
class Division:
    """Cores on chips.

    Attributes:
        chip: [cores] chip of every core.
        crossing: packets per sample that leave a chip, once for every other chip they go to.
    """

    chip: IntArray
    crossing: float


def divided(nets: Problem, chip_of: IntArray, seed: int, watch: Watch) -> Division | None:
    """Cut cores into the fewest chips with few packets between them.

    Args:
        nets: every net in its own direction.
        chip_of: [routers] chip of every router.
        seed: of the cut and of the search for the chips' places.
        watch: time limit and interrupt.

    Returns:
        None where there is nothing to decide: one chip suffices, or there are too many for the
        search of their places.
    """
    sites = nets.sites
    site_chip = chip_of[sites.router]
    chips, room = np.unique(site_chip, return_counts=True)
    capacity = int(room.min())
    blocks = -(-nets.cores // capacity)
    if blocks < 2 or blocks > chips.size or chips.size > LARGEST or watch.due():
        return None
    graph = _hypergraph(nets)
    block = divide(graph, blocks, capacity, seed)
    if (np.bincount(block, minlength=blocks) > capacity).any():
        return None
    flow, host = _flows(nets, block, blocks)
    corner = np.array([sites.router[site_chip == chip].min() for chip in chips])
    distance = sites.mesh.distance(corner[:, None], corner[None]).astype(np.float64)
    away = sites.mesh.distance(corner, np.full(chips.size, nets.host)).astype(np.float64)
    places = Quadratic(flow, distance, host[:, None] * away)
    near = np.argsort(away, kind="stable")[:blocks]
    found = search(places, near, seed, TABU * chips.size, watch)
    return Division(chips[found.site][block], float(flow.sum()))


def held_to_chips(problem: Problem, division: Division, chip_of: IntArray) -> Problem:
    """The problem with every core held to its chip; other zones are given up."""
    site_chip = chip_of[problem.sites.router]
    chips, zone = np.unique(division.chip, return_inverse=True)
    return replace(
        problem, zones=Zones(zone.reshape(-1), site_chip[None] == chips[:, None])
    )  # fmt: skip


def _hypergraph(nets: Problem) -> Hypergraph:
    """One hyperedge per net with a sender on a core: the sender and its destinations."""
    inner = np.flatnonzero(nets.net_core >= 0)
    net = np.repeat(np.arange(nets.net_core.size), np.diff(nets.dest_ptr))
    kept = nets.net_core[net] >= 0
    key = np.concatenate([
        net[kept] * nets.cores + nets.dest[kept], inner * nets.cores + nets.net_core[inner]
    ])  # fmt: skip
    key = np.unique(key)
    owner, pin = key // max(nets.cores, 1), key % max(nets.cores, 1)
    ptr = np.searchsorted(owner, np.concatenate([inner, [nets.net_core.size]]))
    return Hypergraph(
        ptr.astype(np.int64), pin.astype(np.int32), nets.weight[inner].astype(np.float64),
        np.ones(nets.cores, np.int64),
    )  # fmt: skip


def _flows(nets: Problem, block: IntArray, blocks: int) -> tuple[RealArray, RealArray]:
    """([blocks, blocks] packets from block to block, [blocks] from the host); once per block."""
    net = np.repeat(np.arange(nets.net_core.size), np.diff(nets.dest_ptr))
    key = np.unique(net * blocks + block[nets.dest])
    net, goal = key // blocks, key % blocks
    sender = nets.net_core[net]
    inner = sender >= 0
    flow, host = np.zeros((blocks, blocks)), np.zeros(blocks)
    begin = block[np.maximum(sender, 0)]
    far = inner & (begin != goal)
    np.add.at(flow, (begin[far], goal[far]), nets.weight[net[far]])
    np.add.at(host, goal[~inner], nets.weight[net[~inner]])
    return flow, host
