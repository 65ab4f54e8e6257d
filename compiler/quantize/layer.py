"""One population: choose grids and fraction bits, then emit its integer neuron and writers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from snnc.compiler.intervals import interval
from snnc.compiler.quantize.bounds import Bounds, bounds
from snnc.compiler.quantize.grids import TOLERANCE, exact_step, limit_distinct
from snnc.compiler.quantize.ladder import Thresholds, bias, leak
from snnc.compiler.quantize.options import QuantizeOptions
from snnc.compiler.quantize.parameters import Parameters, compact
from snnc.compiler.quantize.rows import Rows, by_group
from snnc.compiler.quantize.trees import Tree
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.integer_network import IntegerNode
from snnc.ir.neuron import MEMORYLESS, GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Linear
from snnc.ir.target import Target
from snnc.ir.types import ValueType

BoolArray = npt.NDArray[np.bool_]
MANY = 64  # whole fractions of the threshold this fine lose less than 1/64 of the weight range
MIN_FRACTION = 4  # bits: a bias is then rounded to 1/32 of a weight unit per step at most


@dataclass(frozen=True, eq=False)
class Layer:
    """A quantized population.

    Attributes:
        steps: per group, real value of one unit of the weights.
        exact: per group, the weights lie on the grid.
        proof: bounds of everything the core adds up.
    """

    parameters: Parameters
    rows: list[Rows]
    neuron: Neuron
    writers: list[Linear]
    steps: RealArray
    exact: BoolArray
    proof: Bounds
    threshold_error: float
    fits: bool


class LayerQuantizer:
    """Search over the fraction bits of one population (see docs/quantization.md)."""

    def __init__(
        self,
        parameters: Parameters,
        tree: Tree,
        rows: list[Rows],
        levels: int,
        target: Target,
        options: QuantizeOptions,
        nodes: Mapping[str, IntegerNode],
        types: Mapping[str, ValueType],
    ) -> None:
        self.p, self.tree, self.rows, self.levels = parameters, tree, rows, levels
        self.target, self.model, self.options = target, target.neuron, options
        self.nodes, self.types = nodes, types
        self.largest = options.largest_weight(target)
        self.registers = Thresholds.of(target.neuron)

    def run(self) -> Layer:
        """The layer with the most fraction bits (or, without leak, the fewest) that is proven.

        When nothing is proven, the weights shrink until the sums fit the accumulator; potentials
        that may still leave their range saturate or wrap exactly as the target does.
        """
        shrink = 1.0
        for _ in range(8):
            tried: list[Layer] = []
            for shift in self._shifts():
                tried.append(self._attempt(shift, shrink))
                if tried[-1].fits and self._rank(tried[-1]) == (False, 1.0, False):
                    return tried[-1]
            proven = [layer for layer in tried if layer.fits]
            if proven:
                return min(proven, key=self._rank)  # the first of equals
            overload = min(self._overload(layer) for layer in tried)
            if overload <= 1:
                break
            shrink /= overload
        return min(tried, key=self._overload)

    def _squeeze(self, layer: Layer) -> float:
        """How much of the weights' range the threshold register costs at this many fractions."""
        inexact = ~layer.exact & (self._largest_weight > 0)
        if self.p.is_readout or not inexact.any():
            return 1.0
        wanted = self.largest * self.p.theta[inexact] / self._largest_weight[inexact]
        return max(1.0, float(wanted.max()) / self._room(layer.neuron.input_shift))

    def _rank(self, layer: Layer) -> tuple[bool, float, bool]:
        """Thresholds that act exactly first, then unsqueezed weights, then proofs on both sides."""
        low = layer.proof.state[0]
        open_below = low is None or low < -(1 << (self.model.state_bits - 1))
        rough = self._needs_fraction and layer.neuron.input_shift < MIN_FRACTION
        return layer.threshold_error > 1e-3, self._squeeze(layer), open_below or rough

    def _overload(self, layer: Layer) -> float:
        bits = self.model.accumulator_bits
        if bits is None:
            return 1.0
        most = layer.proof.input << layer.neuron.input_shift
        return most / ((1 << (bits - 1)) - 1) * (1 + 1e-9)

    def _shifts(self) -> list[int]:
        low, high = self.model.input_shift
        low = max(low, self.target.core.weight.min_bits_plus_shift - self.options.weight_bits)
        if self._needs_fraction:
            return list(range(max(low, high), low - 1, -1))
        start = max(low, min(self.model.threshold_shift, high))
        return list(range(start, low - 1, -1))

    @cached_property
    def _needs_fraction(self) -> bool:
        """Whether potentials fall between multiples of the weight grid."""
        return self.p.leaky or self._fine_bias()

    def _fine_bias(self) -> bool:
        steps = self._steps(0, 1.0)[0]
        for value in self.p.bias.values():
            ratio = value / steps[self.p.groups]
            if (np.abs(ratio - np.rint(ratio)) > 1e-6 * np.maximum(1, np.abs(ratio))).any():
                return True
        return False

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
        if self.p.one_grid:
            step = self._exact_of(np.concatenate(weights), self._whole(), np.concatenate(biases))
            return np.full(self.p.count, np.nan if step is None else step)
        found = [
            self._exact_of(w, self._whole()[g : g + 1], b)
            for g, (w, b) in enumerate(zip(weights, biases, strict=True))
        ]
        if self.options.granularity == "layer" and None in found:
            found = [None] * len(found)
        return np.array([np.nan if step is None else step for step in found])

    def _exact_of(self, w: RealArray, whole: RealArray, wished: RealArray) -> float | None:
        return exact_step(w, self.largest, whole, wished)

    def _whole(self) -> RealArray:
        """What must be a multiple of the grid: a threshold that is subtracted."""
        if self.p.neuron.reset == "subtract" and not self.p.is_readout:
            return self.p.removed
        return np.zeros(self.p.count)

    @cached_property
    def _largest_weight(self) -> RealArray:
        return np.array([np.abs(w).max(initial=0.0) for w in self._by_group])

    def _steps(self, shift: int, shrink: float) -> tuple[RealArray, BoolArray]:
        """Grid of each group and whether it is exact."""
        exact = ~np.isnan(self._exact) & (shrink == 1.0)
        top = self._largest_weight
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
        finest = np.maximum(top / limit, self.p.theta / self._room(shift))
        steps = np.where(tight & (top > 0), np.minimum(steps, finest), steps)
        steps = np.where((divisor < 1) & (top > 0), top / limit, steps)
        return np.where(exact, self._exact, steps).astype(np.float64), exact

    def _room(self, shift: int) -> int:
        """Largest threshold in units of the weight grid, by the widths of its register and v."""
        room = min(self.registers.top, (1 << (self.model.state_bits - 1)) - 1)
        return max(1, (room >> shift) // max(1, self.levels))

    def _any_grid(self, shift: int) -> bool:
        """Whether a grid that does not divide the threshold costs nothing."""
        return (
            self.p.neuron.reset != "subtract"
            and not np.any(self.p.reset_value)
            and not self.p.one_grid
            and self.options.granularity == "channel"
            and self._table() is None
            and shift >= self.model.threshold_shift
        )

    def _divisors(self, shift: int, limit: float) -> IntArray:
        """n = theta / s per group: as large as weights, threshold registers and tables allow."""
        top = np.where(self._largest_weight > 0, self._largest_weight, self.p.theta * 1e-9)
        cap = self._room(shift)
        n: IntArray = np.minimum(np.floor(limit * self.p.theta / top * (1 + 1e-12)), cap).astype(
            np.int64
        )
        idle = self._largest_weight == 0
        if idle.any():  # no weights: any grid will do, take a common one
            n[idle] = min(cap, int(n[~idle].min()) if (~idle).any() else self.largest)
        coarse = 1 << max(0, self.model.threshold_shift - shift)
        n = np.where(n >= coarse, n // coarse * coarse, n)
        if self.p.one_grid or self.options.granularity == "layer":
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

    def _attempt(self, shift: int, shrink: float) -> Layer:
        steps, exact = self._steps(shift, shrink)
        writers = [rows.quantized(steps, self.largest) for rows in self.rows]
        neuron, threshold_error, biases_fit = self._neuron(shift, steps)
        nodes = {**self.nodes, **self.tree.inner, **{w.name: w for w in writers}}
        low, high = interval(nodes, self.tree.root, self.types)
        proof = bounds(neuron, low, high, self.options.timesteps, self.p.minimum is not None)
        neuron = replace(neuron, current_range=self._current_range())
        fits = biases_fit and self._proven(neuron, proof)
        return Layer(self.p, self.rows, neuron, writers, steps, exact, proof, threshold_error, fits)

    def _current_range(self) -> StateRange:
        half = 1 << (self.model.current_bits - 1)
        return StateRange(-half, half - 1, self.model.current_overflow)

    def _proven(self, neuron: Neuron, proof: Bounds) -> bool:
        """The accumulator, the current and the potential above stay inside their registers.

        Far below the threshold a saturated potential is harmless and modelled; it counts only
        where a leak makes the bound finite anyway, and for readouts.
        """
        accumulator = self.model.accumulator_bits
        shifted = proof.input << neuron.input_shift
        if accumulator is not None and shifted >= 1 << (accumulator - 1):
            return False
        if neuron.current is not None and not _fits(proof.current, self.model.current_bits):
            return False
        low, high = proof.state
        half = 1 << (self.model.state_bits - 1)
        if high is None or high >= half:
            return False
        must = self.p.leaky or self.p.is_readout
        return not (must and self.p.minimum is None and (low is None or low < -half))

    def _neuron(self, shift: int, steps: RealArray) -> tuple[Neuron, float, bool]:
        p, n = self.p, self.p.neuron
        unit = steps / (1 << shift)
        biases, fit = self._biases(unit)
        start = np.rint(p.start / p.spread(unit)).astype(np.int64) if np.any(p.start) else 0
        low = -(1 << (self.model.state_bits - 1))
        if p.minimum is not None and not p.is_readout:
            low = int(np.rint(p.minimum / unit[0]))
        state = StateRange(low, (1 << (self.model.state_bits - 1)) - 1, self.model.state_overflow)
        fine = [value for b in biases for value in b.value.reshape(-1)]
        quantum = int(np.gcd.reduce([1 << shift, *map(abs, map(int, fine)),
                                     *map(abs, map(int, np.ravel(start))),
                                     abs(low)]))  # fmt: skip
        thresholds, reset, error = self._ladder(unit, shift, 1 if p.leaky else quantum)
        return (
            Neuron(
                name=n.name,
                inputs=(self.tree.root,),
                shape=n.shape,
                thresholds=thresholds,
                reset=reset,
                leak=self._leak(),
                current=self._current(),
                input_shift=shift,
                bias=biases,
                refractory=int(p.silenced),
                refractory_hold=p.silenced,
                state_range=state,
                initial=np.asarray(start),
                emit="state" if p.is_readout else "count",
                grid=self._grid(unit),
            ),
            error,
            fit,
        )

    def _grid(self, unit: RealArray) -> tuple[float, ...]:
        shape, full = self.p.neuron.shape, unit[self.p.groups]
        if not shape or bool((full == full.reshape(-1)[0]).all()):
            return (float(full.reshape(-1)[0]),)
        return tuple(float(x) for x in full.reshape(shape[0], -1)[:, 0])

    def _biases(self, unit: RealArray) -> tuple[tuple[GatedBias, ...], bool]:
        full, fit, result = unit[self.p.groups], True, []
        real = np.zeros(self.p.neuron.shape)
        before: IntArray = np.zeros(self.p.neuron.shape, np.int64)
        for onset, value in self.p.bias.items():
            # One register holds what is on, so the sum is rounded and the terms are steps of it.
            real = real + value / full
            whole, good = bias(real, self.model)
            fit &= good
            if np.any(whole != before):
                result.append(GatedBias(compact(whole - before), onset))
            before = whole
        return tuple(result), fit

    def _ladder(self, unit: RealArray, shift: int, quantum: int) -> tuple[IntArray, Reset, float]:
        """Thresholds, reset and the largest threshold error relative to the threshold."""
        p, n = self.p, self.p.neuron
        axes = (1,) * len(n.shape)
        if p.is_readout:
            return np.zeros((0, *axes), np.int64), Reset("none"), 0.0
        levels, error = [], 0.0
        for k in range(1, self.levels + 1):
            real = snapped(k * p.theta / unit)
            strict = n.comparator == ">" and n.multi_spike == 1
            ideal = (np.floor(real) + 1 if strict else np.ceil(real)).astype(np.int64)
            taken = self.registers.nearest(ideal, quantum)
            last_silent = -(-ideal // quantum) * quantum - quantum
            alike = (taken > last_silent) & (taken <= last_silent + quantum)
            error = max(error, float(np.max(np.where(alike, 0, np.abs(taken - ideal) / real))))
            levels.append(compact(np.broadcast_to(taken[p.groups], n.shape)))
        ladder = np.stack(np.broadcast_arrays(*levels))
        return ladder.reshape(self.levels, *(ladder.shape[1:] or axes)), self._reset(unit), error

    def _reset(self, unit: RealArray) -> Reset:
        p, kind = self.p, self.p.neuron.reset
        if kind == "subtract":
            return Reset("subtract", p.spread(np.maximum(1, _whole(p.removed / unit))))
        if kind == "none":
            return Reset("none")
        return Reset("value", p.spread(_whole(p.reset_value / unit)))

    def _leak(self) -> Leak:
        decay = compact(np.broadcast_to(self.p.neuron.decay, self.p.neuron.shape))
        if self.p.is_readout and bool((decay == 0).all()):
            return MEMORYLESS
        return leak(decay, self.model, self.model.leak_multiplier)

    def _current(self) -> Leak | None:
        decay = self.p.neuron.current_decay
        if decay is None:
            return None
        return leak(
            compact(np.broadcast_to(decay, self.p.neuron.shape)),
            self.model,
            self.model.current_multiplier,
        )


def snapped(values: RealArray) -> RealArray:
    """Values that are integers up to float32 precision become exactly that."""
    near = np.abs(values - np.rint(values)) <= TOLERANCE * np.maximum(1, np.abs(values) / 128)
    result: RealArray = np.where(near, np.rint(values), values)
    return result


def _whole(values: RealArray) -> IntArray:
    result: IntArray = np.rint(values).astype(np.int64)
    return result


def _fits(magnitude: int | None, bits: int) -> bool:
    return magnitude is not None and magnitude < 1 << (bits - 1)
