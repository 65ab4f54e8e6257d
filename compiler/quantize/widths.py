"""Weight widths of a network: one for all, or others for named layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from snnc.ir.errors import OptionError

DEFAULT = 8


def parse_widths(text: str | int) -> tuple[int, dict[str, int]]:
    """``8``, ``"conv1=4,fc=8"`` or ``"6,conv1=4"`` as (width of the others, widths by name).

    Raises:
        OptionError: anything else; widths are checked by ``QuantizeOptions``.
    """
    default, layers = DEFAULT, {}
    for part in str(text).split(","):
        name, _, bits = part.strip().rpartition("=")
        if not bits.strip().isdigit() or ("=" in part and not name.strip()):
            raise OptionError(
                "not a weight width",
                where="--weight-bits",
                found=part.strip() or text,
                allowed="8, or LAYER=4,LAYER=8, or 8,LAYER=4",
            )
        if name:
            layers[name.strip()] = int(bits)
        else:
            default = int(bits)
    return default, layers


def width_of(names: Iterable[str], layers: Mapping[str, int]) -> tuple[int | None, set[str]]:
    """The width given for a population under any of its names, and the names used.

    A name also stands for what lies inside it ("block1" for "block1.conv"); the longest wins.

    Raises:
        OptionError: two equally long names ask for different widths.
    """
    found = {given for name in names for given in layers if _inside(name, given)}
    longest = [name for name in found if len(name) == max(map(len, found))]
    widths = {layers[name] for name in longest}
    if len(widths) > 1:
        raise OptionError(
            "weights that are added up share one grid and one width",
            where="--weight-bits",
            found=", ".join(f"{name}={layers[name]}" for name in sorted(longest)),
        )
    return (widths.pop() if widths else None), found


def _inside(name: str, given: str) -> bool:
    return name == given or name.startswith((f"{given}.", f"{given}@"))
