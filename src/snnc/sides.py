"""One side of a comparison: a model file read in some way, an artifact, or recorded spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from snnc.assignments import assigned
from snnc.choices import BACKENDS, Backend
from snnc.compiler.options import CompileOptions
from snnc.compiler.pipeline import Calibration, Compilation
from snnc.compiler.reading import read_finished
from snnc.inputs import Dataset, integer_batch, typical_and_extreme
from snnc.inputs.npz import npz_keys, read_npz
from snnc.ir import artifact
from snnc.ir.arrays import AnyArray, Shape
from snnc.ir.errors import InputError, ModelFileError, OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.nodes import Input, Output
from snnc.ir.phased import Program
from snnc.ir.real_neuron import RealNeuron
from snnc.probing import Probe, probe
from snnc.running import Simulator
from snnc.simulators import functional, reference
from snnc.simulators.reference.real import run_real
from snnc.simulators.result import Events, RunResult

_FIELDS = ("sample", "step", "index", "value")
CALIBRATED = 8
"""Samples on which a model's integers are chosen."""


@dataclass(frozen=True)
class SideOptions:
    """How a side computes, beside how its file is read (``CompileOptions``).

    Attributes:
        integers: quantize the model for its target; naming a target or weight bits asks for it.
        backend: of integers: reference, functional, or (artifacts only) cycle.
        precision: of real numbers: float64, or float32 as frameworks compute.
    """

    integers: bool = False
    backend: Backend = "reference"
    precision: Literal["float64", "float32"] = "float64"

    def __post_init__(self) -> None:
        for name, choices in (("backend", BACKENDS), ("precision", ("float64", "float32"))):
            if getattr(self, name) not in choices:
                raise OptionError(
                    "not one of the choices",
                    where=name,
                    found=getattr(self, name),
                    allowed=", ".join(choices),
                )


def parsed(words: Iterable[str], flag: str) -> tuple[CompileOptions, SideOptions]:
    """``key=value`` words as options; those of the side itself first, all others of the reading.

    Raises:
        OptionError: an unknown key, or a value that is not allowed.
    """
    own = {f.name for f in dataclasses.fields(SideOptions)}
    every = [(word, word.partition("=")[0].strip().replace("-", "_")) for word in words]
    side = assigned(SideOptions, [word for word, key in every if key in own], flag)
    reading = assigned(CompileOptions, [word for word, key in every if key not in own], flag)
    if any(key in ("target", "weight_bits") for _, key in every):
        side = dataclasses.replace(side, integers=True)
    return reading, side


@dataclass(frozen=True, eq=False)
class Side:
    """Something that gives spikes for samples.

    Attributes:
        name: of the file.
        program: network or deployment; None for recorded spikes.
        recorded: the recording.
        path: of the model, where it still has to be quantized.
    """

    name: str
    program: Network | IntegerNetwork | Program | None
    recorded: RunResult | None = None
    path: Path | None = None
    reading: CompileOptions = field(default_factory=CompileOptions)
    options: SideOptions = field(default_factory=SideOptions)

    @property
    def network(self) -> Network | IntegerNetwork | None:
        """The network that runs."""
        return self.program.network if isinstance(self.program, Program) else self.program

    @property
    def inputs(self) -> dict[str, Shape]:
        """Shape by input name; empty for a recording."""
        return {} if self.network is None else {
            node.name: node.shape for node in self.network.of_type(Input)
        }  # fmt: skip

    @property
    def populations(self) -> dict[str, Shape] | None:
        """Shape by name of the populations that spike, in execution order; None if unknown."""
        if isinstance(self.network, IntegerNetwork):
            return {p.name: p.shape for p in self.network.populations if p.emit != "state"}
        if self.network is None:
            return None
        spiking = (n for n in self.network.of_type(RealNeuron) if n.threshold is not None)
        return {n.name: n.shape for n in spiking}

    @property
    def outputs(self) -> dict[str, Shape]:
        """Shape by output name."""
        if self.network is not None:
            nodes = self.network.of_type(Output)
            return {node.name: self.network.shapes[node.name] for node in nodes}
        assert self.recorded is not None
        return {name: values.shape[2:] for name, values in self.recorded.outputs.items()}

    @property
    def steps(self) -> int | None:
        """Time steps per sample, where the side knows only one number."""
        if isinstance(self.program, Program):
            return self.program.timesteps
        if self.recorded is not None and self.recorded.outputs:
            return int(next(iter(self.recorded.outputs.values())).shape[1])
        return None

    @property
    def samples(self) -> int | None:
        """Samples of a recording, where it says."""
        if self.recorded is None or not self.recorded.outputs:
            return None
        return len(next(iter(self.recorded.outputs.values())))

    def quantized(self, data: Dataset, timesteps: int) -> Side:
        """The side with its model in integers, chosen on the first samples of the data."""
        if not self.options.integers or not isinstance(self.program, Network):
            return self
        assert self.path is not None
        values = typical_and_extreme(data, CALIBRATED)
        options = dataclasses.replace(self.reading, timesteps=timesteps)
        job = Compilation(self.path, options, lambda _: Calibration(values, timesteps, _no_rates))
        job.run("legalize")
        return dataclasses.replace(self, program=job.results["legalize"])

    def probe(
        self, sample: Mapping[str, AnyArray], population: str, index: int, step: int
    ) -> Probe | None:
        """What a neuron saw in one sample [1, steps, *shape]; None for recordings."""
        network = self.network
        if network is None:
            return None
        values = sample
        if isinstance(network, IntegerNetwork):
            values = integer_batch(sample, network.of_type(Input))
        return probe(network, values, population, index, step, self.options.precision)

    def run(self, batch: Mapping[str, AnyArray], start: int) -> RunResult:
        """Spikes of all populations and outputs in real units.

        Args:
            batch: real values [samples, steps, *shape] by input name.
            start: number of the first sample.
        """
        count = len(next(iter(batch.values())))
        if self.recorded is not None:
            return _samples(self.recorded, start, start + count)
        program = self.program
        if isinstance(program, Network):
            return run_real(program, batch, dtype=np.dtype(self.options.precision))
        network = self.network
        assert isinstance(network, IntegerNetwork)
        integers = integer_batch(batch, network.of_type(Input))
        backend = self.options.backend
        if isinstance(program, Program):
            result, _ = Simulator(program, backend).run(integers, None)
        elif backend == "functional":
            result = functional.run(network, integers, None)
        else:
            result = reference.run(network, integers)
        return dataclasses.replace(result, outputs=_in_real_units(network, result))


