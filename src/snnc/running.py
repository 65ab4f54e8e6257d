"""Running a deployment on one of its simulators, batch by batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snnc.backends.lava import LavaOptions
from snnc.choices import BACKENDS, Backend
from snnc.in_phases import PhaseRunner, check_run
from snnc.inputs import Dataset, integer_batch
from snnc.ir.arrays import IntArray, size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError
from snnc.ir.nodes import Input
from snnc.ir.phased import PhasedDeployment, Program
from snnc.on_lava import OnLava
from snnc.parallel import PARTS
from snnc.simulators import cycle, functional, reference
from snnc.simulators.cycle.asynchronous.run import Star
from snnc.simulators.cycle.chip import Loaded
from snnc.simulators.cycle.result import CycleResult
from snnc.simulators.cycle.timing import Fidelity
from snnc.simulators.decoding import EarlyStop
from snnc.simulators.result import RunResult

if TYPE_CHECKING:
    from snnc.simulators.functional.torch_device import TorchDevice

BATCH_BYTES = 64 << 20
"""Input bytes held as 64-bit integers at a time, which bounds the memory of a run."""

TRACE_BYTES = 64
"""Bytes of a chip's time series per tick and core, roughly."""

THREADS = min(4, os.cpu_count() or 1)

Progress = Callable[[int, int], None]


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
    bytes_each = 8 * data.steps * values_per_step(deployment)
    if traced and not isinstance(deployment, PhasedDeployment):
        bytes_each += TRACE_BYTES * deployment.schedule.ticks * deployment.cores.count
    share = data.samples if threads == 1 else -(-data.samples // (PARTS * threads))
    size = max(1, min(share, BATCH_BYTES // threads // bytes_each))
    size = size if most is None else min(size, most)
    for start in range(first, data.samples, size):
        stop = min(data.samples, start + size)
        yield Batch(start, integer_batch(data.batch(start, stop), nodes))


def values_per_step(deployment: Program) -> int:
    """Values per step of a sample that are held at a time: inputs, and what phases keep."""
    inputs = sum(size_of(node.shape) for node in deployment.network.of_type(Input))
    if not isinstance(deployment, PhasedDeployment):
        return inputs
    played = {node.name: size_of(node.shape) for phase in deployment.phases
              for node in phase.network.of_type(Input)}  # fmt: skip
    return max(inputs, sum(played.values()))
