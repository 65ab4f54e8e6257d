"""Coordinates of a machine of several chips: one global router mesh.

Routers are numbered ``y * width + x`` over the joined mesh of all chips; a channel is a directed
pair of neighbouring routers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from snnc.ir.errors import OptionError
from snnc.ir.target import Target


@dataclass(frozen=True)
class Mesh:
    """The joined router mesh: ``width x height`` routers, chips of ``chip_width x chip_height``."""

    width: int
    height: int
    chip_width: int
    chip_height: int
    cores_per_router: int

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

    def chip(self, router: int) -> int:
        """Chip a router belongs to, row by row."""
        x, y = self.xy(router)
        return (y // self.chip_height) * (self.width // self.chip_width) + x // self.chip_width


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


def mesh_of(target: Target, chips: int) -> Mesh:
    """The joined mesh of ``chips`` chips of a target."""
    limit = target.topology.max_chips.v
    if chips < 1 or (limit is not None and chips > limit):
        raise OptionError(
            "this many chips cannot be joined",
            where="--chips",
            found=chips,
            allowed=f"1 to {limit:g} for {target.id}" if limit else "1 or more",
        )
    columns = chips
    if target.topology.chip_arrangement == "square":
        # The most nearly square full rectangle; a prime count stays a row.
        columns = next(c for c in range(math.isqrt(chips), 0, -1) if chips % c == 0)
        columns = chips // columns
    width, height = target.topology.grid
    return Mesh(
        width * columns,
        height * (chips // columns),
        width,
        height,
        target.topology.cores_per_router,
    )
