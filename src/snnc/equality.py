"""Whether two runs are equal, entry by entry, and whether all simulators are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.choices import Backend
from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.nodes import Input
from snnc.ir.phased import Program
from snnc.running import Simulator, follows_order, values_per_step
from snnc.simulators import reference
from snnc.simulators.reference import event_order
from snnc.simulators.result import Events, RunResult
from snnc.tallies import spikes_of

COMPARED_BYTES = 256 << 20
"""Bytes of all elements of samples that simulators are compared on at a time."""


def differences(truth: RunResult, other: RunResult) -> int:
    """Differing entries over all outputs, recorded spikes and spike counts of two runs.

    A population that the other run did not record differs in every entry.
    """
    found = sum(truth.mismatches(other).values())
    for name, events in truth.spikes.items():
        found += 0 if name in other.spikes else len(events.index)
    for name, counts in truth.spike_counts.items():
        found += int(np.count_nonzero(counts != other.spike_counts[name]))
    return found


def head(result: RunResult, samples: int) -> RunResult:
    """The first samples of a result."""
    spikes = {}
    for name, e in result.spikes.items():
        end = int(np.searchsorted(e.sample, samples))
        spikes[name] = Events(e.sample[:end], e.step[:end], e.index[:end], e.value[:end])
    return RunResult(
        {name: values[:samples] for name, values in result.outputs.items()},
        spikes,
        {name: counts[:samples] for name, counts in result.spike_counts.items()},
    )


@dataclass(frozen=True)
class Comparison:
    """Equality of simulators on some samples.

    Attributes:
        backends: the first is the truth the others are compared with.
        mismatches: by backend, differing entries (sample, step, neuron or output element).
        spikes: spikes of the truth, over all populations.
        input: what was run, for people.
    """

    backends: tuple[str, ...]
    samples: int
    steps: int
    spikes: int
    mismatches: Mapping[str, int]
    input: str

    @property
    def total(self) -> int:
        """All mismatches."""
        return sum(self.mismatches.values())

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return dataclasses.asdict(self)


def compare(
    deployment: Program,
    inputs: Mapping[str, AnyArray],
    backends: tuple[Backend, ...],
    description: str,
) -> Comparison:
    """Run the reference and other backends on the same inputs and count what differs.

    The truth of an emulated asynchronous chip is ``reference.event_order``.  After its last part of
    the samples a simulator is given up, so that large networks, which run in one, have one at a
    time in memory.
    """
    network = deployment.network
    simulators: dict[Backend, Simulator] = {}
    mismatches: dict[str, int] = dict.fromkeys(backends, 0)
    samples, steps = next(iter(inputs.values())).shape[:2]
    each = 8 * int(steps) * (values_per_step(deployment) + sum(n.size for n in network.populations))
    size, spikes = max(1, COMPARED_BYTES // each), 0
    for first in range(0, int(samples), size):
        part = {name: values[first : first + size] for name, values in inputs.items()}
        truth = reference.run(network, part)
        spikes += sum(spikes_of(network, truth).values())
        for backend in backends:
            wanted = truth
            if follows_order(deployment, backend) and isinstance(deployment, Deployment):
                wanted = event_order.run(deployment, part)
            simulator = simulators.pop(backend, None) or Simulator(deployment, backend)
            mismatches[backend] += differences(wanted, simulator.run(part, None)[0])
            if first + size < samples:
                simulators[backend] = simulator
            del simulator
    return Comparison(
        ("reference", *backends), int(samples), int(steps), spikes, mismatches, description
    )


def random_inputs(deployment: Program, samples: int, seed: int) -> dict[str, IntArray]:
    """Legal random inputs: event inputs a tenth full, others uniform over their type."""
    random = np.random.default_rng(seed)
    steps = deployment.timesteps
    inputs: dict[str, IntArray] = {}
    for node in deployment.network.of_type(Input):
        shape = (samples, steps, *node.shape)
        values = random.integers(node.type.low, node.type.high + 1, shape)
        if node.type.is_event:
            values *= random.random(shape) < 0.1
        inputs[node.name] = values
    return inputs
