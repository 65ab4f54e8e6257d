"""What the functions of ``snnc`` return: frozen records that become the ``--json`` objects.

Every ``as_dict`` has ``schema``, a name with a version; ``docs/report.md`` lists the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # imports cost time that `snnc --help` need not spend
    from snnc.equality import Comparison
    from snnc.ir.phased import Program
    from snnc.probing import Probe
    from snnc.simulators.compare import LayerDifference, RunDifference


@dataclass(frozen=True, eq=False)
class CompileResult:
    """Outcome of ``snnc.compile``.

    Attributes:
        deployment: None when ``stop_after`` ended the compilation early.
        artifact: the file written, if any.
        seconds: wall time per stage.
        stopped_after: the last stage that ran.
        notes: what happened to the calibration data.
    """

    deployment: Program | None
    artifact: Path | None
    seconds: Mapping[str, float]
    stopped_after: str
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-compile/1``."""
        return {
            "schema": "snnc-compile/1",
            "artifact": None if self.artifact is None else str(self.artifact),
            "stopped_after": self.stopped_after,
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
            "notes": list(self.notes),
            "report": None if self.deployment is None else dict(self.deployment.report),
        }


@dataclass(frozen=True, eq=False)
class Report:
    """Outcome of ``snnc.report``: the compiler's report and the provenance of an artifact."""

    artifact: str
    report: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """JSON object: the report (``snnc-report/1``) with ``provenance`` added."""
        return {**self.report, "artifact": self.artifact, "provenance": dict(self.provenance)}


@dataclass(frozen=True, eq=False)
class RunReport:
    """Outcome of ``snnc.run``.

    Attributes:
        backend: simulator that produced everything but ``compared``.
        samples, steps: samples run and logical steps of each.
        ticks: ticks per sample on the chip.
        predictions: by output, one class per sample, the lowest where several are best.
        ties: by output, samples in which several classes are best.
        decode: by output, the decoder that made classes of its values.
        early_stop: steps taken and synaptic events saved; None when all steps ran.
        labels: classes given with the data, if any.
        spikes: by spiking population, over all samples.
        compared: equality with the reference on the first samples; None when not asked for.
        cycle: time, energy and traffic; only from the cycle simulator.
        notes: what was cut, converted or assumed about the data.
        seconds: wall time of the simulation on this computer, without the comparison.
        deadline: whether every sample was in time on the chip; None when not asked for.
        phases: time and energy by phase, with loading; None for programs of one phase.
        resumed_at: sample at which a run that had been killed went on; None for one piece.
    """

    backend: str
    target: str
    samples: int
    steps: int
    ticks: int
    predictions: Mapping[str, tuple[int, ...]]
    ties: Mapping[str, int]
    decode: Mapping[str, str]
    early_stop: Mapping[str, Any] | None
    labels: tuple[int, ...] | None
    spikes: Mapping[str, int]
    compared: Comparison | None
    cycle: Mapping[str, Any] | None
    notes: tuple[str, ...]
    seconds: float
    deadline: Mapping[str, Any] | None = None
    phases: Mapping[str, Any] | None = None
    resumed_at: int | None = None

    @property
    def correct(self) -> int | None:
        """Samples whose prediction (by the first output) is their label."""
        if self.labels is None:
            return None
        first = next(iter(self.predictions.values()))
        return sum(p == y for p, y in zip(first, self.labels, strict=True))

    @property
    def accuracy(self) -> float | None:
        """Share of correct samples, None without labels."""
        return None if self.correct is None else self.correct / self.samples

    @property
    def mismatches(self) -> int | None:
        """Differences from the reference, None when nothing was compared."""
        return None if self.compared is None else self.compared.total

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-run/1``."""
        return {
            "schema": "snnc-run/1",
            "backend": self.backend,
            "target": self.target,
            "samples": self.samples,
            "steps": self.steps,
            "ticks_per_sample": self.ticks,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "predictions": {name: list(classes) for name, classes in self.predictions.items()},
            "ties": dict(self.ties),
            "decode": dict(self.decode),
            "early_stop": None if self.early_stop is None else dict(self.early_stop),
            "labels": None if self.labels is None else list(self.labels),
            "spikes": dict(self.spikes),
            "mismatches": self.mismatches,
            "compared": None if self.compared is None else self.compared.as_dict(),
            "cycle": None if self.cycle is None else dict(self.cycle),
            "deadline": None if self.deadline is None else dict(self.deadline),
            "phases": None if self.phases is None else dict(self.phases),
            "resumed_at": self.resumed_at,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 4),
        }


@dataclass(frozen=True, eq=False)
class Verification:
    """Outcome of ``snnc.verify``.

    Attributes:
        structure: report of the independent checker (capacities, routes, certificate, ...).
        equality: all simulators against the reference; None when the structure is broken.
    """

    structure: Mapping[str, Any]
    equality: Comparison | None

    @property
    def ok(self) -> bool:
        """Every rule holds and all simulators agree."""
        return bool(self.structure["ok"]) and self.equality is not None and not self.equality.total

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-verify/1``."""
        return {
            "schema": "snnc-verify/1",
            "ok": self.ok,
            "structure": dict(self.structure),
            "equality": None if self.equality is None else self.equality.as_dict(),
        }


@dataclass(frozen=True)
class NodeVerdict:
    """What the compiler says about one node; ``verdict`` is "ok", "assumed" or "refused"."""

    node: str
    kind: str
    verdict: str
    problem: str = ""
    found: str = ""
    allowed: str = ""
    remedy: str = ""


