"""``snnc run --checkpoint``: what a run has found so far, so that it goes on after a kill.

Samples are independent, so a run resumes at a sample.  Everything that the report is made of is in
the file, in the batches in which it was found: sums are then taken in the same order, and the
report of a resumed run equals that of one without a break, byte by byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
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
from snnc.ir.deployment import Deployment
from snnc.ir.errors import ArtifactError, InputError, OptionError
from snnc.ir.nodes import Input
from snnc.simulators.cycle.asynchronous.report import AsyncReport
from snnc.simulators.cycle.result import (
    BusiestChannel,
    BusiestCore,
    CycleResult,
    EnergyReport,
    Stopped,
    TimingReport,
    Unpriced,
)
from snnc.simulators.result import RunResult

CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        CycleResult, EnergyReport, TimingReport, BusiestChannel, BusiestCore, Unpriced, Stopped,
        AsyncReport, RunResult,
    )
}  # fmt: skip


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
        progress = {"found": encode(dict(found), arrays, CLASSES)}
        write_checkpoint(path, Checkpoint(self._identity, progress, arrays))
        self._saved = done


def identity_of(
    deployment: Deployment, data: Dataset, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What must be the same to go on: program, machine, data, options.

    Data are recognised by their extent and their first and last sample.
    """
    nodes = deployment.network.of_type(Input)
    seen = hashlib.sha256()
    for sample in (0, data.samples - 1):
        batch = integer_batch(data.batch(sample, sample + 1), nodes)
        for name in sorted(batch):
            seen.update(np.ascontiguousarray(batch[name], "<i8").tobytes())
    return {
        "snnc": snnc.__version__,
        "network": network_digest(deployment),
        "program": program_digest(deployment),
        "data": [data.samples, data.steps, seen.hexdigest()],
        "options": dict(options),
    }
