"""Running a deployment on one of its simulators, batch by batch, and comparing two of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from snnc.backends.lava import LavaOptions
from snnc.idle import idle_energy
from snnc.in_phases import PhaseRunner, check_run, reload_seconds
from snnc.inputs import Dataset, integer_batch
from snnc.ir.arrays import AnyArray, IntArray, RealArray, size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input
from snnc.ir.phased import PhasedDeployment, Program
from snnc.on_lava import OnLava
from snnc.parallel import PARTS
from snnc.simulators import cycle, functional, reference
from snnc.simulators.cycle.asynchronous.report import joined
from snnc.simulators.cycle.asynchronous.run import Star
from snnc.simulators.cycle.chip import Loaded
from snnc.simulators.cycle.result import CycleResult, distribution, spread
from snnc.simulators.cycle.timing import Fidelity
from snnc.simulators.decoding import EarlyStop
from snnc.simulators.reference import event_order
from snnc.simulators.result import Events, RunResult

if TYPE_CHECKING:
    from snnc.simulators.functional.torch_device import TorchDevice

Backend = Literal["cycle", "functional", "reference", "lava"]
BACKENDS: tuple[Backend, ...] = ("cycle", "functional", "reference", "lava")
BATCH_BYTES = 64 << 20
"""Input bytes held as 64-bit integers at a time, which bounds the memory of a run."""

COMPARED_BYTES = 256 << 20
"""Bytes of all elements of samples that simulators are compared on at a time."""

TRACE_BYTES = 64
"""Bytes of a chip's time series per tick and core, roughly."""

THREADS = min(4, os.cpu_count() or 1)

Progress = Callable[[int, int], None]


@dataclass
class Tally:
    """What a run adds up over its batches.

    Attributes:
        spikes: by spiking population, spikes over all samples.
        cycle: results of the cycle simulator, one per batch.
    """

    spikes: dict[str, int] = field(default_factory=dict)
    cycle: list[CycleResult] = field(default_factory=list)

    def add(self, deployment: Program, result: RunResult, cycle: CycleResult | None) -> None:
        """Take over what a batch adds to the report."""
        if cycle is not None:  # spikes and series of all batches would not fit in memory
            self.cycle.append(dataclasses.replace(cycle, result=RunResult({}, {}, {}), trace=None))
        for name, spikes in spikes_of(deployment.network, result).items():
            self.spikes[name] = self.spikes.get(name, 0) + spikes

    def cycle_summary(self, deployment: Program, steps: int) -> dict[str, Any] | None:
        """Time, energy and traffic of all batches together; None without a cycle simulation."""
        if not self.cycle:
            return None
        summary = merge(self.cycle)
        summary["energy"] |= idle_energy(deployment, steps, self.cycle)
        return summary

    def latencies(self, deployment: Program) -> RealArray:
        """[samples] seconds on the chip, with the loading of phases for every sample."""
        found = [r.timing.seconds for r in self.cycle if r.timing is not None]
        return np.concatenate([np.zeros(0), *found]) + reload_seconds(deployment)


def spikes_of(network: IntegerNetwork, result: RunResult) -> dict[str, int]:
    """Spikes over all samples by population; one that emits its state sends no spikes."""
    spiking = [p.name for p in network.populations if p.emit != "state"]
    return {name: int(result.spike_counts[name].sum()) for name in spiking}


