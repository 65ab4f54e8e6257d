"""Which weight grid every group of a population takes: ``Grids.steps``."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from snnc.compiler.quantize.grids import (
    FEW_BITS,
    clipped_at,
    exact_step,
    limit_distinct,
    near_integer,
)
from snnc.compiler.quantize.ladder import Thresholds
from snnc.compiler.quantize.options import QuantizeOptions
from snnc.compiler.quantize.parameters import Parameters
from snnc.compiler.quantize.rows import Rows, by_group
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.target import Target

BoolArray = npt.NDArray[np.bool_]
PLACES = 12  # binary places of a potential whose decay is no multiple of a power of two
MANY = 64  # whole fractions of the threshold this fine lose less than 1/64 of the weight range


class Grids:
    """Grid steps of one population, by number of fraction bits and share of the weight range.

    Attributes:
        largest: largest weight integer.
        one_grid: all groups share one step.
        registers: thresholds that the target can hold.
    """

    def __init__(
        self,
        parameters: Parameters,
        rows: list[Rows],
        target: Target,
        options: QuantizeOptions,
    ) -> None:
        self.p, self.rows = parameters, rows
        self.target, self.model = target, target.neuron
        self.largest = options.largest_weight(target)
        self.timesteps, self.bits = options.timesteps, options.weight_bits
        self.one_grid = parameters.one_grid or options.granularity == "layer"
        self.registers = Thresholds.of(target.neuron)

    @cached_property
    def _by_group(self) -> list[RealArray]:
        return by_group(self.rows, self.p.count)

    @cached_property
    def _exact(self) -> RealArray:
        """Exact grid per group (one for all where they share it), NaN where there is none."""
        weights = self._by_group
        biases: list[RealArray] = [np.zeros(0)] * self.p.count
        if self.p.bias:
            flat, order = self.p.groups.reshape(-1), np.argsort(self.p.groups.reshape(-1))
            both = np.stack([np.broadcast_to(b, self.p.groups.shape).reshape(-1)
                             for b in self.p.bias.values()])  # fmt: skip
            ends = np.searchsorted(flat[order], np.arange(1, self.p.count))
            biases = [part.reshape(-1) for part in np.split(both[:, order], ends, axis=1)]
        places = self.model.input_shift[1]
        if self.one_grid:
            step = exact_step(np.concatenate(weights), self.largest, self._whole(),
                              np.concatenate(biases), places)  # fmt: skip
            found = [step] * self.p.count
        else:
            found = [
                exact_step(w, self.largest, self._whole()[g : g + 1], b, places)
                for g, (w, b) in enumerate(zip(weights, biases, strict=True))
            ]
        return self._finer(np.array([np.nan if step is None else step for step in found]))

    def _finer(self, steps: RealArray) -> RealArray:
        """Halve the grids where decays need more places than the potential's fraction bits have.

        Weights then take the missing places, as far as their range and the thresholds' go.
        """
        places = self.p.places(self.timesteps)
        wanted = PLACES if places is None else places
        missing = max(0, wanted - self.model.input_shift[1])
        if not missing or not self.p.leaky:
            return steps
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.floor(np.log2(self.largest * steps / self.largest_weight + 1e-9))
            if not self.p.is_readout:
                room = np.minimum(room, np.floor(np.log2(self.room(0) * steps / self.p.theta)))
        halved = np.clip(np.nan_to_num(room, posinf=missing), 0, missing)
        result: RealArray = steps / 2.0 ** (halved.min() if self.one_grid else halved)
        return result

    def _whole(self) -> RealArray:
        """What must be a multiple of the grid: a threshold that is subtracted."""
        if self.p.neuron.reset == "subtract" and not self.p.is_readout:
            return self.p.removed
        return np.zeros(self.p.count)

    @cached_property
    def largest_weight(self) -> RealArray:
        """Per group: largest absolute real weight that keeps its value (few bits clip more)."""
        if self.bits <= FEW_BITS:
            return np.array([clipped_at(w, self.bits, self.largest) for w in self._by_group])
        return np.array([np.abs(w).max(initial=0.0) for w in self._by_group])

    @cached_property
    def jump(self) -> RealArray:
        """Per group: what a reset subtracts, or the potential that it sets."""
        if self.p.is_readout:
            return np.zeros(self.p.count)
        return self.p.removed if self.p.neuron.reset == "subtract" else self.p.reset_value

    def steps(self, shift: int, shrink: float) -> tuple[RealArray, BoolArray]:
        """Grid of each group and whether it is exact."""
        exact = ~np.isnan(self._exact) & (shrink == 1.0)
        top = self.largest_weight
        limit = self.largest * shrink
        if self.p.is_readout:
            most = float(top.max()) or 1.0
            steps = np.where(exact, self._exact, most / limit)
            return steps.astype(np.float64), exact
        divisor = self._divisors(shift, limit)
        steps = self.p.theta / np.maximum(divisor, 1)
        # A reset to zero is exact on any grid, and small whole fractions waste weight range.
        # (Weights far above the threshold leave no whole fraction at all.)
        tight = (divisor < 1) | ((divisor < MANY) & self._any_grid(shift))
        finest = np.maximum(top / limit, self.p.theta / self.room(shift))
        steps = np.where(tight & (top > 0), np.minimum(steps, finest), steps)
        steps = np.where((divisor < 1) & (top > 0), top / limit, steps)
        steps = np.where(exact, self._exact, steps).astype(np.float64)
        return (np.full_like(steps, steps.max()) if self.one_grid else steps), exact

    def room(self, shift: int) -> int:
        """Largest threshold in units of the weight grid, by the widths of its register and v."""
        room = min(self.registers.top, (1 << (self.model.state_bits - 1)) - 1)
        return max(1, int((room >> shift) / max(1.0, self.p.top)))

    def _any_grid(self, shift: int) -> bool:
        """Whether a grid that does not divide the threshold costs nothing."""
        return (
            self.p.neuron.reset != "subtract"
            and not np.any(self.p.reset_value)
            and not self.one_grid
            and (self._table() is None or self._splits_by_channel)
            and shift >= self.model.threshold_shift
        )

    @property
    def _splits_by_channel(self) -> bool:
        """Few bits need their whole range; a convolution's channels may go to many cores."""
        return self.bits <= FEW_BITS and len(self.p.neuron.shape) > 1

    def _divisors(self, shift: int, limit: float) -> IntArray:
        """n = theta / s per group: as large as weights, threshold registers and tables allow."""
        top = np.where(self.largest_weight > 0, self.largest_weight, self.p.theta * 1e-9)
        cap = self.room(shift)
        n: IntArray = np.minimum(np.floor(limit * self.p.theta / top * (1 + 1e-12)), cap).astype(
            np.int64
        )
        idle = self.largest_weight == 0
        if idle.any():  # no weights: any grid will do, take a common one
            n[idle] = min(cap, int(n[~idle].min()) if (~idle).any() else self.largest)
        coarse = 1 << max(0, self.model.threshold_shift - shift)
        n = np.where(n >= coarse, n // coarse * coarse, n)
        if self.one_grid:
            n = np.full_like(n, n.min())
        entries = self._table()
        if entries is not None and len(self.p.neuron.shape) == 1:
            importance = self.p.theta**2 * np.array([w.size for w in self._by_group])
            n = limit_distinct(n, importance, entries)
        return n

    def _table(self) -> int | None:
        """Distinct thresholds one core can hold."""
        sizes = [
            int(t.capacity.v)
            for t in self.target.core.tables.values()
            if "threshold" in t.key and t.capacity.v is not None
        ]
        return min(sizes, default=None)

    @cached_property
    def needs_fraction(self) -> bool:
        """Whether potentials fall between multiples of the weight grid."""
        if self.p.leaky:
            return True
        steps = self.steps(0, 1.0)[0]
        if not near_integer(np.abs(self.jump) / steps):
            return True
        for value in (*self.p.bias.values(), self.p.start):
            ratio = value / steps[self.p.groups]
            if (np.abs(ratio - np.rint(ratio)) > 1e-6 * np.maximum(1, np.abs(ratio))).any():
                return True
        return False
