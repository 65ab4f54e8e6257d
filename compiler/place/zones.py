"""Cores that may only be in some places: pinned input and output layers, layers bound to a chip.

Every engine honours zones: the annealers refuse moves that leave one, the exact solvers have no
such sites, and structured starts are corrected by ``settled``.  The places of a machine (cores,
routers, chips) lie inside each other or apart, so that cores of the smallest zones first always
finds a place for all if there is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import IntArray
from snnc.ir.errors import CompilerBugError

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Zones:
    """Where cores may be.

    Attributes:
        zone: [cores] zone of every core, -1: anywhere.
        allowed: [zones, sites] whether a site belongs to a zone.
    """

    zone: IntArray
    allowed: BoolArray

    @property
    def held(self) -> IntArray:
        """Cores that have a zone."""
        return np.flatnonzero(self.zone >= 0)

    def permits(self, site: IntArray) -> bool:
        """Whether every core of a placement [cores] is in its zone."""
        held = self.held
        return bool(self.allowed[self.zone[held], site[held]].all())


def masks(zones: Zones | None, cores: int) -> tuple[IntArray, BoolArray]:
    """(zone of every core, [zones, sites] allowed) for kernels, also without zones."""
    if zones is None:
        return np.full(cores, -1, np.int64), np.ones((1, 1), np.bool_)
    return zones.zone, zones.allowed


def settled(zones: Zones | None, xy: IntArray, site: IntArray) -> IntArray:
    """The placement nearest to ``site`` [cores] with every core in its zone.

    Args:
        zones: where cores may be; without, ``site`` is returned.
        xy: [sites, 2] coordinates.
        site: a placement that may break the zones.
    """
    if zones is None or zones.permits(site):
        return site
    result = site.copy()
    owner = np.full(len(xy), -1, np.int64)
    owner[site] = np.arange(site.size)
    fixed = np.zeros(len(xy), np.bool_)
    size = zones.allowed.sum(axis=1)
    held = zones.held
    homeless: list[int] = []
    for core in held[np.argsort(size[zones.zone[held]], kind="stable")]:
        here = result[core]
        free = zones.allowed[zones.zone[core]] & ~fixed
        if here < 0 or not free[here]:
            if not free.any():
                raise CompilerBugError("pinned cores do not fit their zones", found=int(core))
            start = site[core]
            goal = _nearest(xy, start, free)
            if here >= 0:
                owner[here] = -1
            other = owner[goal]
            if other >= 0:
                result[other] = -1
                homeless.append(int(other))
            result[core] = goal
            owner[goal] = core
        fixed[result[core]] = True
    for core in homeless:
        if result[core] < 0:
            goal = _nearest(xy, site[core], owner < 0)
            result[core], owner[goal] = goal, core
    return result


def _nearest(xy: IntArray, start: int, among: BoolArray) -> int:
    sites = np.flatnonzero(among)
    return int(sites[np.argmin(np.abs(xy[sites] - xy[start]).sum(axis=1))])
