"""Populations held to a place of the machine, as the user writes it: ``--pin POPULATION@PLACE``.

A place is a core (``x,y,slot``), a router (``x,y``) or a chip (``chip:k``), in coordinates of the
joined mesh of all chips.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.errors import OptionError

SEPARATOR = ";"
"""Between the pins of one option value; no name of a population holds it."""
_PLACE = re.compile(r"(?:chip:(\d{1,9})|(\d{1,9}),(\d{1,9})(?:,(\d{1,9}))?)")
_SHAPES = "POPULATION@x,y (a router), POPULATION@x,y,slot (a core), POPULATION@chip:k"


@dataclass(frozen=True)
class Pin:
    """One population and the place that holds it.

    Attributes:
        population: its name.
        chip: number of a chip, row by row; or None.
        x, y, slot: a router and, unless it is None, one of its cores.
    """

    population: str
    chip: int | None = None
    x: int = 0
    y: int = 0
    slot: int | None = None

    @property
    def place(self) -> str:
        """As the user writes it."""
        if self.chip is not None:
            return f"chip:{self.chip}"
        return f"{self.x},{self.y}" + ("" if self.slot is None else f",{self.slot}")

    @property
    def where(self) -> str:
        """The option, for errors."""
        return f"--pin {self.population}@{self.place}"


def parse_pins(text: str | None) -> tuple[Pin, ...]:
    """Pins of an option's value, ``SEPARATOR`` between them; None has none.

    Raises:
        OptionError: a pin is not written as a place, or a population is pinned twice.
    """
    pins = tuple(_pin(part.strip()) for part in (text or "").split(SEPARATOR) if part.strip())
    seen: dict[str, Pin] = {}
    for pin in pins:
        other = seen.setdefault(pin.population, pin)
        if other != pin:
            raise OptionError(
                "a population is pinned to two places",
                where=pin.where,
                found=f"{other.place} and {pin.place}",
                allowed="one place per population",
                remedy="leave one of the two out",
            )
    return tuple(seen.values())


def pins_text(pins: Iterable[Pin]) -> str | None:
    """The value that ``parse_pins`` reads back, as an artifact records it; None without pins."""
    return SEPARATOR.join(f"{pin.population}@{pin.place}" for pin in pins) or None


def _pin(text: str) -> Pin:
    name, at, place = text.rpartition("@")
    found = _PLACE.fullmatch(place)
    if not (name and at and found):
        raise OptionError("not a pin", where="--pin", found=text, allowed=_SHAPES)
    chip, x, y, slot = (None if n is None else int(n) for n in found.groups())
    if chip is not None:
        return Pin(name, chip)
    assert x is not None
    assert y is not None
    return Pin(name, None, x, y, slot)


def check_names(pins: Iterable[Pin], populations: Sequence[str], inputs: Iterable[str]) -> None:
    """Raise unless every pin names a population.

    Raises:
        OptionError: it names none; of an input it says where inputs enter.
    """
    outside = set(inputs)
    for pin in pins:
        if pin.population in populations:
            continue
        listed = ", ".join(populations[:12]) + (", ..." if len(populations) > 12 else "")
        raise OptionError(
            "an input sits on no core" if pin.population in outside else "no such population",
            where=pin.where,
            found=pin.population,
            allowed=listed,
            remedy="inputs enter at topology.host_router of the target file"
            if pin.population in outside
            else "`snnc report` lists the populations of a compiled network",
        )


def classes(pins: Iterable[Pin], populations: Sequence[str]) -> IntArray:
    """[populations] equal numbers where populations may share a core: one place, or none (0)."""
    places = {pin.population: pin.place for pin in pins}
    number = {place: k + 1 for k, place in enumerate(dict.fromkeys(places.values()))}
    return np.array([number[places[n]] if n in places else 0 for n in populations], np.int64)
