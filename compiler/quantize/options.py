"""What a user can choose, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from snnc.ir.errors import OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.target import Target

CORRECTIONS = ("rounding", "bias", "rates")
LEAKS = ("shift", "linear")


def parse_corrections(text: str | None) -> tuple[str, ...]:
    """``"bias,rates"`` as names; ``QuantizeOptions`` checks them."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


@dataclass(frozen=True)
class QuantizeOptions:
    """How real numbers become integers.

    Attributes:
        weight_bits: width of a signed weight, 1 to 16; 1 bit is a sign (no synapse stays none).
        layer_bits: other widths, by the name of a population or of an operator that writes to it.
        timesteps: steps of one sample, for the proofs about neurons without leak.
        granularity: one weight grid per output channel, or one per layer.
        input_levels: steps of a real-valued input in [0, its calibrated maximum]; by default 255
            where spikes carry a payload of 8 bits or more and 15 where each level is a packet.
        max_spikes: populations without limit fire at most so often per step where the weights
            prove no smaller number; the potential keeps what is beyond.
        memory_budget: KiB for all weights; every population then takes the width, up to
            ``weight_bits``, with which the estimated error is least.
        correct: what calibration data may correct, of ``CORRECTIONS``.
        leak: approximate every decay in this format, of ``LEAKS``; None keeps decays.
    """

    weight_bits: int = 8
    timesteps: int | None = None
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    granularity: Literal["channel", "layer"] = "channel"
    input_levels: int | None = None
    max_spikes: int | None = None
    memory_budget: float | None = None
    correct: tuple[str, ...] = ()
    leak: str | None = None

    def __post_init__(self) -> None:
        for bits in (self.weight_bits, *self.layer_bits.values()):
            if not 1 <= bits <= 16:
                raise OptionError(
                    "unusable weight width", where="--weight-bits", found=bits, allowed="1 to 16"
                )
        if self.memory_budget is not None and self.layer_bits:
            raise OptionError(
                "a memory budget chooses the widths itself", where="--memory-budget",
                found=f"widths of {', '.join(sorted(self.layer_bits))}",
                remedy="give one width as the largest, or no budget",
            )  # fmt: skip
        if self.leak is not None and self.leak not in LEAKS:
            raise OptionError(
                "no such leak format", where="--leak", found=self.leak, allowed=", ".join(LEAKS)
            )
        unknown = [name for name in self.correct if name not in CORRECTIONS]
        if unknown:
            raise OptionError(
                "no such correction", where="--correct", found=", ".join(unknown),
                allowed=", ".join(CORRECTIONS),
            )  # fmt: skip
        if self.granularity not in ("channel", "layer"):
            raise OptionError(
                "unknown granularity", where="--granularity", found=self.granularity,
                allowed="channel, layer",
            )  # fmt: skip
        if self.input_levels is not None and not 1 <= self.input_levels <= 65535:
            raise OptionError(
                "unusable number of input levels", where="--input-levels",
                found=self.input_levels, allowed="1 to 65535",
            )  # fmt: skip
        if self.max_spikes is not None and self.max_spikes < 1:
            raise OptionError("at least one", where="--max-spikes", found=self.max_spikes)
        if self.timesteps is not None and self.timesteps < 1:
            raise OptionError("at least one time step", where="--timesteps", found=self.timesteps)

    def largest_weight(self, target: Target) -> int:
        """Largest magnitude; raises ``OptionError`` if no synapse of the target is that wide."""
        widest = max(target.core.weight.bits)
        most = max(self.weight_bits, *self.layer_bits.values(), 0)
        if most > widest:
            raise OptionError(
                "the target has no weights this wide",
                where="--weight-bits",
                found=most,
                allowed=f"{', '.join(map(str, target.core.weight.bits))} bits on {target.id}",
            )
        return max(1, (1 << (self.weight_bits - 1)) - 1)

    def of_layer(self, bits: int | None) -> QuantizeOptions:
        """The options of one population."""
        width = self.weight_bits if bits is None else bits
        return replace(self, weight_bits=width, layer_bits={}, memory_budget=None)


@dataclass(frozen=True, eq=False)
class Quantized:
    """The integer network and what quantization did to each layer (JSON values only)."""

    network: IntegerNetwork
    report: Mapping[str, Any]
