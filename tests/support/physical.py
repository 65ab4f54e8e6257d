"""A schedule executed tick by tick, in the plainest way: what a retiming means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from snnc.compiler.retime import Retiming
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.result import Events


def run_ticks(
    network: IntegerNetwork, retiming: Retiming, inputs: Mapping[str, Any], min_delay: int
) -> dict[str, Events]:
    """Spikes of every population when spikes travel for ``min_delay`` plus their extra ticks."""
    parts, schedule = expand(network), retiming.schedule
    samples = next(iter(inputs.values())).shape[0]
    states = {n.name: PopulationState(n, samples) for n in parts.populations}
    arriving: Any = defaultdict(lambda: defaultdict(int))  # [population][tick]
    found: dict[str, list[Events]] = {n.name: [] for n in parts.populations}

    def send(source: str, spikes: Any, tick: int) -> None:
        for p in parts.projections:
            if p.source == source:
                shape = (p.row_ptr.size - 1, p.targets)
                matrix = sparse.csr_array((p.weight, p.target, p.row_ptr), shape=shape)
                when = tick + retiming.extra_delay[source, p.population, p.delay]
                arriving[p.population][when] += spikes.reshape(samples, -1) @ matrix

    for tick in range(schedule.ticks):
        step, phase = divmod(tick, schedule.period)
        if phase == 0 and step < schedule.timesteps:
            for name, data in inputs.items():
                send(name, data[:, step], tick)
        for n in parts.populations:
            step, phase = divmod(tick - schedule.offset[n.name], schedule.period)
            if phase == 0 and 0 <= step < schedule.timesteps:
                x = np.zeros((samples, n.size), np.int64) + arriving[n.name][tick]
                spikes = states[n.name].step(x.reshape(samples, *n.shape), step)
                found[n.name].append(Events.from_dense(spikes.reshape(samples, 1, -1), step))
                send(n.name, spikes, tick + min_delay)
    return {name: Events.join(events) for name, events in found.items()}
