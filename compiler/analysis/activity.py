"""Operations on data: the reference runs the network, every site counts what it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.compiler.analysis.operations import Site
from snnc.compiler.analysis.values import Value
from snnc.ir.arrays import AnyArray, size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.simulators import reference
from snnc.simulators.reference.real import run_real

BATCH = 16


@dataclass(frozen=True, eq=False)
class Activity:
    """Means over samples.

    Attributes:
        samples, steps: how much data was run.
        operations: per sample, by site.
        rates: events per element and step, by node that emits events.
    """

    samples: int
    steps: int
    operations: Mapping[str, float]
    rates: Mapping[str, float]


class _Observer:
    """Adds up one step after the other."""

    def __init__(self, sites: Sequence[Site], event_nodes: Sequence[str]) -> None:
        self.sites = sites
        self.operations = {site.node.name: 0.0 for site in sites}
        self.events = dict.fromkeys(event_nodes, 0.0)

    def __call__(self, value: Mapping[str, Any]) -> None:
        for site in self.sites:
            operands = [value[source] for source in site.node.inputs]
            self.operations[site.node.name] += site.count(operands)
        for name in self.events:
            self.events[name] += float(np.abs(value[name]).sum(dtype=np.float64))


def measure(
    network: Network | IntegerNetwork,
    inputs: Mapping[str, AnyArray],
    sites: Sequence[Site],
    values: Mapping[str, Value],
    emitters: Sequence[str],
) -> Activity:
    """Run the reference on inputs [samples, steps, *shape] and count.

    Args:
        network, inputs: as for ``reference.run`` or ``run_real``.
        sites: operators to count.
        values: what every node emits.
        emitters: nodes whose event rate is wanted; those that emit no events are left out.

    Raises:
        InputError: as the reference.
    """
    observer = _Observer(sites, [name for name in emitters if values[name].event])
    samples, steps = next(iter(inputs.values())).shape[:2]
    for start in range(0, samples, BATCH):
        part = {name: array[start : start + BATCH] for name, array in inputs.items()}
        if isinstance(network, IntegerNetwork):
            reference.run(network, part, (), observe=observer)
        else:
            run_real(network, part, (), observe=observer)
    rates = {
        name: total / (samples * steps * size_of(network.shapes[name]))
        for name, total in observer.events.items()
    }
    operations = {name: total / samples for name, total in observer.operations.items()}
    return Activity(samples, steps, operations, rates)
