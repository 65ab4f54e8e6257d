"""What the user may say about a NIR file to be written, and what its writer tells."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from snnc.compiler.frontends.nir.dialect import DIALECTS
from snnc.ir.errors import OptionError
from snnc.ir.real_neuron import RealNeuron

Precision = Literal["exact", "float32"]
READERS = tuple(name for name, dialect in DIALECTS.items() if not dialect.fires_late)
LOSSY = tuple(
    field.name for field in fields(RealNeuron) if field.name not in ("name", "inputs", "shape")
)


@dataclass(frozen=True)
class NirExportOptions:
    """How to write a NIR file.

    Attributes:
        reader: framework whose conventions the file follows, one of the reader's dialects; "auto"
            takes where the network came from, else the first that computes the same.
        dt: time step the file's time constants count in; None takes the reader's usual one.
        precision: "exact" stores a number in 32 bits where that loses nothing, else in 64;
            "float32" always in 32, which some importers need.
        approximate: fields of ``RealNeuron`` (e.g. "comparator", "multi_spike") in which the
            file may differ from the network; each difference is reported.

    Raises:
        OptionError: a value outside its choices.
    """

    reader: str = "auto"
    dt: float | None = None
    precision: Precision = "exact"
    approximate: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _among("reader", self.reader, ("auto", *READERS))
        _among("precision", self.precision, ("exact", "float32"))
        for name in self.approximate:
            _among("approximate", name, LOSSY)
        if self.dt is not None and not (math.isfinite(self.dt) and self.dt > 0):
            raise OptionError("the time step must be a positive number", where="dt", found=self.dt)


def _among(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionError(
            "not one of the choices", where=option, found=value, allowed=", ".join(choices)
        )


@dataclass(frozen=True)
class NirExport:
    """What was written.

    Attributes:
        reader: the dialect the file follows.
        read_with: options under which ``snnc`` reads the file as the network that was written;
            they are also in the file's metadata, so that ``auto`` finds them.
        notes: what the format does not say, what was rounded, which readers may stumble.
        approximations: what differs from the network, by the user's leave.
    """

    reader: str
    read_with: dict[str, Any]
    notes: tuple[str, ...]
    approximations: tuple[str, ...]
