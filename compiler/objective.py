"""What a mapping shall be good for: the user's weights of the terms of docs/placement.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from snnc.ir.errors import OptionError

TERMS: Mapping[str, str] = MappingProxyType({
    "energy": "packet hops per sample (weighted hops)",
    "mean_latency": "hops of a delivery, mean over packets",
    "worst_latency": "hops of the longest path",
    "max_link": "cycles per sample of the busiest link",
    "cores": "cores used",
    "chips": "chips used",
    "chip_crossings": "packets per sample over links between chips",
})  # fmt: skip
PLACED = ("mean_latency", "worst_latency", "max_link", "chips", "chip_crossings")
"""Terms on which placements differ beyond their weighted hops."""

LARGEST = 1e30
"""Of weights: sums of weighted terms stay finite."""


@dataclass(frozen=True)
class Objective:
    """Minimise the sum of weight x term.

    Attributes:
        weights: by term, all finite and not negative; terms that are missing weigh 0.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: {"energy": 1.0})

    @property
    def plain(self) -> bool:
        """Placement has only weighted hops to care for."""
        return not any(self.weights.get(term) for term in PLACED)

    @property
    def cores_and_traffic(self) -> tuple[float, float] | None:
        """Weights of a core and of a packet hop; None: fewest cores first, as nobody said."""
        if "cores" not in self.weights:
            return None
        return self.weights["cores"], self.weights.get("energy", 0.0)

    def total(self, terms: Mapping[str, float]) -> float:
        """Weighted sum of the terms."""
        return sum(weight * terms[term] for term, weight in self.weights.items())


def parse_objective(text: str | None) -> Objective:
    """``TERM=WEIGHT,...``; None is the default, energy=1.

    Raises:
        OptionError: an unknown term, a term twice, a weight that is no number or negative, or no
            weight above 0.
    """
    if text is None:
        return Objective()
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        if name not in TERMS:
            raise _refused("no such term", name or part)
        if name in weights:
            raise _refused("a term has two weights", name)
        try:
            weights[name] = float(number)
        except ValueError:
            raise _refused("a weight is a number", part.strip()) from None
        if not 0 <= weights[name] <= LARGEST:
            raise _refused(f"a weight is not negative and at most {LARGEST:g}", part.strip())
    if not any(weights.values()):
        raise _refused("some weight must be above 0", text)
    return Objective(weights)


def _refused(problem: str, found: str) -> OptionError:
    return OptionError(
        problem,
        where="--objective",
        found=found,
        allowed=f"TERM=WEIGHT,... of {', '.join(TERMS)}",
        remedy="docs/placement.md says what the terms measure",
    )
