"""``snnc export``: networks and compiled programs as files of other tools, one entry per format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from snnc.compiler.exporters.nir import NirExport, NirExportOptions, export_nir
from snnc.compiler.options import CompileOptions
from snnc.compiler.reading import read_finished
from snnc.ir import artifact
from snnc.ir.atomic import check_separate, check_writable
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.phased import PhasedDeployment, Program
from snnc.ir.real_neuron import RealNeuron
from snnc.results import ExportResult

ARTIFACT_SUFFIX = ".snnc"


@dataclass(frozen=True, eq=False)
class Source:
    """What is exported: a model file, an artifact, or a record in memory.

    Attributes:
        given: the path or the record.
        options: how a model file is read.
    """

    given: Path | Network | IntegerNetwork | Program
    options: CompileOptions = field(default_factory=CompileOptions)

    @cached_property
    def content(self) -> Network | IntegerNetwork | Deployment:
        """The record, read from its file if need be."""
        if isinstance(self.given, PhasedDeployment):
            raise artifact.several_phases(self.given, self.given.network.name)
        if not isinstance(self.given, Path):
            return self.given
        if self.given.suffix.lower() == ARTIFACT_SUFFIX:
            return artifact.read(self.given)
        return read_finished(self.given, self.options)

    def real(self, what: str) -> Network:
        """The network in real numbers.

        Raises:
            UnsupportedError: there are only integers.
        """
        if isinstance(self.content, Network):
            return self.content
        name = self.given if isinstance(self.given, Path) else type(self.given).__name__
        raise UnsupportedError(
            f"{what} takes a network in real numbers",
            where=str(name),
            found="a compiled program" if isinstance(self.content, Deployment) else "integers",
            remedy="export the model file that it was compiled from",
        )

    def integers(self, what: str) -> IntegerNetwork:
        """The network in integers.

        Raises:
            UnsupportedError: there are only real numbers.
        """
        if isinstance(self.content, Deployment):
            return self.content.network
        if isinstance(self.content, IntegerNetwork):
            return self.content
        raise UnsupportedError(
            f"{what} takes a network in integers",
            where=str(self.given) if isinstance(self.given, Path) else self.content.name,
            found="real numbers",
            remedy="compile it, and export the artifact",
        )


@dataclass(frozen=True)
class Format:
    """One kind of file that can be written.

    Attributes:
        options: frozen dataclass of the format's options; ``--set`` assigns its fields.
        write: writes the source to the path.
    """

    summary: str
    suffix: str
    options: type[Any]
    write: Callable[[Source, Path, Any], ExportResult]


def _write_nir(source: Source, path: Path, options: NirExportOptions) -> ExportResult:
    done: NirExport = export_nir(source.real("NIR"), path, options)
    details = {"reader": done.reader, "read_with": done.read_with}
    return ExportResult("nir", path, details, done.notes, done.approximations)


@dataclass(frozen=True)
class LavaExportOptions:
    """Options of ``--to lava``.

    Attributes:
        timesteps: steps per sample, where the source is no artifact.
        check_samples: samples of random input whose spikes go into ``check.npz``.
        seed: of that input.
    """

    timesteps: int | None = None
    check_samples: int = 2
    seed: int = 0


def _write_lava(source: Source, path: Path, options: LavaExportOptions) -> ExportResult:
    from snnc.on_lava import export_project

    network, steps = source.integers("Lava"), options.timesteps
    if isinstance(source.content, Deployment):
        steps = source.content.schedule.timesteps
    if steps is None or steps < 1 or options.check_samples < 1:
        raise OptionError(
            "a network that was not compiled needs its steps per sample, and one to check",
            where="--set timesteps",
            found=f"timesteps {options.timesteps}, check_samples {options.check_samples}",
            allowed="at least 1",
        )
    notes = export_project(network, steps, path, options.check_samples, options.seed)
    return ExportResult("lava", path, {"run_with": f"python {path}/run.py --check"}, notes)


@dataclass(frozen=True)
class NetxExportOptions:
    """``--to netx`` has no options."""


def _write_netx(source: Source, path: Path, options: NetxExportOptions) -> ExportResult:
    from snnc.backends.lava.netx import write_netx

    notes = write_netx(source.integers("a .net file"), path)
    return ExportResult("netx", path, {"read_with": "netx.hdf5.Network of lava-dl"}, notes)


@dataclass(frozen=True)
class OnnxExportOptions:
    """``--to onnx`` has no options."""


def _write_onnx(source: Source, path: Path, options: OnnxExportOptions) -> ExportResult:
    from snnc.compiler.frontends.onnx.stateful import export

    network = source.real("ONNX")
    export(network, path)
    notes = ("one time step with explicit state, operators of the domain snnc",)
    details = {"populations": len(network.of_type(RealNeuron)), "read_with": "snnc"}
    return ExportResult("onnx", path, details, notes)


FORMATS: Mapping[str, Format] = {
    "lava": Format("a Python project for Lava", "-lava", LavaExportOptions, _write_lava),
    "netx": Format("lava-dl's netx", ".net", NetxExportOptions, _write_netx),
    "nir": Format("NIR, for other frameworks", ".nir", NirExportOptions, _write_nir),
    "onnx": Format("ONNX, one step with state", ".onnx", OnnxExportOptions, _write_onnx),
}


def format_of(name: str) -> Format:
    """A format by its name.

    Raises:
        OptionError: there is none.
    """
    if name not in FORMATS:
        raise OptionError(
            "unknown format", where="--to", found=name, allowed=", ".join(sorted(FORMATS))
        )
    return FORMATS[name]


def export(source: Source, to: str, output: Path, options: Any) -> ExportResult:
    """Write a file; see ``snnc.export``."""
    chosen = format_of(to)
    check_writable(output)
    check_separate(output, source.given if isinstance(source.given, Path) else None)
    return chosen.write(source, output, chosen.options() if options is None else options)
