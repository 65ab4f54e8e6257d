"""Some successive neurons of a population as a population of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from snnc.ir.arrays import AnyArray, size_of
from snnc.ir.neuron import Leak, Neuron
from snnc.ir.phased import Box, Member


def sliced(neuron: Neuron, member: Member, inputs: tuple[str, ...]) -> Neuron:
    """The neurons of a member of the population, with their parameters."""
    whole, box = neuron.shape, member.box(neuron.shape)

    def cut(array: AnyArray) -> Any:
        """Slice the axes on which a parameter differs; an axis of extent 1 broadcasts."""
        if array.size == 1:
            return array.reshape(())
        if box is None:
            return np.broadcast_to(array, whole).reshape(-1)[member.neurons(whole)]
        ends = zip(array.shape, box[len(box) - array.ndim :], strict=True)
        return array[tuple(slice(None) if n == 1 else slice(*ab) for n, ab in ends)]

    def ladder(levels: AnyArray) -> Any:
        if not len(levels):
            return levels.reshape(0)
        parts = np.stack([cut(level) for level in levels])
        return parts.reshape(len(levels), *(1,) * (len(shape) + 1 - parts.ndim), *parts.shape[1:])

    def leak(value: Leak) -> Leak:
        return dataclasses.replace(value, multiplier=cut(value.multiplier))

    shape = member.shape(whole)
    adaptation = neuron.adaptation
    if adaptation is not None:
        adaptation = dataclasses.replace(
            adaptation, gain=cut(adaptation.gain), leak=leak(adaptation.leak)
        )
    return dataclasses.replace(
        neuron,
        name=member.name,
        inputs=inputs,
        shape=shape,
        thresholds=ladder(neuron.thresholds),
        negative_thresholds=ladder(neuron.negative_thresholds),
        reset=dataclasses.replace(neuron.reset, amount=cut(neuron.reset.amount)),
        leak=leak(neuron.leak),
        current=None if neuron.current is None else leak(neuron.current),
        bias=tuple(dataclasses.replace(b, value=cut(b.value)) for b in neuron.bias),
        adaptation=adaptation,
        initial=cut(neuron.initial),
        grid=_grid(neuron, box, member),
    )


def _grid(neuron: Neuron, box: Box | None, member: Member) -> tuple[float, ...]:
    """One step, or one per channel of the part; per neuron where the part is flat."""
    if len(neuron.grid) == 1:
        return neuron.grid
    if box is not None:
        return neuron.grid[slice(*box[0])]
    each = np.repeat(np.array(neuron.grid), size_of(neuron.shape[1:]))
    return tuple(each[member.neurons(neuron.shape)].tolist())
