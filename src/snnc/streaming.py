"""``snnc stream``: a recording without samples, run window by window, resumable after a kill."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

import snnc
from snnc.checkpoints import (
    Checkpoint,
    network_digest,
    program_digest,
    read_checkpoint,
    write_checkpoint,
)
from snnc.inputs import InputOptions, integer_batch
from snnc.inputs.encode import encode_timed
from snnc.inputs.events import Position
from snnc.inputs.streams import WindowReader, open_events
from snnc.ir.arrays import AnyArray, IntArray, size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import InputError, OptionError
from snnc.ir.nodes import Input, Output
from snnc.running import BATCH_BYTES
from snnc.simulators.cycle.account import Account
from snnc.simulators.cycle.streaming import ChipStream
from snnc.simulators.cycle.timing import Fidelity
from snnc.simulators.decoding import Decoder, classes
from snnc.simulators.functional.streaming import Stream, check_endless
from snnc.simulators.result import RunResult

RECENT = 100
"""Windows whose classes are listed one by one."""
HEAD_BYTES = 4096
"""Bytes at the beginning of a recording by which it is recognised; it may grow."""

OnWindow = Callable[[int], None]
Backend = Literal["functional", "cycle"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is run.

    Attributes:
        window: steps after which classes are decided; None takes those of a sample.
        steps: end after so many; None runs to the end of the recording.
        checkpoint: file that receives the state.
        every: steps between two checkpoints, at ends of windows.
        resume: go on from ``checkpoint``.
        backend: "functional" (fast), or "cycle": the emulated chip, with time and energy.
        noc: network-on-chip of the emulated chip, as in ``snnc.run``.
    """

    window: int | None = None
    steps: int | None = None
    checkpoint: Path | None = None
    every: int = 10_000
    resume: bool = False
    backend: Backend = "functional"
    noc: Fidelity = "transaction"

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise OptionError(
                "this backend runs no streams",
                where="--backend", found=self.backend, allowed=", ".join(BACKENDS),
            )  # fmt: skip
        if self.backend != "cycle" and self.noc != "transaction":
            raise OptionError(
                "only the cycle simulator has a network-on-chip",
                where="--noc", found=f"{self.noc} with --backend {self.backend}",
                allowed="--backend cycle",
            )  # fmt: skip
        for flag, value in (
            ("--window", self.window), ("--steps", self.steps), ("--checkpoint-every", self.every)
        ):  # fmt: skip
            if value is not None and value < 1:
                raise OptionError("must be at least 1", where=flag, found=value)
        if self.resume and self.checkpoint is None:
            raise OptionError("names no file", where="--resume", remedy="add --checkpoint FILE")


@dataclass
class Progress:
    """What a stream has counted so far.

    Attributes:
        step: taken from the recording so far.
        windows: whose outputs are there; those of a chip come some ticks later.
        spikes: by spiking population.
        classes: by output, windows per class.
        recent: by output, classes of the last ``RECENT`` windows.
        digest: sha256 over the digest before and the outputs and spikes of a window.
    """

    step: int = 0
    windows: int = 0
    events: int = 0
    late: int = 0
    spikes: dict[str, int] = field(default_factory=dict)
    classes: dict[str, list[int]] = field(default_factory=dict)
    recent: dict[str, list[int]] = field(default_factory=dict)
    digest: str = ""

    def add(self, result: RunResult, decoders: dict[str, Decoder]) -> None:
        """Take over a window."""
        total = hashlib.sha256(self.digest.encode())
        for name, values in sorted(result.outputs.items()):
            total.update(np.ascontiguousarray(values, "<i8").tobytes())
            chosen = int(classes(decoders[name].scores(values))[0])
            counts = self.classes.setdefault(name, [0] * size_of(values.shape[2:]))
            counts[chosen] += 1
            self.recent[name] = [*self.recent.get(name, []), chosen][-RECENT:]
        for name, spikes in sorted(result.spikes.items()):
            for column in (spikes.step, spikes.index, spikes.value):
                total.update(np.ascontiguousarray(column, "<i8").tobytes())
            count = int(result.spike_counts[name][0])
            self.spikes[name] = self.spikes.get(name, 0) + count
        self.digest = total.hexdigest()
        self.windows += 1


