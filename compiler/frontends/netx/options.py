"""What the user may say about a ``.net`` file, because the file does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from snnc.ir.errors import OptionError

INPUT_LAYERS = ("values", "spikes")
MAX_SPIKE_EXPONENT = 7


@dataclass(frozen=True)
class NetxOptions:
    """How to read a ``.net`` file (see docs/netx.md).

    Attributes:
        input_layer: what an input layer with neurons is fed.  "values": the integers netx writes
            to ``bias_mant``; the layer's neurons are part of the network.  "spikes": what these
            neurons send; the layer is left to the host, as ``skip_layers=1`` of netx does.

    Raises:
        OptionError: a value outside its choices.
    """

    input_layer: Literal["values", "spikes"] = "values"
    spike_exponent: int = 6

    def __post_init__(self) -> None:
        if self.input_layer not in INPUT_LAYERS:
            raise OptionError(
                "not one of the choices",
                where="--input-layer",
                found=self.input_layer,
                allowed=", ".join(INPUT_LAYERS),
            )
        if not 0 <= self.spike_exponent <= MAX_SPIKE_EXPONENT:
            raise OptionError(
                "Lava documents three bits for the exponent of a message",
                where="--spike-exponent",
                found=self.spike_exponent,
                allowed=f"0 to {MAX_SPIKE_EXPONENT}",
            )
