"""What the checker found: violations by rule, how much was checked, and what nobody can check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Rule = Literal[
    "structure", "placement", "location", "pins", "kernels", "capacity", "profiles", "weights",
    "delay", "neuron", "wires", "schedule", "function", "routes", "delivery", "keys", "deadlock",
    "layers", "phases",
]  # fmt: skip
RULES: dict[Rule, str] = {
    "structure": "every table has its shape and every index points inside",
    "placement": "every neuron is on exactly one core",
    "location": "cores are on distinct, existing, working places",
    "pins": "populations pinned to a place are there",
    "kernels": "only rows of convolutions are stored as kernels",
    "capacity": "no resource of a core is exceeded",
    "profiles": "no parameter table of a core is exceeded",
    "weights": "every weight has a format the synapse memory offers",
    "delay": "every axon delay fits the delay field",
    "neuron": "the core's neuron computes every population exactly",
    "wires": "every sender's counts fit its wire code, and the target offers that code",
    "schedule": "offsets and delays are causal and complete",
    "function": "the core images hold exactly the network's synapses",
    "routes": "every net is a tree of neighbouring routers, routed as the network-on-chip routes",
    "delivery": "every spike reaches exactly the cores that listen to it, once",
    "keys": "packets that follow the routers' tables reach exactly the cores that listen",
    "deadlock": "the certificate orders all channels so that every path goes forward",
    "layers": "where a core holds one layer, the layer is whole and fits its core",
    "phases": "phases hold the whole network between them and read only what has run",
}
KEPT_PER_RULE = 50


@dataclass(frozen=True)
class Violation:
    """One broken rule: where, what was found, what is allowed."""

    rule: Rule
    where: str
    found: str
    allowed: str = ""

    def __str__(self) -> str:
        allowed = f" (allowed: {self.allowed})" if self.allowed else ""
        return f"[{self.rule}] {self.where}: {self.found}{allowed}"


@dataclass(frozen=True)
class VerifyReport:
    """Result of a check.

    Attributes:
        checked: facts checked per rule.
        broken: facts that failed per rule; rules without failures are absent.
        violations: the failures, at most 50 per rule.
        unchecked: what the target description does not say, so nobody can check.
    """

    checked: Mapping[Rule, int]
    broken: Mapping[Rule, int]
    violations: tuple[Violation, ...]
    unchecked: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """No rule is broken."""
        return not self.broken

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "ok": self.ok,
            "checked": dict(self.checked),
            "broken": dict(self.broken),
            "violations": [str(v) for v in self.violations],
            "unchecked": list(self.unchecked),
        }


@dataclass
class Findings:
    """Collects while rules run."""

    checked: dict[Rule, int] = field(default_factory=dict)
    broken: dict[Rule, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def count(self, rule: Rule, facts: int) -> None:
        """Note that ``facts`` facts were checked."""
        self.checked[rule] = self.checked.get(rule, 0) + int(facts)

    def add(self, rule: Rule, where: str, found: object, allowed: object = "") -> None:
        """Note one violation."""
        self.broken[rule] = self.broken.get(rule, 0) + 1
        if self.broken[rule] <= KEPT_PER_RULE:
            self.violations.append(Violation(rule, where, str(found), str(allowed)))

    def many(self, rule: Rule, total: int, first: Iterable[Violation]) -> None:
        """Note ``total`` violations of which only the first are worded."""
        if not total:
            return
        kept = max(0, KEPT_PER_RULE - self.broken.get(rule, 0))
        self.broken[rule] = self.broken.get(rule, 0) + total
        self.violations += list(first)[:kept]

    def report(self) -> VerifyReport:
        """The finished report."""
        unchecked = tuple(dict.fromkeys(self.unchecked))
        return VerifyReport(self.checked, self.broken, tuple(self.violations), unchecked)
