"""A real population's parameters per group of neurons that share a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snnc.compiler.quantize.grids import halvings
from snnc.compiler.quantize.trees import Tree, constants, pull
from snnc.ir.arrays import AnyArray, IntArray, RealArray, Shape, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.target import Target


@dataclass(frozen=True, eq=False)
class Level:
    """One threshold of a ladder: per group, and whether a potential equal to it fires."""

    real: RealArray
    strict: bool


@dataclass(frozen=True, eq=False)
class Parameters:
    """What quantization needs to know about a population, in shifted coordinates.

    With a hard reset to a value V != 0 on a chip that resets to zero only, all potentials are
    counted from V: threshold, minimum, start and leak potential move with it.

    Attributes:
        groups: [*shape] group of each neuron; ``writers`` the same for the writers' elements.
        gain, theta: per group; theta is NaN for a readout.
        levels, negative_levels: the ladders on v and on -v.
        removed: per group, what a spike subtracts.  A reset that comes one step late has already
            decayed when the plain one is applied: it removes theta / decay.
        silenced: a reset to a value one step late swallows the input of that step, which is a
            refractory period of one step that holds the potential.
        bias: real value per neuron and step, by onset.
        start: potential before the first step.
        factor: per group, by which the levels were scaled to match spike rates.
        one_grid: all groups must share one step (readouts; a lower bound on the potential).
    """

    neuron: RealNeuron
    groups: IntArray
    writers: dict[str, IntArray]
    gain: RealArray
    theta: RealArray
    removed: RealArray
    silenced: bool
    bias: dict[int, RealArray]
    reset_value: RealArray
    start: RealArray
    minimum: float | None
    one_grid: bool
    levels: tuple[Level, ...] = ()
    negative_levels: tuple[Level, ...] = ()
    factor: RealArray | float = 1.0

    @property
    def count(self) -> int:
        """Number of groups."""
        return int(self.gain.size)

    @property
    def is_readout(self) -> bool:
        """True when the population emits its potential."""
        return self.neuron.threshold is None

    @property
    def leaky(self) -> bool:
        """True when a state decays, so that fractions of the grid matter."""
        n = self.neuron
        decays = n.adaptation is not None or n.current_decay is not None
        return decays or bool((n.decay != 1).any())

    def places(self, timesteps: int | None) -> int | None:
        """Fraction bits with which no decay rounds in ``timesteps`` steps; None = no number.

        What arrives in the first step decays ``timesteps - 1`` times, by k binary places each.
        """
        n = self.neuron
        decays = [n.decay, n.current_decay, n.adaptation.decay if n.adaptation else None]
        values = np.concatenate([d.reshape(-1) for d in decays if d is not None])
        each = halvings(values)
        if each == 0 or each is None or timesteps is None:
            return 0 if each == 0 else None
        return each * (timesteps if np.any(self.start) else timesteps - 1)

    @property
    def top(self) -> float:
        """Largest threshold of the ladders, in units of theta."""
        ladder = [*self.levels, *self.negative_levels]
        return max((float(np.max(level.real / self.theta)) for level in ladder), default=1.0)

    def scaled(self, factors: RealArray) -> Parameters:
        """Thresholds, and what is subtracted, times one factor per neuron; grids stay."""
        first = np.unique(self.groups, return_index=True)[1]
        each = np.broadcast_to(factors, self.groups.shape).reshape(-1)[first]
        up = tuple(Level(level.real * each, level.strict) for level in self.levels)
        down = tuple(Level(level.real * each, level.strict) for level in self.negative_levels)
        return replace(self, levels=up, negative_levels=down, factor=each)

    def spread(self, values: AnyArray) -> AnyArray:
        """Per-group values as the smallest array that broadcasts to the population."""
        return compact(values[self.groups])


def compact(full: AnyArray) -> AnyArray:
    """A scalar, one value per channel, or the array itself."""
    if full.size and bool((full == full.reshape(-1)[0]).all()):
        return np.asarray(full.reshape(-1)[0])
    if full.ndim > 1:
        first = full[(slice(None), *(slice(0, 1),) * (full.ndim - 1))]
        if bool((full == first).all()):
            return first.copy()
    return full


def parameters(network: Network, neuron: RealNeuron, tree: Tree, target: Target) -> Parameters:
    """Collect, group and shift the parameters of one population.

    Raises:
        UnsupportedError: a bias reaches a synaptic current late, or the target has none; neurons
            that must share weights differ in threshold or gain.
    """
    shape = neuron.shape
    gain = np.broadcast_to(neuron.gain, shape).astype(np.float64)
    if neuron.current_gain is not None:
        gain = gain * neuron.current_gain
    moved = _origin(neuron, target)
    if neuron.minimum is not None and np.ptp(moved) != 0:
        raise UnsupportedError(
            "a lower bound on the potential needs one reset value per population",
            where=neuron.name,
            found=f"reset values {float(moved.min()):g} to {float(moved.max()):g}",
            remedy="give all neurons one reset value, or choose a target that resets to any value",
        )
    theta = np.full(shape, np.nan)
    if neuron.threshold is not None:
        theta = np.broadcast_to(neuron.threshold, shape) - moved
    reset = np.zeros(shape) if neuron.reset_value is None else neuron.reset_value - moved
    reset = np.broadcast_to(reset, shape)
    late = neuron.reset_timing == "next_step"
    removed = theta / np.where(neuron.decay > 0, neuron.decay, 1) if late else theta
    levels = [(np.broadcast_to(real, shape) - moved, strict) for real, strict in ladder(neuron)]
    negative = [
        (np.broadcast_to(real, shape) + moved, strict) for real, strict in negative_ladder(neuron)
    ]
    fixed = [gain, theta, removed, reset, *(real for real, _ in (*levels, *negative))]
    groups, writers = _groups(neuron, tree, fixed)
    first = np.unique(groups, return_index=True)[1]
    return Parameters(
        neuron,
        groups,
        writers,
        gain.reshape(-1)[first],
        theta.reshape(-1)[first],
        removed.reshape(-1)[first],
        late and neuron.reset in ("zero", "value"),
        _bias(network, neuron, gain, moved, target),
        reset.reshape(-1)[first],
        compact(np.broadcast_to(neuron.initial - moved, shape)),
        None if neuron.minimum is None else neuron.minimum - float(np.max(moved)),
        neuron.threshold is None or neuron.minimum is not None,
        tuple(Level(real.reshape(-1)[first], strict) for real, strict in levels),
        tuple(Level(real.reshape(-1)[first], strict) for real, strict in negative),
    )


def ladder(neuron: RealNeuron) -> list[tuple[RealArray, bool]]:
    """Real thresholds of the counts 1, 2, ... and whether each fires only above.

    round(v / theta) reaches k at (k - 1/2) theta; on the tie, half-even goes up to even k only.
    """
    if neuron.threshold is None:
        return []
    above = neuron.comparator == ">"
    if neuron.ladder is not None:
        return [(level, above) for level in neuron.ladder]
    counts = range(1, neuron.multi_spike + 1)
    if neuron.rounding == "floor":
        return [(k * neuron.threshold, above) for k in counts]
    even = neuron.rounding == "half_even"
    return [((k - 0.5) * neuron.threshold, even and k % 2 == 1) for k in counts]


def negative_ladder(neuron: RealNeuron) -> list[tuple[RealArray, bool]]:
    """The same for the negative counts, on -v; floor(x + 1/2) goes up on every negative tie."""
    if neuron.threshold is None:
        return []
    counts = range(1, neuron.negative_spikes + 1)
    if neuron.rounding == "floor":
        return [(k * neuron.threshold, neuron.comparator == ">") for k in counts]
    even = neuron.rounding == "half_even"
    return [((k - 0.5) * neuron.threshold, not even or k % 2 == 1) for k in counts]


def _origin(neuron: RealNeuron, target: Target) -> RealArray:
    """Potential from which the population counts: its reset value if the chip resets to zero."""
    if neuron.reset_value is None or "value" in target.neuron.reset:
        return np.zeros(())
    return neuron.reset_value


def _groups(
    neuron: RealNeuron, tree: Tree, fixed: list[RealArray]
) -> tuple[IntArray, dict[str, IntArray]]:
    """Channels if possible, else single neurons; those that share a writer are one group."""
    shape = neuron.shape
    for start in (_channels(shape), np.arange(size_of(shape)).reshape(shape)):
        groups, writers = pull(tree, start)
        if all(_uniform(array, groups) for array in fixed):
            return groups, writers
    raise UnsupportedError(
        "neurons that share weights differ in threshold, gain or reset value",
        where=neuron.name,
        remedy="give the whole channel one value, or unshare the weights",
    )


def _channels(shape: Shape) -> IntArray:
    if not shape:
        return np.zeros(shape, np.int64)
    column = np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    return np.broadcast_to(column, shape).copy()


def _uniform(array: RealArray, groups: IntArray) -> bool:
    first = np.unique(groups, return_index=True)[1]
    expected = array.reshape(-1)[first][groups]
    return bool(np.array_equal(expected, array, equal_nan=True))


def _bias(
    network: Network, neuron: RealNeuron, gain: RealArray, moved: RealArray, target: Target
) -> dict[int, RealArray]:
    found = constants(network, neuron.inputs[0])
    if found and neuron.current_decay is not None:
        raise UnsupportedError(
            "a delayed bias flows into a synaptic current, which would have to ramp up",
            where=neuron.name,
            found=f"a bias from step {min(found)} on",
            remedy="train the recurrent weights without bias, or move the delay (--loop-delay)",
        )
    result = {onset: gain * value for onset, value in found.items()}
    offset = np.broadcast_to(neuron.offset - (1 - neuron.decay) * moved, neuron.shape)
    if np.any(offset):
        result[0] = result[0] + offset if 0 in result else offset.astype(np.float64)
    kept: dict[int, RealArray] = {k: v for k, v in sorted(result.items()) if np.any(v)}
    if kept and target.neuron.bias_bits is None:
        raise UnsupportedError(
            f"the neurons of {target.id} have no bias register",
            where=neuron.name,
            found="a bias, a leak towards a potential other than zero, or a reset value",
            remedy="train without bias, or choose another target",
        )
    return kept
