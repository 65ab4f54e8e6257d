"""Pins of populations as zones of the cores that hold them, or the one error that says why not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snnc.compiler.pins import Pin
from snnc.compiler.place.problem import Sites
from snnc.compiler.place.zones import Zones
from snnc.ir.arrays import IntArray
from snnc.ir.errors import OptionError
from snnc.ir.topology import Mesh


def zones_of(
    pins: Sequence[Pin], populations: Sequence[str], cores_of: Sequence[IntArray], cores: int,
    sites: Sites, mesh: Mesh,
) -> Zones | None:  # fmt: skip
    """Where pinned cores may be; None without pins.

    Args:
        pins: of different populations.
        populations: names.
        cores_of: by population, the cores that hold its neurons.
        cores: number of cores.
        sites: usable sites.
        mesh: of all chips.

    Raises:
        OptionError: a place is outside the machine, holds no working core, or holds fewer than
            its populations need.
    """
    if not pins:
        return None
    places = list(dict.fromkeys(pin.place for pin in pins))
    first = [next(pin for pin in pins if pin.place == place) for place in places]
    zone = np.full(cores, -1, np.int64)
    inside = []
    for pin in first:
        _check_machine(pin, sites, mesh)
        inside.append(_inside(pin, sites, mesh))
        if not inside[-1].size:
            raise OptionError(
                "the place has no core that works and may be used",
                where=pin.where,
                found=f"defective, unreachable, or beyond topology.usable_cores: {pin.place}",
                allowed=_nearby(pin, sites),
                remedy="pin it elsewhere, or correct topology.defects of the target file",
            )
    for pin in pins:
        zone[cores_of[populations.index(pin.population)]] = places.index(pin.place)
    _check_room(pins, places, zone, inside)
    allowed = np.zeros((len(places), sites.count), bool)
    for k, here in enumerate(inside):
        allowed[k, here] = True
    return Zones(zone, allowed)


def _check_machine(pin: Pin, sites: Sites, mesh: Mesh) -> None:
    chips = mesh.routers // (mesh.chip_width * mesh.chip_height)
    if pin.chip is not None:
        outside = pin.chip >= chips
        allowed = f"chip:0 to chip:{chips - 1}"
    else:
        outside = pin.x >= mesh.width or pin.y >= mesh.height
        outside |= pin.slot is not None and pin.slot >= sites.slots
        allowed = f"x below {mesh.width}, y below {mesh.height}, slot below {sites.slots}"
    if outside:
        raise OptionError(
            "the place is outside the machine",
            where=pin.where,
            found=pin.place,
            allowed=f"{allowed} on {chips} chip{'s' * (chips > 1)}",
            remedy="pin it inside, or give more chips (--chips)",
        )


def _nearby(pin: Pin, sites: Sites) -> str:
    """The nearest places that do have a core."""
    if pin.chip is not None:
        return "a chip with working cores"
    distance = np.abs(sites.xy - (pin.x, pin.y)).sum(axis=1)
    near = np.argsort(distance, kind="stable")[:3]
    return "nearest: " + "; ".join(
        f"{sites.xy[s, 0]},{sites.xy[s, 1]},{sites.slot[s]}" for s in near
    )


def _check_room(
    pins: Sequence[Pin], places: list[str], zone: IntArray, inside: list[IntArray]
) -> None:
    """Places lie inside each other or apart, so each only has to hold all pinned inside it."""
    count = np.bincount(zone[zone >= 0], minlength=len(places))
    for k, place in enumerate(places):
        within = [j for j in range(len(places)) if np.isin(inside[j], inside[k]).all()]
        need = int(count[within].sum())
        if need <= inside[k].size:
            continue
        mine = [pin for pin in pins if places.index(pin.place) in within]
        names = ", ".join(f"{pin.population}@{pin.place}" for pin in mine[:6])
        here = next(pin for pin in mine if pin.place == place)
        room = inside[k].size
        raise OptionError(
            "more cores are pinned to a place than it has",
            where=here.where,
            found=f"{need} core{'s' * (need > 1)} ({names})",
            allowed=f"{room} usable core{'s' * (room > 1)} at {place}",
            remedy="pin to a larger place (x,y or chip:k), or elsewhere, or leave the pin out",
        )


def _inside(pin: Pin, sites: Sites, mesh: Mesh) -> IntArray:
    """Usable sites of the place."""
    if pin.chip is not None:
        columns = mesh.width // mesh.chip_width
        chip = sites.xy // np.array([mesh.chip_width, mesh.chip_height])
        return np.flatnonzero(chip[:, 1] * columns + chip[:, 0] == pin.chip)
    here = (sites.xy == (pin.x, pin.y)).all(axis=1)
    if pin.slot is not None:
        here &= sites.slot == pin.slot
    return np.flatnonzero(here)
