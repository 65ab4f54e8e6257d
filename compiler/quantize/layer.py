"""One population: choose grids and fraction bits, then emit its integer neuron and writers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnc.compiler.intervals import Interval, interval
from snnc.compiler.quantize.bounds import Bounds, bounds
from snnc.compiler.quantize.grids import TOLERANCE
from snnc.compiler.quantize.ladder import bias, leak
from snnc.compiler.quantize.options import QuantizeOptions
from snnc.compiler.quantize.parameters import Level, Parameters, compact
from snnc.compiler.quantize.rounding import Moments
from snnc.compiler.quantize.rows import Rows
from snnc.compiler.quantize.steps import BoolArray, Grids
from snnc.compiler.quantize.trees import Tree
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.integer_network import IntegerNode
from snnc.ir.neuron import MEMORYLESS, Adaptation, GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Linear
from snnc.ir.target import Target
from snnc.ir.types import ValueType

MIN_FRACTION = 4  # bits: a bias is then rounded to 1/32 of a weight unit per step at most


@dataclass(frozen=True, eq=False)
class Layer:
    """A quantized population.

    Attributes:
        steps: per group, real value of one unit of the weights.
        exact: per group, the weights lie on the grid.
        proof: bounds of everything the core adds up.
        threshold_error, reset_error: largest deviation of a threshold, and of what a reset
            subtracts or sets, relative to the threshold.
    """

    parameters: Parameters
    rows: list[Rows]
    neuron: Neuron
    writers: list[Linear]
    steps: RealArray
    exact: BoolArray
    proof: Bounds
    threshold_error: float
    reset_error: float
    fits: bool


class LayerQuantizer:
    """Search over the fraction bits of one population (see docs/quantization.md)."""

    def __init__(
        self,
        parameters: Parameters,
        tree: Tree,
        rows: list[Rows],
        target: Target,
        options: QuantizeOptions,
        nodes: Mapping[str, IntegerNode],
        types: Mapping[str, ValueType],
        moments: Moments | None = None,
    ) -> None:
        self.moments = moments
        self.p, self.tree, self.rows = parameters, tree, rows
        self.target, self.model, self.options = target, target.neuron, options
        self.nodes, self.types = nodes, types
        self.grids = Grids(parameters, rows, target, options)
        self._by_steps: dict[bytes, tuple[list[Linear], Interval]] = {}
        self.lowest = -(1 << (target.neuron.state_bits - 1))

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
        inexact = ~layer.exact & (self.grids.largest_weight > 0)
        if self.p.is_readout or not inexact.any():
            return 1.0
        wanted = self.grids.largest * self.p.theta[inexact] / self.grids.largest_weight[inexact]
        return max(1.0, float(wanted.max()) / self.grids.room(layer.neuron.input_shift))

    def _rank(self, layer: Layer) -> tuple[bool, float, bool]:
        """Exact thresholds and resets first, then unsqueezed weights, then proofs on both sides."""
        low = layer.proof.state[0]
        open_below = low is None or low < self.lowest
        rough = self.grids.needs_fraction and layer.neuron.input_shift < MIN_FRACTION
        off = max(layer.threshold_error, layer.reset_error) > 1e-3
        return off, self._squeeze(layer), open_below or rough

    def _overload(self, layer: Layer) -> float:
        bits = self.model.accumulator_bits
        if bits is None:
            return 1.0
        most = layer.proof.input << layer.neuron.input_shift
        return most / ((1 << (bits - 1)) - 1) * (1 + 1e-9)

    def _shifts(self) -> list[int]:
        low, high = self.model.input_shift
        low = max(low, self.target.core.weight.min_bits_plus_shift - self.options.weight_bits)
        if self.grids.needs_fraction:
            return list(range(max(low, high), low - 1, -1))
        start = max(low, min(self.model.threshold_shift, high))
        return list(range(start, low - 1, -1))

    def _attempt(self, shift: int, shrink: float) -> Layer:
        steps, exact = self.grids.steps(shift, shrink)
        writers, (low, high) = self._written(steps)
        neuron, threshold_error, reset_error, biases_fit = self._neuron(shift, steps)
        clipped = neuron.state_range.low > self.lowest
        proof = bounds(neuron, low, high, self.options.timesteps, clipped)
        neuron = replace(neuron, current_range=self._current_range())
        fits = biases_fit and self._proven(neuron, proof)
        return Layer(self.p, self.rows, neuron, writers, steps, exact, proof, threshold_error,
                     reset_error, fits)  # fmt: skip

    def _written(self, steps: RealArray) -> tuple[list[Linear], Interval]:
        """The weights on these grids and the interval of their sum; few shifts change the grids."""
        key = steps.tobytes()
        if key not in self._by_steps:
            signs = self.options.weight_bits == 1
            writers = [
                rows.quantized(steps, self.grids.largest, signs, self.moments) for rows in self.rows
            ]
            nodes = {**self.nodes, **self.tree.inner, **{w.name: w for w in writers}}
            found = interval(nodes, self.tree.root, self.types)
            self._by_steps = {key: (writers, found)}
        return self._by_steps[key]

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
        return not (must and (low is None or low < -half))

    def _neuron(self, shift: int, steps: RealArray) -> tuple[Neuron, float, float, bool]:
        p, n = self.p, self.p.neuron
        unit = steps / (1 << shift)
        biases, fit = self._biases(unit)
        start = np.rint(p.start / p.spread(unit)).astype(np.int64) if np.any(p.start) else 0
        low = self.lowest
        if p.minimum is not None:
            low = max(low, int(np.rint(p.minimum / unit[0])))
        state = StateRange(low, (1 << (self.model.state_bits - 1)) - 1, self.model.state_overflow)
        reset, reset_error = self._reset(unit)
        if not p.is_readout:  # the potential at the start is a potential set, like that of a reset
            off = np.abs(start * unit[p.groups] - p.start) / p.theta[p.groups]
            reset_error = max(reset_error, float(np.max(np.where(off > 1e-6, off, 0.0))))
        # Without leak all that moves a potential is a multiple of this.
        moves = [np.array([1 << shift, low]), np.asarray(start), reset.amount,
                 *(b.value for b in biases)]  # fmt: skip
        quantum = int(np.gcd.reduce(np.concatenate([np.ravel(m) for m in moves])))
        quantum = 1 if p.leaky else quantum
        thresholds, error = self._ladder(p.levels, unit, quantum)
        below, error_below = self._ladder(p.negative_levels, unit, quantum)
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
                negative_thresholds=below,
                refractory=n.refractory or int(p.silenced),
                refractory_hold=p.silenced or (n.refractory > 0 and n.refractory_hold),
                adaptation=self._adaptation(unit),
                state_range=state,
                initial=np.asarray(start),
                emit="state" if p.is_readout else "count",
                grid=self._grid(unit),
            ),
            max(error, error_below),
            reset_error,
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

    def _ladder(
        self, levels: tuple[Level, ...], unit: RealArray, quantum: int
    ) -> tuple[IntArray, float]:
        """Thresholds, and the largest error of one relative to it."""
        p, n = self.p, self.p.neuron
        axes = (1,) * len(n.shape)
        taken_levels, error = [np.zeros((0, *axes), np.int64)], 0.0
        for level in levels:
            real = snapped(level.real / unit)
            ideal = (np.floor(real) + 1 if level.strict else np.ceil(real)).astype(np.int64)
            taken = self.grids.registers.nearest(ideal, quantum)
            last_silent = -(-ideal // quantum) * quantum - quantum
            alike = (taken > last_silent) & (taken <= last_silent + quantum)
            off = np.abs(taken - ideal) / np.maximum(np.abs(real), 1)
            error = max(error, float(np.max(np.where(alike, 0, off))))
            full = compact(np.broadcast_to(taken[p.groups], n.shape))
            taken_levels.append(full.reshape(1, *(full.shape or axes)))
        wide = np.broadcast_shapes(*(level.shape[1:] for level in taken_levels))
        stacked = [np.broadcast_to(level, (level.shape[0], *wide)) for level in taken_levels]
        return np.maximum.accumulate(np.concatenate(stacked), axis=0), error

    def _adaptation(self, unit: RealArray) -> Adaptation | None:
        """Counted in units of the potential, so that the offset needs no shift."""
        rule = self.p.neuron.adaptation
        if rule is None:
            return None
        shape = self.p.neuron.shape
        jump = np.broadcast_to(rule.gain * rule.scale, shape) / unit[self.p.groups]
        decay = compact(np.broadcast_to(rule.decay, shape))
        return Adaptation(
            "decay", compact(np.rint(jump).astype(np.int64)), leak(decay, self.model, None)
        )

    def _reset(self, unit: RealArray) -> tuple[Reset, float]:
        """The reset, and its largest error relative to the threshold."""
        kind = self.p.neuron.reset
        if kind == "none" or self.p.is_readout:
            return Reset("none"), 0.0
        if kind == "multiply":
            up, down = (int(factor) for factor in self.p.neuron.reset_factors)
            return Reset("multiply", up=up, down=down), 0.0
        jump = self.grids.jump * (self.p.factor if kind == "subtract" else 1.0)
        amount = np.rint(jump / unit).astype(np.int64)
        if kind == "subtract":
            amount = np.maximum(1, amount)
        # What lies within the precision of a float32 checkpoint is exact.
        real = snapped(jump / unit)
        error = float(np.max(np.abs(amount - real) * unit / self.p.theta))
        return Reset("subtract" if kind == "subtract" else "value", self.p.spread(amount)), error

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


def _fits(magnitude: int | None, bits: int) -> bool:
    return magnitude is not None and magnitude < 1 << (bits - 1)