def merge(results: Sequence[CycleResult]) -> dict[str, Any]:
    """Cycle results of several batches of one deployment as one JSON object."""
    samples = sum(r.samples for r in results)
    scope = results[0].energy.scope
    dynamic = np.concatenate([r.energy.dynamic for r in results])
    unpriced: dict[tuple[str, str], int] = {}
    ordered = joined([r.asynchronous for r in results if r.asynchronous is not None])
    for entry in (entry for r in results for entry in r.unpriced):
        key = (entry.kind, entry.quantity)
        unpriced[key] = unpriced.get(key, 0) + entry.count
    return {
        "samples": samples,
        "ticks_per_sample": results[0].ticks,
        "timing": _timing(results),
        "asynchronous": ordered and ordered.as_dict(),
        "energy": {
            "scope": scope,
            "dynamic_j_per_sample": None if scope == "unpriced" else spread(dynamic),
            "static_j_per_sample": _static(results),
            "dynamic_j_by_kind": _summed([r.energy.by_kind for r in results]),
            "dynamic_j_by_layer": {}
            if scope == "unpriced"
            else _summed([r.energy.by_layer for r in results]),
        },
        "events": _summed([r.counts for r in results]),
        "packets": sum(r.packets for r in results),
        "hops": sum(r.hops for r in results),
        "stray_inputs": sum(r.stray_inputs for r in results),
        "unpriced": [
            {"kind": kind, "quantity": quantity, "count": count}
            for (kind, quantity), count in unpriced.items()
        ],
        "notes": list(results[0].notes if ordered is None else ordered.notes()),
    }


def _timing(results: Sequence[CycleResult]) -> dict[str, Any] | None:
    found = [r.timing for r in results if r.timing is not None]
    if not found:
        return None
    seconds = np.concatenate([t.seconds for t in found])
    return {
        "noc": found[0].noc,
        "cycle_s": found[0].cycle_s,
        "seconds_per_sample": spread(seconds),
        "latency_s": distribution(seconds),
        "throughput_per_s": float(seconds.size / seconds.sum()) if seconds.any() else None,
        "cycles_per_sample": spread(np.concatenate([t.cycles for t in found])),
        "tick_cycles": spread(np.concatenate([t.tick_cycles.reshape(-1) for t in found])),
        "barrier_s": found[0].barrier_s,
        "limited_by": _summed([t.limited_by for t in found]),
        "limits": _summed([t.limits for t in found]),
        "deadline_misses": sum(t.deadline_misses for t in found),
        "peak_channel_queue": max(t.peak_channel_queue for t in found),
        "peak_injection_queue": max(t.peak_injection_queue for t in found),
        "peak_receive_queue": max(t.peak_receive_queue for t in found),
        "stall_cycles": sum(t.stall_cycles for t in found),
    }


def _static(results: Sequence[CycleResult]) -> dict[str, float] | None:
    parts = [r.energy.static for r in results if r.energy.static is not None]
    return spread(np.concatenate(parts)) if len(parts) == len(results) else None


def _summed(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: sum(table[name] for table in tables) for name in tables[0]}


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


def follows_order(deployment: Program, backend: Backend) -> bool:
    """Whether a backend follows the order of events instead of the network's time steps.

    Its definition is then ``simulators.reference.event_order``.
    """
    return backend == "cycle" and deployment.target.execution.sync == "async"


