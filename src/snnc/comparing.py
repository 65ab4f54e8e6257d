"""``snnc compare``: run two sides on the same samples and find where they part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from snnc.inputs import Dataset, InputOptions, load
from snnc.ir.arrays import AnyArray, Shape, size_of
from snnc.ir.errors import InputError, OptionError
from snnc.ir.nodes import Input, Output
from snnc.ir.phased import Program
from snnc.probing import Probe
from snnc.results import CompareReport
from snnc.running import BATCH_BYTES, Progress
from snnc.sides import Side
from snnc.simulators.compare import Pair, RunDifference, compare_runs, paired
from snnc.simulators.result import RunResult, predictions

MOST_TOGETHER = 16
"""Samples run at a time: convolutions of real numbers unfold their input."""
RANDOM_SAMPLES, RANDOM_STEPS, RANDOM_RATE = 4, 32, 0.3


def compared(
    left: Side,
    right: Side,
    input: Path | None,
    options: InputOptions,
    samples: int | None,
    tolerance: float,
    on_progress: Progress,
) -> CompareReport:
    """Run both sides on all samples; see ``snnc.compare``."""
    if tolerance < 0:
        raise OptionError("must not be negative", where="--tolerance", found=tolerance)
    data, text = _data((left, right), input, options, samples)
    left, right = (side.quantized(data, data.steps) for side in (left, right))
    layers = _Layers.of(left, right)
    parts: list[RunDifference] = []
    classes: list[tuple[AnyArray, AnyArray]] = []
    done = 0
    on_progress(0, data.samples)
    for batch in _batches(data, left.inputs or right.inputs):
        mine, theirs = (
            side.run(_renamed(batch, names), done)
            for side, names in zip((left, right), layers.inputs, strict=True)
        )
        _check_extents(layers, mine, theirs)
        parts.append(
            compare_runs(mine, theirs, layers.populations, layers.outputs, tolerance=tolerance)
        )
        classes += layers.predicted(mine, theirs)
        done += len(next(iter(batch.values())))
        on_progress(done, data.samples)
    difference = reduce(RunDifference.joined, parts)
    return CompareReport(
        sides=(left.name, right.name),
        assumptions=(_assumptions(left), _assumptions(right)),
        input=text,
        samples=data.samples,
        steps=data.steps,
        difference=difference,
        probes=_probes((left, right), layers, difference, data),
        shapes=layers.shapes,
        unpaired=layers.unpaired,
        same_class=sum(int((a == b).sum()) for a, b in classes) if classes else None,
        correct=_correct(classes, data),
        notes=data.notes,
    )


def _check_extents(layers: _Layers, mine: RunResult, theirs: RunResult) -> None:
    for a, b in layers.outputs:
        if mine.outputs[a].shape != theirs.outputs[b].shape:
            raise InputError(
                "the two sides have different samples or steps",
                where=f"output {a}",
                found=f"{mine.outputs[a].shape} and {theirs.outputs[b].shape}",
                remedy="record as many samples and steps as the data has, or give --samples",
            )


def _probes(
    sides: tuple[Side, Side], layers: _Layers, difference: RunDifference, data: Dataset
) -> tuple[Probe | None, Probe | None]:
    """What the first differing neuron saw."""
    found = difference.first
    if found is None or found[0].kind != "spikes":
        return None, None
    layer, first = found
    sample = data.batch(first.sample, first.sample + 1)
    a, b = (
        side.probe(_renamed(sample, names), name, first.index, first.step)
        for side, names, name in zip(sides, layers.inputs, layer.names, strict=True)
    )
    return a, b


@dataclass(frozen=True, eq=False)
class _Layers:
    """What is compared with what.

    Attributes:
        inputs: for both sides, its own input name by the name in the data.
        shapes: of the left layers.
        unpaired: populations and outputs of both sides that have no partner.
        readout: of the first output.
    """

    inputs: tuple[Mapping[str, str], Mapping[str, str]]
    populations: tuple[Pair, ...]
    outputs: tuple[Pair, ...]
    shapes: Mapping[str, Shape]
    unpaired: tuple[tuple[str, ...], tuple[str, ...]]
    readout: Any

    @staticmethod
    def of(left: Side, right: Side) -> _Layers:
        """Pair inputs, populations and outputs.

        Raises:
            InputError: the sides take different inputs, or have nothing in common.
        """
        inputs = _inputs(left, right)
        mine, theirs = _populations(left, right), _populations(right, left)
        populations, outputs = paired(mine, theirs), paired(left.outputs, right.outputs)
        if not populations and not outputs:
            raise InputError(
                "nothing to compare: no population or output of one has the shape of the other's",
                where=f"{left.name}, {right.name}",
                found=f"{_list(mine | left.outputs)}; {_list(theirs | right.outputs)}",
            )
        lonely = tuple(
            tuple(n for n in side if n not in {pair[i] for pair in (*populations, *outputs)})
            for i, side in enumerate((mine | left.outputs, theirs | right.outputs))
        )
        network = left.network or right.network
        readout = "sum" if network is None else network.of_type(Output)[0].readout
        return _Layers(
            inputs, populations, outputs, mine | left.outputs,
            (lonely[0], lonely[1]), readout,
        )  # fmt: skip

    def predicted(self, mine: RunResult, theirs: RunResult) -> list[tuple[AnyArray, AnyArray]]:
        """Classes of both sides by the first pair of outputs."""
        return [
            (predictions(mine.outputs[a], self.readout), predictions(theirs.outputs[b],
                                                                     self.readout))
            for a, b in self.outputs[:1]
        ]  # fmt: skip


def _populations(side: Side, other: Side) -> dict[str, Shape]:
    """Populations by shape; a recording does not know shapes and takes them from the other."""
    if side.populations is not None:
        return side.populations
    assert side.recorded is not None
    known = other.populations or {}
    return {name: known.get(name, ()) for name in side.recorded.spikes}


def _inputs(left: Side, right: Side) -> tuple[dict[str, str], dict[str, str]]:
    """The names in the data are those of the left side, or of the right if that is recorded."""
    base = left.inputs or right.inputs
    result = []
    for side in (left, right):
        pairs = dict(paired(base, side.inputs))
        if side.inputs and set(pairs.values()) != set(side.inputs):
            raise InputError(
                "the two sides take different inputs",
                where=f"{left.name}, {right.name}",
                found=f"{_list(left.inputs)}; {_list(right.inputs)}",
            )
        result.append(pairs)
    return result[0], result[1]


def _list(shapes: Mapping[str, Shape]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"


def _renamed(batch: Mapping[str, AnyArray], names: Mapping[str, str]) -> Mapping[str, AnyArray]:
    return {names.get(name, name): values for name, values in batch.items()}


def _assumptions(side: Side) -> Mapping[str, str]:
    """What a side took for granted: its file's reading, and how it computes."""
    if side.network is None:
        return {"recorded": "spikes of another run"}
    own = dict(side.network.assumptions)
    if isinstance(side.program, Program):
        own["computes"] = f"integers for {side.program.target.id}, {side.options.backend} simulator"
    elif side.options.integers:
        own["computes"] = f"integers for {side.reading.target}, {side.options.backend} simulator"
    else:
        own["computes"] = side.options.precision
    return own


