"""How many chips a network takes, and in which rectangle they stand.

A number such as 38 only makes a rectangle of 19 x 2 chips, on which ways are long; a few chips
more often stand nearly square.
"""

from __future__ import annotations

import re
from typing import Any

from snnc.ir.errors import CapacityError, OptionError
from snnc.ir.target import Target
from snnc.ir.topology import chip_grid, mesh_of, usable_chips

MORE = 5
"""One chip more may be taken for every five that are needed."""
LONG = 2
"""A rectangle more than so many times as long as wide is long."""
TRIED = 1024
"""Numbers of chips tried where broken borders keep some chips out of reach."""
PLENTY = 1 << 20
"""Chips to be had where the target names no limit."""


def parse_chips(value: int | str) -> int | tuple[int, int] | None:
    """The option ``--chips``: a number, columns and rows ("8x5"), or None for "auto".

    Raises:
        OptionError: anything else.
    """
    text = str(value)
    if text == "auto":
        return None
    found = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", text)
    sides = [int(side) for side in found.groups() if side] if found else []
    if not sides or min(sides) < 1:
        raise OptionError(
            "not a number of chips",
            where="--chips",
            found=value,
            allowed="a number from 1, columns x rows (8x5), or auto",
        )
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def in_columns(target: Target, columns: int) -> Target:
    """The target with its chips in so many columns."""
    topology = target.topology.model_copy(update={"chip_arrangement": columns})
    return target.model_copy(update={"topology": topology})


def cores_per_chip(target: Target) -> int:
    """Cores of one chip that work and may be used."""
    width, height = target.topology.grid
    total = width * height * target.topology.cores_per_router - len(set(target.topology.defects))
    return min(total, target.topology.usable_cores)


def most_chips(target: Target) -> int:
    """Chips that can be joined; ``PLENTY`` where nobody says."""
    return int(target.topology.max_chips.v or PLENTY)


def chips_for(cores: int, target: Target) -> int:
    """Chips that hold so many cores: the fewest of which the rectangle is not long.

    Where no number up to a fifth above the fewest is like that, the fewest.

    Raises:
        CapacityError: broken borders keep cores out of reach, or there are not so many chips.
    """
    needed = max(1, -(-cores // cores_per_chip(target)))
    arrangement = target.topology.chip_arrangement
    step = arrangement if isinstance(arrangement, int) else 1
    last = min(most_chips(target), needed + step * TRIED)
    fewest = None
    for chips in range(-(-needed // step) * step, last + 1, step):
        if fewest is not None and chips > fewest + fewest // MORE:
            break
        if len(usable_chips(target, mesh_of(target, chips))) < needed:
            continue
        fewest = fewest or chips
        if not _long(target, chips):
            return chips
    if fewest is None:
        raise CapacityError(
            f"no number of chips of {target.id} holds the network",
            where="--chips auto",
            found=f"{cores} cores, {needed} chips",
            allowed=f"up to {last} chips were tried, of which as many as that must be in reach",
            remedy="choose a target that joins more chips, or repair topology.broken_chip_links",
        )
    return fewest


def square_chips(target: Target, chips: int) -> int | None:
    """The next larger number of chips of which the rectangle is not long.

    None: that of ``chips`` is not, or there is no such number.
    """
    if target.topology.chip_arrangement != "square" or not _long(target, chips):
        return None
    more = range(chips + 1, min(2 * chips, most_chips(target)) + 1)
    return next((number for number in more if not _long(target, number)), None)


def chips_report(target: Target, chips: int) -> dict[str, Any]:
    """Columns and rows of the chips, and those of ``square_chips``, else None."""
    better = square_chips(target, chips)
    return {
        "grid": list(chip_grid(target, chips)),
        "nearly_square": None if better is None else list(chip_grid(target, better)),
    }


def _long(target: Target, chips: int) -> bool:
    columns, rows = chip_grid(target, chips)
    return max(columns, rows) > LONG * min(columns, rows)
