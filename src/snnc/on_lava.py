"""A network on Lava, with the results every simulator of snnc gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnc.backends.lava import LavaOptions, LavaRun, lower, run_on_lava
from snnc.backends.lava.jobs import Job
from snnc.backends.lava.plan import Plan
from snnc.backends.lava.project import check_arrays, write_project
from snnc.ir.arrays import IntArray, size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Output
from snnc.simulators import reference
from snnc.simulators.inputs import check_inputs
from snnc.simulators.result import Events, RunResult


class OnLava:
    """A network prepared for Lava; ``run`` starts the worker once for a batch of samples.

    Raises:
        UnsupportedError: an operator or output Lava has no process for.
    """

    def __init__(
        self, network: IntegerNetwork, timesteps: int, options: LavaOptions | None = None
    ) -> None:
        self.network, self.options = network, options
        self.plan = lower(network, timesteps)

    def run(
        self,
        inputs: Mapping[str, IntArray],
        record: tuple[str, ...] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> RunResult:
        """Run one batch.

        Raises:
            InputError: as the other simulators.
            LavaError: Lava is absent, crashes or hangs.
        """
        data, samples, _ = check_inputs(self.network, inputs)
        stride = next(iter(self.plan.windows.values())).stride

        def progress(_: int, done: int, total: int) -> None:
            if on_progress is not None:
                on_progress(samples if done == total else min(samples, done // stride), samples)

        (run,) = run_on_lava([Job(self.plan, data)], self.options, progress)
        return as_result(self.network, self.plan, run, samples, record)


def as_result(
    network: IntegerNetwork,
    plan: Plan,
    run: LavaRun,
    samples: int,
    record: tuple[str, ...] | None = None,
) -> RunResult:
    """What Lava computed as a ``RunResult``."""
    spikes = {name: _events(rows) for name, rows in run.events.items()}
    counts = {name: _counts(rows, samples) for name, rows in run.events.items()}
    outputs = {}
    for output in network.of_type(Output):
        source = output.inputs[0]
        shape = network.shapes[source]
        dense = np.zeros((samples, plan.windows[source].steps, size_of(shape)), np.int64)
        e = spikes[source]
        dense[e.sample, e.step, e.index] = e.value
        outputs[output.name] = dense.reshape(*dense.shape[:2], *shape)
    kept = set(spikes) if record is None else set(record)
    return RunResult(outputs, {n: e for n, e in spikes.items() if n in kept}, counts)


def _events(rows: IntArray) -> Events:
    return Events.of(*rows.T)


def _counts(rows: IntArray, samples: int) -> Any:
    total = np.zeros(samples, np.int64)
    np.add.at(total, rows[:, 0], np.abs(rows[:, 3]))
    return total


def export_project(
    network: IntegerNetwork, timesteps: int, folder: Path, samples: int, seed: int
) -> tuple[str, ...]:
    """Write a network as a project for Lava, with random input and the reference's spikes.

    Returns:
        Which populations are not Lava's own neurons, and why.

    Raises:
        UnsupportedError, LavaError, OutputError: as ``lower`` and ``write_project``.
    """
    from snnc import __version__

    plan = lower(network, timesteps)
    random = np.random.default_rng(seed)
    inputs = {}
    for node in network.of_type(Input):
        shape = (samples, timesteps, *node.shape)
        values = random.integers(node.type.low, node.type.high + 1, shape)
        inputs[node.name] = values * (random.random(shape) < 0.2)
    events = reference.run(network, inputs).spikes
    rows = {name: _by_time(events[name]) for name in plan.emitters}
    write_project(plan, folder, check_arrays(inputs, rows), __version__)
    return tuple(f"{name}: {note}" for name, note in plan.notes.items())


def _by_time(e: Events) -> IntArray:
    """[events, 4] in the order in which they happen."""
    columns = [part.astype(np.int64) for part in (e.sample, e.step, e.index, e.value)]
    return np.stack(columns, axis=1)
