"""``snnc run --checkpoint``: what a run has found so far, so that it goes on after a kill.

Samples are independent, so a run resumes at a sample.  Everything that the report is made of is in
the file, in the batches in which it was found: sums are then taken in the same order, and the
report of a resumed run equals that of one without a break, byte by byte.  So does its trace, which
is written anew: what it holds of each batch is in a file of its own beside the checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import snnc
from snnc.checkpoints import (
    Checkpoint,
    network_digest,
    program_digest,
    read_checkpoint,
    write_checkpoint,
)
from snnc.inputs import Dataset, integer_batch
from snnc.ir.arrays import AnyArray
from snnc.ir.codec import decode, encode
from snnc.ir.errors import ArtifactError, InputError, OptionError
from snnc.ir.nodes import Input
from snnc.ir.phased import PhasedDeployment, Program
from snnc.simulators.cycle.asynchronous.report import AsyncReport
from snnc.simulators.cycle.result import (
    BusiestChannel,
    BusiestCore,
    CycleResult,
    EnergyReport,
    PhaseShare,
    Stopped,
    TimingReport,
    Trace,
    Unpriced,
)
from snnc.simulators.result import Events, RunResult

CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        CycleResult, EnergyReport, TimingReport, BusiestChannel, BusiestCore, Unpriced, Stopped,
        AsyncReport, RunResult, PhaseShare,
    )
}  # fmt: skip


PART_CLASSES = CLASSES | {"Trace": Trace, "Events": Events}


@dataclass(frozen=True)
class SaveOptions:
    """Where and how often a run is saved.

    Attributes:
        checkpoint: file that receives what was found; None saves nothing.
        every: samples between two checkpoints.
        resume: go on from ``checkpoint``.
    """

    checkpoint: Path | None = None
    every: int = 100
    resume: bool = False

    def __post_init__(self) -> None:
        if self.every < 1:
            raise OptionError("must be at least 1", where="--checkpoint-every", found=self.every)
        if self.resume and self.checkpoint is None:
            raise OptionError("names no file", where="--resume", remedy="add --checkpoint FILE")


class RunLog:
    """The checkpoint of one run; without a file it saves nothing.

    Attributes:
        batch: most samples of a batch; None is any number.
    """

    def __init__(self, options: SaveOptions, identity: Mapping[str, Any]) -> None:
        self._options, self._identity = options, dict(identity)
        self.batch = None if options.checkpoint is None else options.every
        self._saved = 0
        self._parts: list[int] = []

    def load(self) -> dict[str, Any] | None:
        """What was found before; None for a run from the beginning.

        Raises:
            InputError: no such checkpoint, damaged, or of another run.
        """
        path = self._options.checkpoint
        if not self._options.resume or path is None:
            return None
        saved = read_checkpoint(path, self._identity)
        try:
            found = decode(saved.progress["found"], saved.state, CLASSES)
            self._saved = int(found["done"])
            self._parts = [int(first) for first in found["parts"]]
        except (ArtifactError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                "the checkpoint cannot be read", where=str(path), found=str(error)[:200],
                remedy="start anew, without --resume",
            ) from error  # fmt: skip
        return dict(found)

    def save(self, found: Mapping[str, Any]) -> None:
        """Replace the file when enough samples are ``found["done"]``; raises ``OutputError``."""
        path, done = self._options.checkpoint, found["done"]
        if path is None or done - self._saved < self._options.every:
            return
        arrays: dict[str, AnyArray] = {}
        progress = {"found": encode({**found, "parts": self._parts}, arrays, CLASSES)}
        write_checkpoint(path, Checkpoint(self._identity, progress, arrays))
        self._saved = done

    def keep(self, first: int, result: RunResult, cycle: CycleResult | None) -> None:
        """Write what the trace holds of a batch, before the checkpoint that counts on it."""
        if self._options.checkpoint is None:
            return
        chip = None if cycle is None else replace(cycle, result=RunResult({}, {}, {}))
        arrays: dict[str, AnyArray] = {}
        part = encode({"result": result, "chip": chip}, arrays, PART_CLASSES)
        path = part_path(self._options.checkpoint, first)
        write_checkpoint(path, Checkpoint(self._identity, {"part": part}, arrays))
        self._parts.append(first)

    def replay(self, add: Callable[[RunResult, CycleResult | None], None]) -> None:
        """Give a trace what was kept of the batches before.

        Raises:
            InputError: it is not there any more, damaged, or of another run.
        """
        if self._options.checkpoint is None:
            return
        for first in self._parts:
            path = part_path(self._options.checkpoint, first)
            saved = read_checkpoint(path, self._identity)
            try:
                part = decode(saved.progress["part"], saved.state, PART_CLASSES)
                add(part["result"], part["chip"])
            except (ArtifactError, LookupError, TypeError, ValueError, AttributeError) as error:
                raise InputError(
                    "the trace so far cannot be read", where=str(path), found=str(error)[:200],
                    remedy="start anew, without --resume",
                ) from error  # fmt: skip


def part_path(checkpoint: Path, first: int) -> Path:
    """The file with the trace of the batch that begins with a sample."""
    return checkpoint.with_name(f"{checkpoint.name}.trace-{first}.npz")


def identity_of(deployment: Program, data: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same to go on: program, machine, data, options.

    Data are recognised by their extent and their first and last sample.
    """
    phases = deployment.phases if isinstance(deployment, PhasedDeployment) else (deployment,)
    programs = [program_digest(phase) for phase in phases]
    nodes = deployment.network.of_type(Input)
    seen = hashlib.sha256()
    for sample in (0, data.samples - 1):
        batch = integer_batch(data.batch(sample, sample + 1), nodes)
        for name in sorted(batch):
            seen.update(np.ascontiguousarray(batch[name], "<i8").tobytes())
    return {
        "snnc": snnc.__version__,
        "network": network_digest(deployment),
        "program": programs,
        "data": [data.samples, data.steps, seen.hexdigest()],
        "options": dict(options),
    }
