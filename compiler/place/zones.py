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
FEW = 1_000
"""Cores for which the nearest free site is looked for; more take what is free in order."""


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
    """A placement near ``site`` [cores] with every core in its zone; the others move little.

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
    for k in np.argsort(zones.allowed.sum(axis=1), kind="stable"):
        mine = np.flatnonzero(zones.zone == k)
        good = (result[mine] >= 0) & zones.allowed[k, result[mine]] & ~fixed[result[mine]]
        fixed[result[mine[good]]] = True
        moving = mine[~good]
        goal = _nearest(xy, site[moving], np.flatnonzero(zones.allowed[k] & ~fixed))
        left = result[moving]
        owner[left[left >= 0]] = -1
        others = owner[goal]
        result[others[others >= 0]] = -1
        result[moving], owner[goal], fixed[goal] = goal, moving, True
    homeless = np.flatnonzero(result < 0)
    result[homeless] = _nearest(xy, site[homeless], np.flatnonzero(owner < 0))
    return result


def _nearest(xy: IntArray, start: IntArray, free: IntArray) -> IntArray:
    """[cores] different ones of the sites ``free``, near to where the cores start."""
    if free.size < start.size:
        raise CompilerBugError("pinned cores do not fit their zones", found=free.size)
    if start.size > FEW:
        return free[: start.size]
    goal = np.empty(start.size, np.int64)
    for k, begin in enumerate(start):
        best = int(np.argmin(np.abs(xy[free] - xy[begin]).sum(axis=1)))
        goal[k], free = free[best], np.delete(free, best)
    return goal
