"""What every simulator returns, and how two results are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.simulators.decoding import Decoder, classes


@dataclass(frozen=True, eq=False)
class Events:
    """Nonzero outputs of one population, sorted by (sample, step, index).

    Attributes:
        sample, step, index: int32, which sample, logical step and flat neuron.
        value: the count (or the state of a readout population), int64
            because a state may need more than 32 bits.
    """

    sample: IntArray
    step: IntArray
    index: IntArray
    value: IntArray

    @staticmethod
    def of(sample: IntArray, step: IntArray, index: IntArray, value: IntArray) -> Events:
        """Columns in the types they are kept in."""
        s, t, i = (part.astype(np.int32) for part in (sample, step, index))
        return Events(s, t, i, value.astype(np.int64))

    @staticmethod
    def from_dense(raster: IntArray, first_step: int = 0) -> Events:
        """Collect the nonzero entries of [samples, steps, neurons]."""
        sample, step, index = np.nonzero(raster)
        return Events.of(sample, step + first_step, index, raster[sample, step, index])

    @staticmethod
    def join(parts: list[Events]) -> Events:
        """Concatenate and sort."""
        if not parts:
            return Events.of(*(np.zeros(0, np.int64) for _ in range(4)))
        sample, step, index, value = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("sample", "step", "index", "value")
        )
        steps, size = int(step.max(initial=0)) + 1, int(index.max(initial=0)) + 1
        if (int(sample.max(initial=0)) + 1) * steps * size < 1 << 63:
            key = sample.astype(np.int64)  # one number sorts faster than three
            for extent, part in ((steps, step), (size, index)):
                key *= extent
                key += part
            order = np.argsort(key, kind="stable")
            del key
        else:
            order = np.lexsort((index, step, sample))
        return Events(sample[order], step[order], index[order], value[order])

    @property
    def count(self) -> int:
        """Number of spikes: the sum of absolute counts."""
        return int(np.abs(self.value.astype(np.int64)).sum())

    def mismatches(self, other: Events) -> int:
        """Number of (sample, step, neuron) entries in which the two differ."""
        pairs = zip(self._columns(), other._columns(), strict=True)
        if all(np.array_equal(mine, theirs) for mine, theirs in pairs):
            return 0
        mine, theirs = self._rows(), other._rows()
        keys = np.concatenate([mine[:, :3], theirs[:, :3]])
        signed = np.concatenate([mine[:, 3], -theirs[:, 3]])
        unique, inverse = np.unique(keys, axis=0, return_inverse=True)
        total = np.zeros(len(unique), np.int64)
        np.add.at(total, inverse.reshape(-1), signed)
        return int(np.count_nonzero(total))

    def _columns(self) -> tuple[IntArray, ...]:
        return self.sample, self.step, self.index, self.value

    def _rows(self) -> IntArray:
        rows: IntArray = np.stack([c.astype(np.int64) for c in self._columns()], axis=1)
        return rows


@dataclass(frozen=True, eq=False)
class RunResult:
    """Outcome of running a batch of samples.

    Attributes:
        outputs: by output name, int64 [samples, steps, *shape]: what the output reads per step.
        spikes: by population name, for the populations that were recorded.
        spike_counts: by population, int64 [samples]: total absolute counts per sample.
    """

    outputs: Mapping[str, IntArray]
    spikes: Mapping[str, Events]
    spike_counts: Mapping[str, IntArray]

    def mismatches(self, other: RunResult) -> dict[str, int]:
        """Differing entries per population recorded by both, and per output."""
        result = {
            name: events.mismatches(other.spikes[name])
            for name, events in self.spikes.items()
            if name in other.spikes
        }
        for name, values in self.outputs.items():
            theirs = other.outputs[name]
            same_shape = values.shape == theirs.shape
            result[f"output {name}"] = (
                int(np.count_nonzero(values != theirs)) if same_shape else int(values.size)
            )
        return result


def decode(values: AnyArray, readout: str) -> AnyArray:
    """Scores [samples, elements] of [samples, steps, *shape], by the name of a decoder."""
    return Decoder.parse(readout).scores(values)


def predictions(values: AnyArray, readout: str) -> IntArray:
    """Class per sample: argmax of the decoded output, lowest index on ties."""
    return classes(decode(values, readout))
