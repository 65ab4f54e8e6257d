"""What the user may say about a ``.nir`` file, because the file does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from snnc.ir.errors import OptionError

DialectName = Literal[
    "auto", "snntorch", "spikingjelly", "norse", "sinabs", "rockpool", "spyx", "lava", "nir"
]


@dataclass(frozen=True)
class NirOptions:
    """How to read a NIR file; ``None`` leaves the decision to the dialect (see docs/nir.md).

    Attributes:
        dialect: whose discrete-time update the file means; "auto" guesses from the numbers.
        dt: seconds (or steps, if the file counts steps) of one time step.
        reset: to ``v_reset`` ("zero"), or down by the threshold ("subtract").
        threshold: whether a potential equal to the threshold fires (">=") or not (">").
        loop_delay: where a recurrent loop keeps its one step of delay: "before" the recurrent
            weights (their bias acts from step 0) or "after" them.
        transpose_linear: read Linear and Affine weights as [in, out] (old Spyx exports).

    Raises:
        OptionError: a value outside its choices.
    """

    dialect: DialectName = "auto"
    dt: float | None = None
    reset: Literal["zero", "subtract"] | None = None
    threshold: Literal[">", ">="] | None = None
    loop_delay: Literal["before", "after"] | None = None
    transpose_linear: bool = False

    def __post_init__(self) -> None:
        hints = get_type_hints(NirOptions)
        for field in fields(self):
            choices = _choices(hints[field.name])
            value = getattr(self, field.name)
            if choices and value not in choices:
                raise OptionError(
                    "not one of the choices",
                    where=f"--{field.name.replace('_', '-')}",
                    found=value,
                    allowed=", ".join(str(c) for c in choices if c is not None),
                )
        if self.dt is not None and not (math.isfinite(self.dt) and self.dt > 0):
            raise OptionError(
                "the time step must be a positive number", where="--dt", found=self.dt
            )


def _choices(hint: Any) -> tuple[Any, ...]:
    """All values of a (possibly optional) ``Literal``; empty for other types."""
    parts = get_args(hint)
    if hint is bool or float in parts:
        return ()
    return tuple(v for part in parts for v in (get_args(part) or (_none(part),)))


def _none(part: Any) -> Any:
    return None if part is type(None) else part
