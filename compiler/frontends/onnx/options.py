"""What the user may say about a trained ANN in a ``.onnx`` file, because the file does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from snnc.ir.errors import OptionError

Method = Literal["error", "percentile", "max"]


@dataclass(frozen=True)
class OnnxOptions:
    """How an ANN becomes spiking (see docs/onnx.md); quantized and stateful files need nothing.

    Attributes:
        conversion: how thresholds follow from the activations on calibration data: "error" has
            the smallest squared error of the counts, "percentile" and "max" the same quantile.
        percentile: of the positive activations of a channel, for ``conversion="percentile"``.
        levels: spikes a neuron may send in one step; None takes what the target's neurons can.
        timesteps: steps per sample for which thresholds are chosen, unless the data says.

    Raises:
        OptionError: a value outside its choices.
    """

    conversion: Method = "error"
    percentile: float = 99.9
    levels: int | None = None
    timesteps: int = 16

    def __post_init__(self) -> None:
        if self.conversion not in get_args(Method):
            raise OptionError(
                "not one of the choices",
                where="--conversion",
                found=self.conversion,
                allowed=", ".join(get_args(Method)),
            )
        if not 50 <= self.percentile <= 100:
            raise OptionError(
                "unusable percentile",
                where="--percentile",
                found=self.percentile,
                allowed="50 to 100",
            )
        for name, most in (("levels", 65535), ("timesteps", 4096)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise OptionError(
                    "outside its range", where=f"--{name}", found=value, allowed=f"1 to {most}"
                )
