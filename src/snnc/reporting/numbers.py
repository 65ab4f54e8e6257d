"""Numbers as people read them."""

from __future__ import annotations

import math

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"),
             (1e-12, "p"))  # fmt: skip
UNPRICED = "unpriced"


def quantity(value: float | None, unit: str) -> str:
    """Three significant digits and an SI prefix; None is "unpriced".

    >>> quantity(3.21e-6, "J")
    '3.21 µJ'
    """
    if value is None or math.isnan(value):
        return UNPRICED
    if value == 0:
        return f"0 {unit}"
    scale, prefix = next((p for p in _PREFIXES if abs(value) >= p[0]), _PREFIXES[-1])
    return f"{value / scale:.3g} {prefix}{unit}"


def share(value: float | None) -> str:
    """A share as percent with two digits."""
    return "" if value is None else f"{100 * value:.2f} %"


def count(value: float | None) -> str:
    """A count with thousands separators; None is a dash."""
    return "-" if value is None else f"{value:,.0f}"


def bar(fill: float, width: int = 10) -> str:
    """A bar of block characters for a share of 0 to 1."""
    full = round(max(0.0, min(1.0, fill)) * width)
    return "█" * full + "░" * (width - full)