@dataclass(frozen=True, eq=False)
class CheckReport:
    """Outcome of ``snnc.check``: the node-by-node verdict."""

    model: str
    target: str | None
    nodes: tuple[NodeVerdict, ...]
    assumptions: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """No node is refused."""
        return all(node.verdict != "refused" for node in self.nodes)

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-check/1``."""
        return {
            "schema": "snnc-check/1",
            "ok": self.ok,
            "model": self.model,
            "target": self.target,
            "nodes": [asdict(node) for node in self.nodes],
            "assumptions": dict(self.assumptions),
        }


@dataclass(frozen=True, eq=False)
class Inspection:
    """Outcome of ``snnc.inspect``: the network as the frontend understood it.

    Attributes:
        nodes: per node: name, kind, inputs, shape, parameters; of a refused model as the file has
            them, with shape None from where the import stopped.
        error: why the model is refused, as ``SnncError.as_dict``, or None.
        analysis: value types, widths, operators that weigh and their energy, as
            ``snnc.compiler.analysis.Analysis.as_dict``; None of a refused model.
    """

    model: str
    nodes: tuple[Mapping[str, Any], ...]
    assumptions: Mapping[str, str]
    error: Mapping[str, str] | None = None
    analysis: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-inspect/1``."""
        return {
            "schema": "snnc-inspect/1",
            "model": self.model,
            "nodes": [dict(node) for node in self.nodes],
            "assumptions": dict(self.assumptions),
            "error": None if self.error is None else dict(self.error),
            "analysis": None if self.analysis is None else dict(self.analysis),
        }


@dataclass(frozen=True, eq=False)
class ExportResult:
    """Outcome of ``snnc.export``.

    Attributes:
        format: name of the format written.
        details: what the format's writer decided, as JSON values.
        notes: what the format does not say, and which readers may stumble.
        approximations: what differs from the network, by the user's leave.
    """

    format: str
    path: Path
    details: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    approximations: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-export/1``."""
        return {
            "schema": "snnc-export/1",
            "format": self.format,
            "output": str(self.path),
            "details": dict(self.details),
            "notes": list(self.notes),
            "approximations": list(self.approximations),
        }


@dataclass(frozen=True)
class TraceResult:
    """Outcome of ``snnc.convert_trace``; ``left_out`` are samples that the format cannot take."""

    format: str
    path: Path
    samples: int
    left_out: int

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-trace-converted/1``."""
        return {
            "schema": "snnc-trace-converted/1",
            "format": self.format,
            "output": str(self.path),
            "samples": self.samples,
            "left_out": self.left_out,
        }


@dataclass(frozen=True, eq=False)
class CompareReport:
    """Outcome of ``snnc.compare``.

    Attributes:
        sides: names of the two files.
        assumptions: of each side, how it was read and computed.
        input: the data, for people.
        difference: layer by layer; ``difference.first`` is where the two part.
        probes: what the first differing neuron saw on each side, where that is known.
        shapes: of the layers, by their name on the left.
        unpaired: layers of each side that have no partner on the other.
        same_class: samples that both sides classify alike; None without common outputs.
        correct: correct samples of each side, with labels.
        notes: what was cut, converted or assumed about the data.
    """

    sides: tuple[str, str]
    assumptions: tuple[Mapping[str, str], Mapping[str, str]]
    input: str
    samples: int
    steps: int
    difference: RunDifference
    probes: tuple[Probe | None, Probe | None]
    shapes: Mapping[str, tuple[int, ...]]
    unpaired: tuple[tuple[str, ...], tuple[str, ...]]
    same_class: int | None
    correct: tuple[int, int] | None
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every compared entry is the same."""
        return self.difference.first is None

    def place(self, layer: str, index: int) -> tuple[int, ...]:
        """A flat index as coordinates in the layer."""
        place = []
        for extent in reversed(self.shapes[layer]):
            index, rest = divmod(index, extent)
            place.append(rest)
        return tuple(reversed(place)) or (index,)

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-compare/1``."""
        found = self.difference.first
        return {
            "schema": "snnc-compare/1",
            "equal": self.equal,
            "a": self.sides[0],
            "b": self.sides[1],
            "input": self.input,
            "samples": self.samples,
            "steps": self.steps,
            "differing": self.difference.differing,
            "first": None if found is None else {
                **self._layer(found[0]),
                "probes": [None if p is None else asdict(p) for p in self.probes],
            },
            "layers": [self._layer(layer) for layer in self.difference.layers],
            "unpaired": {"a": list(self.unpaired[0]), "b": list(self.unpaired[1])},
            "assumptions": {"a": dict(self.assumptions[0]), "b": dict(self.assumptions[1])},
            "same_class": self.same_class,
            "correct": None if self.correct is None else list(self.correct),
            "notes": list(self.notes),
        }  # fmt: skip

    def _layer(self, layer: LayerDifference) -> dict[str, Any]:
        first = layer.first
        return {
            "a": layer.names[0],
            "b": layer.names[1],
            "kind": layer.kind,
            "shape": list(self.shapes[layer.names[0]]),
            "totals": list(layer.totals),
            "differing": layer.differing,
            "largest": layer.largest,
            "first": None if first is None else {
                "step": first.step,
                "sample": first.sample,
                "neuron": list(self.place(layer.names[0], first.index)),
                "values": [first.left, first.right],
            },
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Demo:
    """Outcome of ``snnc.demo``: the shipped network compiled, reported and run."""

    compiled: CompileResult
    run: RunReport

    def as_dict(self) -> dict[str, Any]:
        """JSON object ``snnc-demo/1``."""
        return {
            "schema": "snnc-demo/1",
            "compile": self.compiled.as_dict(),
            "run": self.run.as_dict(),
        }
