"""The placement as a grid, shared by the terminal and the HTML drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Okabe & Ito's colours, distinguishable with every kind of colour vision, then lighter repeats.
PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999",
           "#b2df8a", "#fb9a99", "#cab2d6", "#8dd3c7")  # fmt: skip
_SYMBOLS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MARGIN = 1
_WIDEST = 64


@dataclass(frozen=True)
class Mesh:
    """Cores by router, cropped to the used part of a large mesh.

    Attributes:
        names: populations, in execution order; their position is their colour.
        rows, columns: routers to draw.
        slots: cores per router.
        cores: placement rows by (x, y, slot).
    """

    names: tuple[str, ...]
    rows: range
    columns: range
    slots: int
    cores: Mapping[tuple[int, int, int], Mapping[str, Any]]

    @staticmethod
    def of(report: Mapping[str, Any]) -> Mesh:
        """The mesh of a ``snnc-report/1``."""
        placement = report["placement"]
        width, height = report["target"]["mesh"]
        return Mesh(
            tuple(layer["name"] for layer in report["layers"]),
            _extent([core["y"] for core in placement], height),
            _extent([core["x"] for core in placement], width),
            report["target"]["cores_per_router"],
            {(core["x"], core["y"], core["slot"]): core for core in placement},
        )

    def at(self, x: int, y: int) -> list[Mapping[str, Any] | None]:
        """The cores of a router by slot; None is idle."""
        return [self.cores.get((x, y, slot)) for slot in range(self.slots)]

    def colour(self, core: Mapping[str, Any]) -> int:
        """Index of the population that fills most of a core."""
        largest = max(core["populations"], key=lambda name: core["populations"][name])
        return self.names.index(largest)

    def letter(self, core: Mapping[str, Any]) -> str:
        """Symbol of the population that fills most of a core."""
        return self.symbol(self.colour(core))

    @staticmethod
    def symbol(index: int) -> str:
        """Symbol of a population."""
        return _SYMBOLS[index % len(_SYMBOLS)]


def _extent(used: list[int], size: int) -> range:
    """All routers of an axis, or those around the used ones where it is long."""
    if size <= 16:
        return range(size)
    first, last = max(0, min(used) - _MARGIN), min(size, max(used) + 1 + _MARGIN)
    return range(first, min(last, first + _WIDEST))
