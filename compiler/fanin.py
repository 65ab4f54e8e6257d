"""Fan-in split: neurons that fit no core are fed by partial sums from several cores.

Only what does not fit is touched, and only where the machine's neurons can send partial sums
exactly (``snnc.ir.lower.partial_sums``); what it costs stands in the network's assumptions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
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
from snnc.ir.lower.shared_partial_sums import with_shared_partial_sums
from snnc.ir.shared_expansion import (
    AnyExpansion,
    ConvTerm,
    convolutions_of,
    expand_large,
    expand_shared,
    fan_in,
)
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
    for name, neurons in large.items():
        try:
            result = _split(result, name, neurons, float(need[name].max()), target, timesteps,
                            wire_code, before)  # fmt: skip
        except RewriteError as error:
            refused[name] = f"its inputs cannot be summed in parts: {error}"
        except UnsupportedError as error:
            refused[name] = f"its inputs cannot be summed in parts: {error.found}"
    done = result.expansion
    if target.core.stores_kernels and isinstance(done, Expansion):
        done = expand_large(result.network, kernels=True)
    return Split(result.network, done, refused)


def _split(
    done: Split, name: str, neurons: IntArray, need: float, target: Target, timesteps: int,
    wire_code: Preference, before: Retiming,
) -> Split:  # fmt: skip
    """With the fewest slices such that the population and its helpers fit.

    Shared weights stay shared where the population adds up nothing but convolutions.
    """
    slices, parts = max(2, math.ceil(need)), done.expansion
    terms = None if isinstance(parts, Expansion) else convolutions_of(done.network, name)
    if terms is None and not isinstance(parts, Expansion):
        parts = expand(done.network)
    while slices <= MOST_SLICES:
        how = Slicing(neurons, slices)
        network, made, parts_of = _sliced(done.network, parts, terms, name, how, target)
        after = _retimed(network, parts_of, target, timesteps, wire_code)
        left = _need(network, parts_of, target, after.extra_delay, {name, *made})
        worst = max(float(n.max(initial=0.0)) for n in left.values())
        if worst <= 1:
            known = {str(f) for f in verdicts(done.network, target, wire_code)}
            new = [f for f in verdicts(network, target, wire_code) if str(f) not in known]
            require(new, target)
            network = _told(network, name, how, made, before, after)
            return Split(network, parts_of, {})
        slices = max(slices + 1, math.ceil(slices * min(worst, 2)))
    raise RewriteError(f"more than {MOST_SLICES} parts would be needed", "use fewer inputs")


def _sliced(
    network: IntegerNetwork, parts: AnyExpansion, terms: Sequence[ConvTerm] | None, name: str,
    how: Slicing, target: Target,
) -> tuple[IntegerNetwork, tuple[str, ...], AnyExpansion]:  # fmt: skip
    """(the network with partial sums, helpers, its expansion)."""
    limits = limits_of(target)
    if terms is not None:
        result, helpers = with_shared_partial_sums(network, name, terms, how.slices, limits)
        return result, helpers, expand_shared(result)
    assert isinstance(parts, Expansion)  # neurons are split synapse by synapse
    result, made = with_partial_sums(network, parts.projections, {name: how}, limits)
    return result, made[name], expand(result)


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
