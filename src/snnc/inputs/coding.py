"""``--encode NAME:key=value,...``: which coding, with which parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snnc.ir.errors import OptionError

TIMED = ("frames", "events", "delta")
"""Codings of data that has a time axis; the others spread static values over time."""

_NUMBERS: dict[str, tuple[type[Any], float, float]] = {
    "tau": (float, 1e-9, 1e9), "nu": (float, 0.0, 1.0), "bits": (int, 1, 16),
    "weighted": (int, 0, 1), "binary": (int, 0, 1), "theta": (float, 1e-12, 1e12),
    "split": (int, 0, 1),
}  # fmt: skip
_DEFAULTS: dict[str, dict[str, float | str]] = {
    "direct": {},
    "poisson": {},
    "latency": {"rule": "linear"},
    "phase": {"bits": 8, "weighted": 0},
    "frames": {},
    "events": {"binary": 0},
    "delta": {"split": 0},
}
_RULES: dict[str, dict[str, float | str]] = {
    "linear": {}, "log": {}, "genn": {"tau": 20.0, "nu": 0.2},
}  # fmt: skip
NAMES = tuple(_DEFAULTS)


@dataclass(frozen=True)
class Coding:
    """A coding and its parameters; ``str()`` gives the shortest text that parses to it."""

    name: str
    parameters: Mapping[str, float | str] = field(default_factory=dict)

    def __str__(self) -> str:
        told = ",".join(f"{key}={value:g}" if not isinstance(value, str) else f"{key}={value}"
                        for key, value in self.parameters.items())  # fmt: skip
        return f"{self.name}:{told}" if told else self.name

    def __getitem__(self, key: str) -> Any:
        return self.parameters[key]

    @property
    def timed(self) -> bool:
        """Whether it takes data with a time axis."""
        return self.name in TIMED

    @staticmethod
    def parse(text: str) -> Coding:
        """The coding of a text.

        Raises:
            OptionError: an unknown name or parameter, or a value out of range.
        """
        name, _, rest = text.partition(":")
        if name not in _DEFAULTS:
            raise _wrong("unknown encoding", text, ", ".join(NAMES))
        given = dict(_pair(part, text) for part in rest.split(",")) if rest else {}
        known = dict(_DEFAULTS[name])
        if name == "latency":
            rule = str(given.get("rule", "linear"))
            if rule not in _RULES:
                raise _wrong("unknown latency rule", text, ", ".join(_RULES))
            known |= _RULES[rule]
        allowed = {*known, *(("theta",) if name == "delta" else ())}
        if not set(given) <= allowed:
            raise _wrong(
                f"{name} has no such parameter", text, ", ".join(sorted(allowed)) or "none"
            )
        if name == "delta" and "theta" not in given:
            raise _wrong("delta coding needs a threshold", text, "delta:theta=0.1")
        chosen = {**known, **{key: _value(key, value, text) for key, value in given.items()}}
        return Coding(name, chosen)


def _pair(part: str, text: str) -> tuple[str, str]:
    key, separator, value = part.partition("=")
    if not separator:
        raise _wrong("a parameter is written key=value", text, "NAME:key=value,key=value")
    return key, value


def _value(key: str, text: str, where: str) -> float | str:
    if key == "rule":
        return text
    kind, low, high = _NUMBERS[key]
    try:
        value: float = kind(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise _wrong(f"{key} is out of range", where, f"{low:g} to {high:g}")
    return value


def _wrong(problem: str, found: str, allowed: str) -> OptionError:
    return OptionError(problem, where="--encode", found=found, allowed=allowed)
