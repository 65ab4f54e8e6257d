"""Inline SVG drawings of a report: placement with utilisation, and channel load."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from snnc.reporting.mesh import PALETTE, Mesh

_CELL = 64
_GAP = 14
_PITCH = _CELL + _GAP


def colours(report: Mapping[str, Any]) -> dict[str, str]:
    """Colour of each population."""
    return {
        layer["name"]: PALETTE[index % len(PALETTE)] for index, layer in enumerate(report["layers"])
    }


def placement(report: Mapping[str, Any]) -> str:
    """Routers as boxes, cores inside them, coloured by population and filled by occupancy."""
    mesh = Mesh.of(report)
    parts = []
    for y in mesh.rows:
        for x in mesh.columns:
            left, top = _corner(mesh, x, y)
            parts.append(
                f'<rect class="router" x="{left}" y="{top}" width="{_CELL}" height="{_CELL}"/>'
            )
            for slot, core in enumerate(mesh.at(x, y)):
                parts.append(_core(mesh, core, left, top, slot))
    return _drawing(mesh, "placement of cores on the mesh", parts)


def _core(mesh: Mesh, core: Mapping[str, Any] | None, left: float, top: float, slot: int) -> str:
    side = math.ceil(math.sqrt(mesh.slots))
    size = (_CELL - 6) / side
    x, y = left + 3 + slot % side * size, top + 3 + slot // side * size
    box = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{size - 2:.1f}" height="{size - 2:.1f}"'
    if core is None:
        return f'<rect class="idle" {box}/>'
    fills = {n: used / cap for n, (used, cap) in core["use"].items() if cap}
    fill = max(fills.values(), default=0.0)
    colour = PALETTE[mesh.colour(core) % len(PALETTE)]
    held = ", ".join(f"{name}: {n}" for name, n in core["populations"].items())
    shown = ", ".join(f"{name} {100 * share:.0f} %" for name, share in fills.items())
    height = (size - 2) * min(1.0, fill)
    filled = (
        f'x="{x + 1:.1f}" y="{y + size - 1 - height:.1f}" width="{size - 2:.1f}" '
        f'height="{height:.1f}"'
    )
    title = escape(
        f"core {core['core']} at {core['x']},{core['y']},{core['slot']}: {held}; {shown}"
    )
    return (
        f'<g><title>{title}</title><rect {box} fill="{colour}" opacity=".25"/>'
        f'<rect {filled} fill="{colour}"/></g>'
    )


def channels(report: Mapping[str, Any]) -> str:
    """Load of every used channel: thickness and colour grow with packets per sample."""
    mesh = Mesh.of(report)
    width = report["target"]["mesh"][0]
    used = report["traffic"]["channels"]
    highest = max((load for _, _, load in used), default=1.0) or 1.0
    parts = [_router(mesh, x, y) for y in mesh.rows for x in mesh.columns]
    for start, end, load in sorted(used, key=lambda channel: channel[2]):
        begin, goal = divmod(start, width)[::-1], divmod(end, width)[::-1]
        # Links across the joined sides of a torus leave the drawing where they cross.
        drawn = (_beside(begin[0], goal[0]), _beside(begin[1], goal[1]))
        label = escape(f"{begin} to {goal}: {load:,.1f} packets per sample")
        parts.append(_arrow(mesh, begin, drawn, label, load / highest))
    return _drawing(mesh, "load of the channels between routers", parts)


def _router(mesh: Mesh, x: int, y: int) -> str:
    left, top = _corner(mesh, x, y)
    inset = _CELL / 4
    return (
        f'<rect class="router" x="{left + inset}" y="{top + inset}" width="{_CELL / 2}" '
        f'height="{_CELL / 2}"/>'
    )


def _beside(here: int, there: int) -> int:
    """The neighbour's coordinate as it would be without wrapping round."""
    if abs(there - here) <= 1:
        return there
    return here + 1 if there < here else here - 1


def _arrow(
    mesh: Mesh, start: tuple[int, int], end: tuple[int, int], label: str, share: float
) -> str:
    (x1, y1), (x2, y2) = _middle(mesh, *start), _middle(mesh, *end)
    dx, dy = (x2 - x1) / _PITCH, (y2 - y1) / _PITCH
    aside = 7  # the two directions of a link lie beside each other
    inset = _CELL / 4
    a = (x1 + dx * inset - dy * aside, y1 + dy * inset + dx * aside)
    b = (x2 - dx * inset - dy * aside, y2 - dy * inset + dx * aside)
    hue = 210 - 200 * share
    return (
        f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}" '
        f'stroke="hsl({hue:.0f} 75% 45%)" stroke-width="{1.5 + 7 * share:.1f}" '
        f'stroke-linecap="round"><title>{label}</title></line>'
    )


def _corner(mesh: Mesh, x: int, y: int) -> tuple[float, float]:
    return (x - mesh.columns.start) * _PITCH + _GAP, (y - mesh.rows.start) * _PITCH + _GAP


def _middle(mesh: Mesh, x: int, y: int) -> tuple[float, float]:
    left, top = _corner(mesh, x, y)
    return left + _CELL / 2, top + _CELL / 2


def _drawing(mesh: Mesh, label: str, parts: list[str]) -> str:
    width = len(mesh.columns) * _PITCH + _GAP
    height = len(mesh.rows) * _PITCH + _GAP
    return (
        f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