def _correct(tallies: list[tuple[AnyArray, AnyArray]], data: Dataset) -> tuple[int, int] | None:
    if data.labels is None or not tallies:
        return None
    both = [np.concatenate(side) for side in zip(*tallies, strict=True)]
    return int((both[0] == data.labels).sum()), int((both[1] == data.labels).sum())


def _data(
    sides: tuple[Side, Side], path: Path | None, options: InputOptions, limit: int | None
) -> tuple[Dataset, str]:
    """The data of a file, or random spikes, and what it is, for people.

    Raises:
        InputError: unreadable, or both sides are recordings.
    """
    asking = next((side for side in sides if side.inputs), None)
    if asking is None or asking.network is None:
        raise InputError(
            "two recordings: one side must be a network",
            where=", ".join(side.name for side in sides),
        )
    fixed = [side.steps for side in sides if side.steps is not None]
    steps = options.timesteps or min(fixed, default=None)
    recorded = [side.samples for side in sides if side.samples is not None]
    limit = min([*recorded, *([] if limit is None else [limit])], default=None)
    nodes = asking.network.of_type(Input)
    if path is not None:
        chosen = InputOptions(
            steps, options.encode, options.bin_us, options.seed, options.labels,
            *_as_compiled(sides, options),
        )  # fmt: skip
        return load(path, nodes, chosen, limit), path.name
    random = np.random.default_rng(options.seed)
    count, steps = limit or RANDOM_SAMPLES, steps or RANDOM_STEPS
    arrays = {
        n.name: (random.random((count, steps, *n.shape)) < RANDOM_RATE).astype(np.int64)
        for n in nodes
    }
    data = Dataset(
        count, steps, None, (), {n.name: n.shape for n in nodes}, arrays, None, InputOptions()
    )
    return data, f"random spikes, rate {RANDOM_RATE}, seed {options.seed}"


def _as_compiled(sides: tuple[Side, Side], options: InputOptions) -> tuple[Any, int]:
    """Coding and bin width an artifact was compiled with."""
    for side in sides:
        if isinstance(side.program, Program):
            used = side.program.provenance.get("inputs")
            if isinstance(used, Mapping):
                return used.get("encode"), used.get("bin_us") or options.usual_bin_us
    return options.usual_encode, options.usual_bin_us


def _batches(data: Dataset, shapes: Mapping[str, Shape]) -> Iterator[dict[str, AnyArray]]:
    """Successive samples, so few that memory stays bounded."""
    each = 8 * data.steps * sum(size_of(shape) for shape in shapes.values())
    size = max(1, min(MOST_TOGETHER, BATCH_BYTES // each))
    for start in range(0, data.samples, size):
        yield data.batch(start, min(data.samples, start + size))