class Simulator:
    """One backend prepared for a program; ``run`` may be called for batch after batch.

    Attributes:
        phases: what runs a program of several phases, else None.

    Raises:
        OptionError: an unknown backend, or a network-on-chip or device for one without.
        MissingPackageError, UnsupportedError: as ``functional.torch_device.TorchDevice``.
    """

    def __init__(
        self,
        deployment: Program,
        backend: Backend,
        lava: LavaOptions | None = None,
        noc: Fidelity = "transaction",
        device: str | None = None,
    ) -> None:
        if backend not in BACKENDS:
            raise OptionError(
                "unknown backend", where="--backend", found=backend, allowed=", ".join(BACKENDS)
            )
        if backend != "cycle" and noc != "transaction":
            raise OptionError(
                "only the cycle simulator has a network-on-chip",
                where="--noc",
                found=f"{noc} with --backend {backend}",
                allowed="--backend cycle",
            )
        network = self.network = deployment.network
        self._noc = noc
        self.phases: PhaseRunner | None = None
        self._chip: tuple[Deployment, Loaded | Star] | None = None
        self._functional: functional.Functional | None = None
        self._device: TorchDevice | None = None
        self._lava: OnLava | None = None
        if device is not None:
            self._device = _torch_device(deployment, backend, device)
        elif backend == "reference":
            return
        elif isinstance(deployment, PhasedDeployment):
            check_run(deployment, backend)
            self.phases = PhaseRunner(deployment, backend, noc)
        elif backend == "functional":
            self._functional = functional.Functional(network)
        elif backend == "cycle":
            self._chip = deployment, cycle.load(deployment)
        else:
            self._lava = OnLava(network, deployment.timesteps, lava)

    def run(
        self,
        inputs: Mapping[str, IntArray],
        record: tuple[str, ...] | None,
        *,
        trace: bool = False,
        stop: EarlyStop | None = None,
        progress: Progress | None = None,
    ) -> tuple[RunResult, CycleResult | None]:
        """Run one batch; the second value comes only from the cycle simulator."""
        if self.phases is not None:
            return self.phases.run(inputs, record, progress)
        if self._functional is not None:
            return self._functional.run(inputs, record), None
        if self._device is not None:
            return self._device.run(inputs, record), None
        if self._lava is not None:
            return self._lava.run(inputs, record, progress), None
        if self._chip is None:
            return reference.run(self.network, inputs, record), None
        deployment, loaded = self._chip
        result = cycle.run(
            deployment,
            inputs,
            record,
            noc=self._noc,
            trace=trace,
            stop=stop,
            progress=progress,
            loaded=loaded,
        )
        return result.result, result


def _torch_device(program: Program, backend: Backend, device: str) -> TorchDevice:
    from snnc.simulators.functional.torch_device import TorchDevice

    if backend != "functional":
        raise OptionError(
            "only the functional simulator runs on a device",
            where="--device",
            found=f"{device} with --backend {backend}",
            allowed="--backend functional",
        )
    if isinstance(program, PhasedDeployment):
        raise OptionError(
            "a program of several phases runs without a device",
            where="--device",
            found=device,
            remedy="leave it out",
        )
    chosen: Any = device
    return TorchDevice(program.network, chosen)


@dataclass(frozen=True, eq=False)
class Batch:
    """Integer inputs of successive samples, the first of them being number ``first``."""

    first: int
    inputs: dict[str, IntArray]

    @property
    def samples(self) -> int:
        """How many."""
        return len(next(iter(self.inputs.values())))


def batches(
    deployment: Program,
    data: Dataset,
    *,
    threads: int = 1,
    traced: bool = False,
    first: int = 0,
    most: int | None = None,
) -> Iterator[Batch]:
    """All samples from ``first`` on, cut so that memory stays bounded and threads have batches.

    A batch has at most ``most`` samples; where it ends does not depend on ``first``.
    """
    nodes = deployment.network.of_type(Input)
    bytes_each = 8 * data.steps * _elements(deployment)
    if traced and not isinstance(deployment, PhasedDeployment):
        bytes_each += TRACE_BYTES * deployment.schedule.ticks * deployment.cores.count
    share = data.samples if threads == 1 else -(-data.samples // (PARTS * threads))
    size = max(1, min(share, BATCH_BYTES // threads // bytes_each))
    size = size if most is None else min(size, most)
    for start in range(first, data.samples, size):
        stop = min(data.samples, start + size)
        yield Batch(start, integer_batch(data.batch(start, stop), nodes))


def _elements(deployment: Program) -> int:
    """Values per step of a sample that are held at a time: inputs, and what phases keep."""
    inputs = sum(size_of(node.shape) for node in deployment.network.of_type(Input))
    if not isinstance(deployment, PhasedDeployment):
        return inputs
    played = {node.name: size_of(node.shape) for phase in deployment.phases
              for node in phase.network.of_type(Input)}  # fmt: skip
    return max(inputs, sum(played.values()))


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
    each = 8 * int(steps) * (_elements(deployment) + sum(n.size for n in network.populations))
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