def opened(path: Path, words: Iterable[str], flag: str) -> Side:
    """The side of a file.

    Raises:
        SnncError: the file cannot be read, or an option does not apply.
    """
    reading, options = parsed(words, flag)
    if not path.is_file():
        raise ModelFileError("no such file", where=str(path), remedy="check the path")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return Side(path.name, None, _recording(path))
    if suffix == ".snnc":
        return Side(path.name, artifact.read_program(path), None, None, reading, options)
    if options.backend == "cycle":
        raise OptionError(
            "only a compiled network runs on the cycle simulator",
            where=f"{flag} backend=cycle",
            found=path.name,
            remedy="compile it, and give the .snnc file",
        )
    return Side(path.name, read_finished(path, reading), None, path, reading, options)


def _no_rates(*_: Any) -> dict[str, Any]:
    return {}


def _in_real_units(network: IntegerNetwork, result: RunResult) -> dict[str, AnyArray]:
    """Outputs times the grids of what they read; event outputs stay counts."""
    values = {}
    for name, integers in result.outputs.items():
        grid = np.asarray(network.types[name].grid)
        if grid.size > 1:
            grid = grid.reshape(-1, *(1,) * (integers.ndim - 3))
        values[name] = integers if (grid == 1).all() else integers * grid
    return values


def _recording(path: Path) -> RunResult:
    """Spikes and outputs as ``snnc run --trace`` writes them, or dense arrays from elsewhere.

    ``<population>.sample/.step/.index/.value``, or ``spikes.<population>`` [samples, steps, ...];
    ``output.<name>`` [samples, steps, ...].
    """
    keys = [key for key in npz_keys(path) if not key.startswith("chip.")]
    arrays = read_npz(path, keys)
    spikes: dict[str, Events] = {}
    outputs: dict[str, AnyArray] = {}
    for key in keys:
        array, name = arrays[key], key.partition(".")[2]
        if key.startswith("output.") and array.ndim >= 3:
            outputs[name] = array
        elif key.startswith("spikes.") and array.ndim >= 3:
            dense = array.reshape(*array.shape[:2], -1)
            spikes[name] = Events.from_dense(np.rint(dense).astype(np.int64))
        elif key.endswith(".index"):
            name = key.removesuffix(".index")
            parts = [arrays.get(f"{name}.{field}") for field in _FIELDS]
            if any(p is None or p.ndim != 1 or p.size != array.size for p in parts):
                raise InputError("incomplete events", where=f"{path}:{name}", allowed=_FIELDS)
            spikes[name] = Events.join([Events(*(np.asarray(p, np.int64) for p in parts))])
    if not spikes and not outputs:
        raise InputError(
            "no recorded spikes",
            where=str(path),
            found=f"keys {', '.join(keys[:8])}",
            allowed="a trace of `snnc run`, or output.<name> and spikes.<population> [samples, "
            "steps, ...]",
        )
    samples = min((len(values) for values in outputs.values()), default=0)
    counts = {name: np.zeros(samples, np.int64) for name in spikes}
    return RunResult(outputs, spikes, counts)


def _samples(result: RunResult, start: int, stop: int) -> RunResult:
    """Some samples of a recording, counted from 0 again."""
    spikes = {}
    for name, events in result.spikes.items():
        first, last = np.searchsorted(events.sample, (start, stop))
        cut = slice(int(first), int(last))
        spikes[name] = Events(
            events.sample[cut] - start, events.step[cut], events.index[cut], events.value[cut]
        )
    outputs = {name: values[start:stop] for name, values in result.outputs.items()}
    return RunResult(outputs, spikes, {})
