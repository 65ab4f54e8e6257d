"""Fan-in split: neurons that fit no core are fed by partial sums from several cores.

Only what does not fit is touched, and only where the machine's neurons can send partial sums
exactly (``snnc.ir.lower.partial_sums``); what it costs stands in the network's assumptions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from snnc.compiler.legalize import require, verdicts
from snnc.compiler.partition.alone import alone
from snnc.compiler.partition.limits import Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.wiring import wire
from snnc.compiler.retime import Retiming, retime
from snnc.compiler.wire import Preference, wire_codes
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import SourceSpace
from snnc.ir.errors import CapacityError, UnsupportedError
from snnc.ir.expand import Expansion, expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.lower import limits_of
from snnc.ir.lower.builder import RewriteError
from snnc.ir.lower.partial_sums import Slicing, neurons_of, with_partial_sums
from snnc.ir.shared_expansion import AnyExpansion, expand_large, fan_in
from snnc.ir.target import Target

MOST_SLICES = 64
CLOSE = 0.5
"""Share of a core from which on delays, which cost memory, may make a neuron too large."""


@dataclass(frozen=True, eq=False)
class Split:
    """A network whose neurons fit, as far as splitting helps.

    Attributes:
        refused: why a population could not be split, by name; the mapper refuses it.
    """

    network: IntegerNetwork
    expansion: AnyExpansion
    refused: Mapping[str, str]


def may_overflow(network: IntegerNetwork, parts: AnyExpansion, target: Target) -> bool:
    """Whether a neuron could be too large for a core, whatever the delays of the schedule."""
    need = _need(network, parts, target, {})
    return max((float(n.max(initial=0.0)) for n in need.values()), default=0.0) > CLOSE


def split_fan_in(
    network: IntegerNetwork,
    parts: AnyExpansion,
    target: Target,
    timesteps: int,
    wire_code: Preference = "auto",
) -> Split:
    """Split every population with neurons that fit no core of the target.

    Args:
        network: legal for the target.
        parts: ``expand_large(network)``.
        timesteps: steps per sample, for the schedule.
    """
    before = _retimed(network, parts, target, timesteps, wire_code)
    need = _need(network, parts, target, before.extra_delay)
    large = {name: np.flatnonzero(n > 1) for name, n in need.items() if (n > 1).any()}
    result, refused = Split(network, parts, {}), {}
    if large and not isinstance(parts, Expansion):
        result = Split(network, expand(network), {})
    for name, neurons in large.items():
        try:
            result = _split(result, name, neurons, float(need[name].max()), target, timesteps,
                            wire_code, before)  # fmt: skip
        except RewriteError as error:
            refused[name] = f"its inputs cannot be summed in parts: {error}"
        except UnsupportedError as error:
            refused[name] = f"its inputs cannot be summed in parts: {error.found}"
    done = result.expansion
    if target.core.stores_kernels and done is not parts:
        done = expand_large(result.network, kernels=True)
    return Split(result.network, done, refused)


def _split(
    done: Split, name: str, neurons: IntArray, need: float, target: Target, timesteps: int,
    wire_code: Preference, before: Retiming,
) -> Split:  # fmt: skip
    """With the fewest slices such that the population and its helpers fit."""
    slices = max(2, math.ceil(need))
    while slices <= MOST_SLICES:
        how = {name: Slicing(neurons, slices)}
        assert isinstance(done.expansion, Expansion)  # neurons are split synapse by synapse
        network, made = with_partial_sums(
            done.network, done.expansion.projections, how, limits_of(target)
        )
        parts = expand(network)
        after = _retimed(network, parts, target, timesteps, wire_code)
        left = _need(network, parts, target, after.extra_delay, {name, *made[name]})
        worst = max(float(n.max(initial=0.0)) for n in left.values())
        if worst <= 1:
            known = {str(f) for f in verdicts(done.network, target, wire_code)}
            new = [f for f in verdicts(network, target, wire_code) if str(f) not in known]
            require(new, target)
            network = _told(network, name, how[name], made[name], before, after)
            return Split(network, parts, {})
        slices = max(slices + 1, math.ceil(slices * min(worst, 2)))
    raise RewriteError(f"more than {MOST_SLICES} parts would be needed", "use fewer inputs")


def _told(
    network: IntegerNetwork, name: str, how: Slicing, made: tuple[str, ...], before: Retiming,
    after: Retiming,
) -> IntegerNetwork:  # fmt: skip
    synapses = fan_in(network, made)
    later = after.schedule.offset[name] - before.schedule.offset[name]
    text = (
        f"{how.neurons.size:,} neuron(s) fit no core: their inputs are summed in {how.slices} "
        f"parts by {neurons_of(network, made):,} neurons of {len(made)} population(s) with "
        f"{sum(synapses.values()):,} synapses, {later} tick(s) later"
    )
    assumptions = {**network.assumptions, f"fan-in of {name}": text}
    return IntegerNetwork(network.name, network.nodes, assumptions)


def _retimed(
    network: IntegerNetwork, parts: AnyExpansion, target: Target, timesteps: int, code: Preference
) -> Retiming:
    codes = wire_codes(network, target, code)
    return retime(network, target, timesteps, expansion=parts, codes=codes)


def _need(
    network: IntegerNetwork,
    parts: AnyExpansion,
    target: Target,
    extra_delay: Mapping[tuple[str, str, int], int],
    only: Collection[str] = (),
) -> dict[str, RealArray]:
    """[neurons] share of a core of its own that every neuron needs, by population.

    Delays that are not given count as 0.
    """
    delays = {(p.source, p.population, p.delay): 0 for p in parts.projections} | dict(extra_delay)
    meter = Meter(wire(parts, SourceSpace.of(network), delays, None), Limits.of(target))
    result: dict[str, RealArray] = {}
    for number, node in enumerate(parts.populations):
        if only and node.name not in only:
            continue
        counts = alone(meter, number)
        share = np.zeros(node.size)
        for wall in meter.limits.walls:
            share = np.maximum(share, meter.limits.use(wall, counts) / max(wall.capacity, 1e-9))
        result[node.name] = share
    return result


def with_reason(error: CapacityError, refused: Mapping[str, str]) -> CapacityError:
    """The mapper's refusal of a population that could not be split either, and why not."""
    reason = refused.get(error.where)
    if reason is None:
        return error
    return CapacityError(
        error.problem,
        where=error.where,
        found=error.found,
        allowed=error.allowed,
        remedy=f"{error.remedy}; {reason}",
    )
