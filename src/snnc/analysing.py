"""The analysis behind ``snnc inspect``: in which form a network is looked at, on what data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from snnc.compiler import normalise, quantize
from snnc.compiler.analysis import Analysis, analyse
from snnc.compiler.options import CompileOptions
from snnc.inputs import Dataset, InputOptions, integer_batch, load
from snnc.ir.errors import InputError, SnncError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.nodes import Input

if TYPE_CHECKING:
    from snnc.ir.arrays import AnyArray
    from snnc.ir.target import Target

SAMPLES = 32
"""Samples measured unless told otherwise: the readable reference runs them."""


@dataclass(frozen=True)
class AnalysisOptions:
    """What to analyse a network for.

    Attributes:
        target: chip whose registers widths are held against; a real network is quantized for it.
        input: data to measure operations on; None gives upper bounds from the types.
        samples: measure on the first so many.
        timesteps: steps per sample; None takes the data's, or counts one step.
        inputs: how the data becomes time steps.
    """

    target: str | None = None
    input: Path | None = None
    samples: int = SAMPLES
    timesteps: int | None = None
    inputs: InputOptions = field(default_factory=InputOptions)

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError("must be at least 1", where="--samples", found=self.samples)


def analyse_model(
    network: Network | IntegerNetwork,
    target: Target | None,
    options: AnalysisOptions,
    compiling: CompileOptions,
) -> Analysis:
    """Analyse the network in the form that is compiled: folded, and quantized for a target.

    Raises:
        InputError: the data does not fit the network.
    """
    data = None if options.input is None else _load(options.input, network, options)
    steps = options.timesteps if data is None else data.steps
    formed, notes = _formed(network, target, data, steps, compiling)
    values = None if data is None else _values(data, formed)
    return analyse(formed, target=target, timesteps=steps, inputs=values, notes=notes)


def _load(path: Path, network: Network | IntegerNetwork, options: AnalysisOptions) -> Dataset:
    inputs = dataclasses.replace(options.inputs, timesteps=options.timesteps)
    return load(path, network.of_type(Input), inputs, options.samples)


def _formed(
    network: Network | IntegerNetwork,
    target: Target | None,
    data: Dataset | None,
    steps: int | None,
    compiling: CompileOptions,
) -> tuple[Network | IntegerNetwork, tuple[str, ...]]:
    """The network as far as it can be brought towards the chip, and how far that was."""
    if isinstance(network, IntegerNetwork):
        return network, ()
    try:
        folded = normalise.normalise(network)
    except SnncError as error:
        return network, (f"as read, because it cannot be compiled: {error.problem}",)
    if target is None:
        return folded, ("scales, biases and linear operators are folded, as the compiler does",)
    samples = None if data is None else _real(data)
    bits, layers = quantize.parse_widths(compiling.weight_bits)
    chosen = quantize.QuantizeOptions(bits, steps or compiling.timesteps, layers)
    try:
        quantized = quantize.quantize(folded, target, chosen, samples)
    except SnncError as error:
        return folded, (f"not quantized for {target.id}: {error.problem}",)
    return quantized.network, (f"quantized to {compiling.weight_bits} bits for {target.id}",)


def _real(data: Dataset) -> dict[str, AnyArray]:
    return dict(data.batch(0, data.samples))


def _values(data: Dataset, network: Network | IntegerNetwork) -> Mapping[str, AnyArray]:
    if isinstance(network, IntegerNetwork):
        return integer_batch(_real(data), network.of_type(Input))
    return _real(data)
