"""One view of all input data: samples that can be cut into batches of dense real arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnc.inputs.coding import TIMED, Coding
from snnc.inputs.encode import encode, encode_timed
from snnc.inputs.npz import npz_keys, read_npz
from snnc.inputs.recordings import (
    RecordingSet,
    bin_events,
    check_sensor,
    is_recording,
    late_events,
    read_recordings,
)
from snnc.ir.arrays import AnyArray, IntArray, Shape
from snnc.ir.errors import InputError, OptionError
from snnc.ir.nodes import Input


@dataclass(frozen=True)
class InputOptions:
    """How data becomes time steps.

    Attributes:
        timesteps: steps per sample; None takes what the data has.
        encode: how values become spikes, ``NAME:key=value,...`` (see ``Coding``); None takes data
            that has a time axis as it is.
        bin_us: width of a time bin of recordings, in microseconds.
        seed: of the poisson encoder.
        labels: label file of recordings.
        usual_encode, usual_bin_us, usual_timesteps: what holds where ``encode``, ``bin_us`` or
            ``timesteps`` is None, e.g. what the network was calibrated with; they do not object to
            data they do not apply to.
    """

    timesteps: int | None = None
    encode: str | None = None
    bin_us: int | None = None
    seed: int = 0
    labels: Path | None = None
    usual_encode: str | None = None
    usual_bin_us: int = 1000
    usual_timesteps: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("timesteps", self.timesteps), ("bin-us", self.bin_us)):
            if value is not None and value < 1:
                raise OptionError("must be at least 1", where=f"--{name}", found=value)
        if self.seed < 0:
            raise OptionError("must not be negative", where="--seed", found=self.seed)
        for text in (self.encode, self.usual_encode):
            if text is not None:
                Coding.parse(text)

    @property
    def coding(self) -> Coding | None:
        """The coding asked for, else the usual one."""
        text = self.encode or self.usual_encode
        return None if text is None else Coding.parse(text)

    def coding_of(self, timed: bool) -> Coding | None:
        """The coding of data with or without a time axis; None where it stays as it is."""
        coding = self.coding
        return coding if coding is not None and coding.timed == timed else None

    @property
    def bin_width(self) -> int:
        """Microseconds per time step of recordings."""
        return self.usual_bin_us if self.bin_us is None else self.bin_us


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples for every input of a network.

    Attributes:
        samples, steps: extent of the data.
        labels: class per sample, if known.
        notes: what was cut, converted or assumed while loading; for people.
    """

    samples: int
    steps: int
    labels: IntArray | None
    notes: tuple[str, ...]
    _shapes: Mapping[str, Shape]
    _arrays: Mapping[str, AnyArray]
    _recordings: RecordingSet | None
    _options: InputOptions

    def batch(self, start: int, stop: int) -> dict[str, AnyArray]:
        """Samples [start, stop) as [samples, steps, *shape] by input name, as given."""
        if self._recordings is not None:
            (name, shape), *_ = self._shapes.items()
            chosen = self._recordings.recordings[start:stop]
            bins = [bin_events(r, shape, self.steps, self._options.bin_width) for r in chosen]
            return {name: self._coded(np.stack(bins))}
        return {name: self._cut(name, array[start:stop], start) for name, array in
                self._arrays.items()}  # fmt: skip

    def _cut(self, name: str, array: AnyArray, start: int) -> AnyArray:
        if array.ndim == len(self._shapes[name]) + 2:
            return self._coded(array[:, : self.steps])
        coding = self._options.coding_of(timed=False)
        assert coding is not None  # checked on loading
        return encode(array, coding, self.steps, self._options.seed, start)

    def _coded(self, array: AnyArray) -> AnyArray:
        """Data with a time axis under the coding for such data, if any."""
        coding = self._options.coding_of(timed=True)
        return array if coding is None else encode_timed(array, coding)


def load(
    path: Path, inputs: Sequence[Input], options: InputOptions, limit: int | None = None
) -> Dataset:
    """Load data for the given inputs of a network; at most ``limit`` samples.

    Raises:
        InputError: unreadable, wrong keys, shapes or types (found, allowed and remedy say more).
        OptionError: an option that does not apply to this data.
    """
    if not path.exists():
        raise InputError("no such file or folder", where=str(path), remedy="check the path")
    if limit is not None and limit < 1:
        raise OptionError("must be at least 1", where="--samples", found=limit)
    if is_recording(path):
        return _from_recordings(path, inputs, options, limit)
    return _from_npz(path, inputs, options, limit)


def _from_recordings(
    path: Path, inputs: Sequence[Input], options: InputOptions, limit: int | None
) -> Dataset:
    if len(inputs) != 1:
        raise InputError(
            "recordings feed exactly one input",
            where=str(path),
            found=f"{len(inputs)} inputs: {', '.join(i.name for i in inputs)}",
            remedy="give the data as .npz with one key per input",
        )
    if options.encode is not None and Coding.parse(options.encode).name != "events":
        raise OptionError(
            "recordings have a time axis already",
            where="--encode",
            found=options.encode,
            allowed="events, events:binary=1",
        )
    found = read_recordings(path, options.labels, limit)
    for recording in found.recordings:
        check_sensor(inputs[0].shape, recording)
    longest = max(int(r.time_us.max()) for r in found.recordings) // options.bin_width + 1
    steps = longest if options.timesteps is None else options.timesteps
    late = sum(late_events(r, steps, options.bin_width) for r in found.recordings)
    notes = list(found.notes)
    if late:
        total = sum(r.x.size for r in found.recordings)
        notes.append(
            f"{late} of {total} events lie after step {steps} of {options.bin_width} us and are cut"
        )
    return Dataset(
        len(found.recordings), steps, found.labels, tuple(notes),
        {inputs[0].name: inputs[0].shape}, {}, found, options,
    )  # fmt: skip