@dataclass(frozen=True)
class StreamReport:
    """Outcome of ``snnc.stream``; ``resumed_at`` is None for a run from the beginning.

    ``chip`` is None on the functional simulator.
    """

    backend: Backend
    target: str
    window: int
    bin_us: int
    progress: Progress
    resumed_at: int | None
    seconds: float
    chip: Account | None

    @property
    def recorded_s(self) -> float:
        """Seconds that the steps of the recording stand for."""
        return self.progress.step * self.bin_us * 1e-6

    @property
    def share_of_real_time(self) -> float | None:
        """Seconds on the chip over those recorded; None without a chip or a step."""
        if self.chip is None or not self.progress.step:
            return None
        return self.chip.seconds / self.recorded_s

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-stream/1``."""
        p = self.progress
        return {
            "schema": "snnc-stream/1",
            "backend": self.backend,
            "target": self.target,
            "window": self.window,
            "bin_us": self.bin_us,
            "steps": p.step,
            "windows": p.windows,
            "events": p.events,
            "late_events": p.late,
            "spikes": dict(p.spikes),
            "class_counts": {name: list(counts) for name, counts in p.classes.items()},
            "recent_classes": {name: list(c) for name, c in p.recent.items()},
            "digest": p.digest,
            "resumed_at": self.resumed_at,
            "seconds": round(self.seconds, 4),
            "chip": None
            if self.chip is None
            else self.chip.as_dict() | {"share_of_real_time": self.share_of_real_time},
        }


class Runner(Protocol):
    """What runs a stream: windows of input in, windows of results out, perhaps later."""

    def advance(self, inputs: Mapping[str, IntArray]) -> list[RunResult]:
        """Take the next steps; returns the windows that are complete by then."""

    def finish(self) -> list[RunResult]:
        """The input is over; returns the windows that were not complete."""

    def state(self) -> Mapping[str, AnyArray]:
        """Everything that the next steps depend on."""

    def restore(self, step: int, state: Mapping[str, AnyArray], where: str) -> None:
        """Go on from a state that nobody vouches for; raises ``InputError``."""


class Functional(Stream):
    """The functional simulator, whose results come at once."""

    def advance(self, inputs: Mapping[str, IntArray]) -> list[RunResult]:  # type: ignore[override]
        """Take the next steps."""
        return [super().advance(inputs)]

    def finish(self) -> list[RunResult]:
        """Nothing is left."""
        return []


def run_stream(
    deployment: Deployment,
    path: Path,
    options: StreamOptions,
    inputs: InputOptions,
    on_window: OnWindow,
) -> StreamReport:
    """Run a recording from beginning to end with one state.

    Raises:
        SnncError: what is wrong with recording, options or checkpoint.
    """
    node = _camera(deployment, path)
    coding = inputs.coding_of(timed=True)
    if inputs.encode is not None and (coding is None or coding.name != "events"):
        raise OptionError(
            "recordings have a time axis already",
            where="--encode",
            found=inputs.encode,
            allowed="events, events:binary=1",
        )
    window = options.window or deployment.schedule.timesteps
    most = BATCH_BYTES // (8 * size_of(node.shape))
    if window > most:
        raise OptionError("the window is too long", where="--window", found=window, allowed=most)
    started = time.perf_counter()
    chip: ChipStream | None = None
    stream: Runner
    if options.backend == "cycle":
        check_endless(deployment.network)
        stream = chip = ChipStream(deployment, window, options.noc)
    else:
        stream = Functional(deployment.network)
    file = open_events(path)
    try:
        identity = {
            "snnc": snnc.__version__,
            "network": network_digest(deployment),
            "recording": _head(path),
            "encode": str(coding),
            "bin_us": inputs.bin_width,
            "window": window,
            "backend": options.backend,
        }
        if chip is not None:
            identity |= {"program": program_digest(deployment), "noc": options.noc}
        progress, position = Progress(), Position()
        if options.resume and options.checkpoint is not None:
            progress, position = _resumed(options.checkpoint, identity, stream, chip)
        resumed_at = progress.step if options.resume else None
        reader = WindowReader(file, node.shape, inputs.bin_width, position, progress.late)
        _run(
            deployment, stream, chip, reader, options, inputs, window, identity, progress, on_window
        )
    finally:
        file.close()
    return StreamReport(
        options.backend,
        deployment.target.id,
        window,
        inputs.bin_width,
        progress,
        resumed_at,
        time.perf_counter() - started,
        None if chip is None else chip.account,
    )


def _run(
    deployment: Deployment,
    stream: Runner,
    chip: ChipStream | None,
    reader: WindowReader,
    options: StreamOptions,
    inputs: InputOptions,
    window: int,
    identity: dict[str, Any],
    progress: Progress,
    on_window: OnWindow,
) -> None:
    """Windows until the recording or the wanted steps are over."""
    nodes = deployment.network.of_type(Input)
    outputs = deployment.network.of_type(Output)
    decoders = {o.name: Decoder.parse(o.readout) for o in outputs}
    coding, saved = inputs.coding_of(timed=True), progress.step
    while options.steps is None or progress.step < options.steps:
        steps = window
        if options.steps is not None:
            steps = min(window, options.steps - progress.step)
        counts: Any = reader.read(progress.step, steps)
        if not len(counts):
            break
        if coding is not None:
            counts = encode_timed(counts[None], coding)[0]
        values: dict[str, IntArray] = integer_batch({nodes[0].name: counts[None]}, nodes)
        for result in stream.advance(values):
            progress.add(result, decoders)
        progress.step += len(counts)
        progress.events, progress.late = reader.position.event, reader.late
        on_window(progress.step)
        if len(counts) < window:
            break  # between two windows nothing is left to resume
        if options.checkpoint is not None and progress.step - saved >= options.every:
            told = {"progress": vars(progress), "position": reader.position.as_dict()}
            if chip is not None:
                told["chip"] = vars(chip.account)
            write_checkpoint(options.checkpoint, Checkpoint(identity, told, stream.state()))
            saved = progress.step
    for result in stream.finish():
        progress.add(result, decoders)


def _camera(deployment: Deployment, path: Path) -> Input:
    nodes = deployment.network.of_type(Input)
    if len(nodes) != 1:
        raise InputError(
            "recordings feed exactly one input",
            where=str(path),
            found=f"{len(nodes)} inputs: {', '.join(i.name for i in nodes)}",
        )
    return nodes[0]


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(HEAD_BYTES)).hexdigest()


def _resumed(
    path: Path, identity: dict[str, Any], stream: Runner, chip: ChipStream | None
) -> tuple[Progress, Position]:
    checkpoint = read_checkpoint(path, identity)
    try:
        progress = Progress(**checkpoint.progress["progress"])
        position = Position(**checkpoint.progress["position"])
        numbers = (progress.step, progress.windows, progress.events, progress.late,
                   *vars(position).values(),
                   *progress.spikes.values())  # fmt: skip
        sound = all(type(n) is int and n >= 0 for n in numbers) and isinstance(progress.digest, str)
    except (TypeError, KeyError, AttributeError):
        sound = False
    if chip is not None and sound:
        account = Account.read(checkpoint.progress.get("chip"))
        chip.account = account or chip.account
        sound = account is not None
    if not sound:
        raise InputError("the checkpoint's tallies cannot be read", where=str(path))
    stream.restore(progress.step, checkpoint.state, str(path))
    return progress, position
