"""What a run of the command line gives back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


Snnc = Callable[..., Outcome]

DIGITS = Path(str(files("snnc"))) / "demo_data" / "digits_cnn.nir"


def refused(found: Outcome, *parts: str) -> None:
    """The error is short, names what it should, and is no traceback."""
    assert found.code == 2, found
    assert found.out == ""
    assert found.err.startswith("error: ")
    assert len(found.err.splitlines()) <= 24
    assert "Traceback" not in found.err
    for part in parts:
        assert part in found.err, (part, found.err)