def _from_npz(
    path: Path, inputs: Sequence[Input], options: InputOptions, limit: int | None
) -> Dataset:
    if options.labels is not None:
        raise OptionError(
            "labels of a .npz are its key y", where="--labels", remedy="drop the option"
        )
    shapes = {node.name: node.shape for node in inputs}
    arrays = read_npz(path, {*shapes, "x", "y"})
    data = {name: array[:limit] for name, array in _by_input(path, arrays, list(shapes)).items()}
    for name, array in data.items():
        _check_array(f"{path}:{name}", array, shapes[name], options)
    counts = {len(array) for array in data.values()}
    if len(counts) != 1:
        raise InputError("inputs differ in samples", where=str(path), found=sorted(counts))
    steps, notes = _steps(path, data, shapes, options)
    samples = counts.pop()
    labels = None if "y" in shapes else _labels(path, arrays, limit, samples)
    return Dataset(samples, steps, labels, notes, shapes, data, None, options)


def _by_input(path: Path, arrays: dict[str, AnyArray], names: list[str]) -> dict[str, AnyArray]:
    if all(name in arrays for name in names):
        return {name: arrays[name] for name in names}
    if len(names) == 1 and "x" in arrays:
        return {names[0]: arrays["x"]}
    raise InputError(
        "the file lacks data for an input",
        where=str(path),
        found=f"keys {', '.join(npz_keys(path)) or 'none'}",
        allowed=f"x, or {names[0]}" if len(names) == 1 else ", ".join(names),
    )


def _check_array(where: str, array: AnyArray, shape: Shape, options: InputOptions) -> None:
    axes = array.ndim - len(shape)
    delta = options.coding_of(timed=True)
    if axes == 2 and delta is not None and delta.name == "delta" and delta["split"]:
        shape = _before_split(where, shape)
    if axes not in (1, 2) or array.shape[axes:] != shape or 0 in array.shape:
        extent = ", ".join(map(str, shape))
        raise InputError(
            "input data has the wrong shape",
            where=where,
            found=array.shape,
            allowed=f"[samples, steps, {extent}] or static [samples, {extent}]",
        )
    if axes == 1 and options.coding_of(timed=False) is None:
        raise InputError(
            "static values need an encoding into time",
            where=where,
            found=f"shape {array.shape} without a time axis",
            remedy="add --encode direct, poisson, latency or phase (and --timesteps)",
        )
    if axes == 2 and options.encode is not None and not Coding.parse(options.encode).timed:
        raise OptionError(
            "the data has a time axis already",
            where="--encode",
            found=f"{where} of shape {array.shape}",
            allowed=", ".join(TIMED),
            remedy="drop the option",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError("input data must be finite", where=where, found="NaN or infinity")


def _before_split(where: str, shape: Shape) -> Shape:
    """Shape of the frames whose rising and falling halves are an input of ``shape``."""
    if not shape or shape[0] % 2:
        raise InputError(
            "a split delta code fills two halves of the input's first axis",
            where=where,
            found=f"an input of shape {shape}",
            allowed="an even first axis",
            remedy="leave split=1 out: the input then takes events of both signs",
        )
    return (shape[0] // 2, *shape[1:])


def _steps(
    path: Path, data: dict[str, AnyArray], shapes: Mapping[str, Shape], options: InputOptions
) -> tuple[int, tuple[str, ...]]:
    lengths = {a.shape[1] for name, a in data.items() if a.ndim == len(shapes[name]) + 2}
    if len(lengths) > 1:
        raise InputError("inputs differ in steps", where=str(path), found=sorted(lengths))
    if not lengths:
        steps = options.timesteps or options.usual_timesteps
        if steps is None:
            raise InputError(
                "static values need a number of steps", where=str(path), remedy="add --timesteps"
            )
        if options.encode is None:
            return steps, (f"static values: {options.coding} coding, as calibrated",)
        return steps, ()
    present = lengths.pop()
    wanted = options.timesteps or present
    if wanted > present:
        raise InputError(
            "the data has too few time steps",
            where=str(path),
            found=present,
            allowed=f"at least {wanted}",
            remedy="give longer data, or compile with a smaller --timesteps",
        )
    cut = f"{present - wanted} of {present} time steps are cut" if wanted < present else ""
    return wanted, (cut,) if cut else ()


def _labels(
    path: Path, arrays: dict[str, AnyArray], limit: int | None, samples: int
) -> IntArray | None:
    if "y" not in arrays:
        return None
    y = arrays["y"][:limit] if arrays["y"].ndim else arrays["y"]
    if y.shape != (samples,) or y.dtype.kind not in "iu":
        raise InputError(
            "y is one class per sample",
            where=f"{path}:y",
            found=f"{y.dtype} {y.shape}",
            allowed=f"integers [{samples}]",
        )
    result: IntArray = y.astype(np.int64)
    return result
