"""Say why a network does not fit: resource, layer, need against limit, and what would help."""

from __future__ import annotations

import numpy as np

from snnc.compiler.chip_count import chips_for, cores_per_chip
from snnc.compiler.partition.alone import lone
from snnc.compiler.partition.limits import Counts, Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.select import neuron_reach
from snnc.compiler.partition.tiling import Tiling, measure
from snnc.ir.errors import CapacityError
from snnc.ir.target import Target
from snnc.ir.topology import chip_grid


def lonely(meter: Meter, population: int) -> CapacityError:
    """A single neuron of this population overflows a core of its own."""
    node = meter.wiring.populations[population]
    alone = measure(meter, population, (node.size,), np.arange(node.size))
    broken = _broken(meter.limits, alone.counts)
    fan_in = int(meter.fan_in[meter.first[population] : meter.first[population + 1]].max())
    most = _largest_fan_in(meter, population, fan_in)
    return CapacityError(
        f"a single neuron does not fit a core of {meter.limits.target.id}",
        where=node.name,
        found="; ".join(f"{name}: {need:,}{unit}" for name, need, _, unit in broken)
        + f" for one neuron with {fan_in:,} inputs",
        allowed="; ".join(
            f"{limit:,}{unit} per core: {need - limit:,}{unit} too many"
            for _, need, limit, unit in broken
        ),
        remedy="no number of chips would do: "
        + (
            f"cut the layer's fan-in to {most:,} (prune, pool or split it) or choose a target "
            "with larger cores"
            if most
            else "not even one input fits; choose a target with larger cores"
        ),
    )


def _largest_fan_in(meter: Meter, population: int, fan_in: int) -> int:
    """Most inputs with which a neuron of the population fits a core of its own; 0: none fit."""
    inputs = np.arange(1, fan_in + 1)
    counts = lone(meter, population, inputs)
    good = np.flatnonzero(meter.limits.fits(counts))
    return int(inputs[good[-1]]) if good.size else 0


def _broken(limits: Limits, counts: Counts) -> list[tuple[str, int, int, str]]:
    """(name, need, limit, unit) of all walls exceeded, by the largest factor first."""
    rows = [
        (int(use.max()) / max(w.capacity, 1), w.name, int(use.max()), w.capacity, w.unit)
        for w in limits.walls
        for use in [limits.use(w, counts)]
    ]
    rows.sort(key=lambda row: -row[0])
    exceeded = [row for row in rows if row[2] > row[3]] or rows[:1]
    return [
        (name, need, most, f" {unit}" if unit else "") for _, name, need, most, unit in exceeded
    ]


def outputs(meter: Meter, finest: list[Tiling]) -> CapacityError:
    """No combination of tilings leaves some neurons enough output axons or targets.

    Args:
        finest: one tiling per population.
    """
    worst, name = 0, ""
    for producer in finest:
        reach = sum(neuron_reach(meter, producer.population, consumer) for consumer in finest)
        if int(np.max(reach, initial=0)) > worst:
            worst = int(np.max(reach))
            name = meter.wiring.populations[producer.population].name
    most = meter.limits.target.core.max_targets_per_neuron
    walls = [w for w in meter.limits.walls if "n_axons_out" in w.names]
    limit = most if most is not None else min((w.capacity for w in walls), default=0)
    resource = "targets per neuron" if most is not None else walls[0].name
    return CapacityError(
        f"the neurons of a layer must reach more cores than {meter.limits.target.id} allows",
        where=name,
        found=f"{resource}: a neuron of {name} reaches {worst} cores",
        allowed=f"{limit} per {'neuron' if most is not None else 'core'}",
        remedy="more chips do not help: make the layers it feeds smaller so that they take fewer "
        "cores, or choose a target with more output axons",
    )


def too_many(
    target: Target, need: int, least: int, chips: int, largest: tuple[str, int],
    binding: tuple[str, float],
) -> CapacityError:  # fmt: skip
    """More clusters than cores.

    Args:
        need: cores of the best partition found.
        least: cores that every partition needs, by the bound.
        largest: the population with most cores, and how many.
        binding: the fullest resource of the used cores, and its mean fill (0 to 1).
    """
    usable = cores_per_chip(target)
    available = usable * chips
    enough = -(-need // usable)
    limit = target.topology.max_chips.v
    possible = limit is None or enough <= limit
    remedy = f"--chips {enough} would do" if possible else (
        f"no number of chips would do: {enough} chips are needed, {limit:g} can be joined"
    )  # fmt: skip
    if possible and not target.topology.broken_chip_links:
        square = chips_for(need, target)
        if square != enough:
            grid = "{} x {}".format(*chip_grid(target, square))
            remedy += f", and on --chips {square} ({grid}, nearly square) ways are shorter"
    if least == need:
        known = "no partition needs fewer"
    else:
        known = f"no partition needs fewer than {least}" + (
            "" if least > available else ", so that a better one may fit"
        )
    return CapacityError(
        f"the network needs more cores than {chips} chip{'s' * (chips > 1)} of {target.id} offer",
        where=f"{largest[0]} ({largest[1]} of {need} cores)",
        found=f"{need} cores; binding resource {binding[0]}, {binding[1]:.0%} full on average; "
        f"{known}",
        allowed=f"{available} cores: {need - available} too many",
        remedy=f"{remedy}; or --phases auto: in groups that take turns on the machine",
    )
