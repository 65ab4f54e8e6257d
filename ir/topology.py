"""Coordinates of a machine of several chips: one global router mesh.

Routers are numbered ``y * width + x`` over the joined mesh of all chips; a channel is a directed
pair of neighbouring routers.  What lies in which *direction* is said here once, for every kind of
links a target may have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.errors import OptionError
from snnc.ir.target import LinkKind, Target

Where = TypeVar("Where", int, IntArray)
DIRECTIONS: dict[LinkKind, tuple[tuple[int, int], ...]] = {
    "mesh": ((1, 0), (-1, 0), (0, 1), (0, -1)),
    "hex_torus": ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)),
}
"""Steps along x and y of the links of a router, by number; opposite links are neighbours in it."""

MOST_SITES = 1 << 22
"""Places for cores on all chips together: the largest machines have a quarter of that, and more
would take all memory before anything is mapped."""


@dataclass(frozen=True)
class Mesh:
    """The joined router mesh: ``width x height`` routers, chips of ``chip_width x chip_height``.

    ``links``: four neighbours and an end on every side ("mesh"), or six with both sides joined to
    the opposite ones ("hex_torus"), as in SpiNNaker: also (x + 1, y + 1) and (x - 1, y - 1).
    """

    width: int
    height: int
    chip_width: int
    chip_height: int
    cores_per_router: int
    links: LinkKind = "mesh"

    @property
    def routers(self) -> int:
        """Number of routers."""
        return self.width * self.height

    def router(self, x: int, y: int) -> int:
        """Global number of the router at (x, y)."""
        return y * self.width + x

    def xy(self, router: int) -> tuple[int, int]:
        """Coordinates of a router."""
        return router % self.width, router // self.width

    def chip(self, router: Where) -> Where:
        """Chip a router belongs to, row by row."""
        x, y = router % self.width, router // self.width
        return (y // self.chip_height) * (self.width // self.chip_width) + x // self.chip_width

    @property
    def sides(self) -> int:
        """Directions in which a router can have a link."""
        return len(DIRECTIONS[self.links])

    @property
    def wraps(self) -> bool:
        """Whether opposite sides are joined."""
        return self.links == "hex_torus"

    @cached_property
    def neighbours(self) -> IntArray:
        """[routers, sides] router in every direction, -1 where there is no link.

        Of links that lead to the same router on a narrow torus only the first counts, and a link
        back to its own router does not.
        """
        router = np.arange(self.routers)
        result = np.full((self.routers, self.sides), -1, np.int64)
        for side, (dx, dy) in enumerate(DIRECTIONS[self.links]):
            x, y = router % self.width + dx, router // self.width + dy
            fine = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
            if self.wraps:
                x, y = x % self.width, y % self.height
                there = y * self.width + x
                fine = (there != router) & (result[:, :side] != there[:, None]).all(axis=1)
            result[fine, side] = (y * self.width + x)[fine]
        result.flags.writeable = False
        return result

    def direction(self, begin: IntArray, end: IntArray) -> IntArray:
        """Direction of the link between pairs of routers; -1 where they are no neighbours."""
        there = self.neighbours[begin] == np.asarray(end)[..., None]
        side: IntArray = np.where(there.any(axis=-1), there.argmax(axis=-1), -1)
        return side

    def offset(self, begin: IntArray, end: IntArray, wrap: bool = True) -> IntArray:
        """[..., 3] signed steps of a shortest path: diagonal, along x, along y.

        On a torus the way round that is shorter is taken, the one without crossing the joined
        sides at equality; never across them with ``wrap`` False.
        """
        begin, end = np.asarray(begin, np.int64), np.asarray(end, np.int64)
        dx, dy = end % self.width - begin % self.width, end // self.width - begin // self.width
        if not self.wraps:
            return np.stack([np.zeros_like(dx), dx, dy], axis=-1)
        best = _hexagonal(dx, dy)
        for round_x in (0, 1) if wrap else ():
            for round_y in (0, 1):
                other = _hexagonal(
                    dx - np.where(dx > 0, 1, -1) * self.width * round_x,
                    dy - np.where(dy > 0, 1, -1) * self.height * round_y,
                )
                shorter = np.abs(other).sum(axis=-1) < np.abs(best).sum(axis=-1)
                best = np.where(shorter[..., None], other, best)
        return best

    def distance(self, begin: IntArray, end: IntArray, wrap: bool = True) -> IntArray:
        """Hops of a shortest path; see ``offset``."""
        hops: IntArray = np.abs(self.offset(begin, end, wrap)).sum(axis=-1)
        return hops


def _hexagonal(dx: IntArray, dy: IntArray) -> IntArray:
    """Steps to (dx, dy): the diagonal ones save two others where both have the same sign."""
    same = dx * dy > 0
    diagonal = np.where(same, np.sign(dx) * np.minimum(np.abs(dx), np.abs(dy)), 0)
    return np.stack([diagonal, dx - diagonal, dy - diagonal], axis=-1)


def usable_chips(target: Target, mesh: Mesh) -> tuple[int, ...]:
    """Numbers of the chips that may hold cores, rising.

    They are the largest rectangle of chips around the host's, the first one, in which no border
    is broken (``topology.broken_chip_links``): inside it every shortest path between two routers
    exists.  Ties go to the rectangle with more columns.
    """
    columns, rows = mesh.width // mesh.chip_width, mesh.height // mesh.chip_height
    broken = [(max(a[0], b[0]), max(a[1], b[1])) for a, b in target.topology.broken_chip_links]
    sizes = [
        (wide * high, wide, high)
        for wide in range(1, columns + 1)
        for high in range(1, rows + 1)
        if not any(x < wide and y < high for x, y in broken)
    ]
    _, wide, high = max(sizes)
    return tuple(y * columns + x for y in range(high) for x in range(wide))


def chip_grid(target: Target, chips: int) -> tuple[int, int]:
    """Columns and rows of chips.

    Raises:
        OptionError: the target says how many columns there are, and the chips do not fill them.
    """
    arrangement = target.topology.chip_arrangement
    if arrangement == "square":
        # The most nearly square full rectangle; a prime count stays a row.
        rows = next(side for side in range(math.isqrt(chips), 0, -1) if chips % side == 0)
        return chips // rows, rows
    columns = chips if arrangement == "row" else arrangement
    if chips % columns:
        raise OptionError(
            f"the chips of {target.id} stand in {columns} columns",
            where="--chips",
            found=chips,
            allowed=f"a multiple of {columns}",
            remedy="say columns and rows (--chips WxH), or change topology.chip_arrangement",
        )
    return columns, chips // columns


def mesh_of(target: Target, chips: int) -> Mesh:
    """The joined mesh of ``chips`` chips of a target.

    Raises:
        OptionError: so many cannot be joined, have more than ``MOST_SITES`` places for cores, or do
            not fill the target's columns.
    """
    limit = target.topology.max_chips.v
    if chips < 1 or (limit is not None and chips > limit):
        raise OptionError(
            "this many chips cannot be joined",
            where="--chips",
            found=chips,
            allowed=f"1 to {limit:g} for {target.id}" if limit else "1 or more",
        )
    width, height = target.topology.grid
    each = width * height * target.topology.cores_per_router
    if chips * each > MOST_SITES:
        raise OptionError(
            "the machine is too large",
            where="--chips" if chips > 1 else "topology.grid",
            found=f"{chips} chip{'s' * (chips > 1)} with room for {each:,} cores each",
            allowed=f"{MOST_SITES:,} cores in all: {MOST_SITES // each} of these chips",
            remedy="give fewer chips, or a smaller topology.grid or cores_per_router",
        )
    columns, rows = chip_grid(target, chips)
    return Mesh(
        width * columns,
        height * rows,
        width,
        height,
        target.topology.cores_per_router,
        target.topology.links,
    )
