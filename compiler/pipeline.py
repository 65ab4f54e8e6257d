"""The stages in order: a model file becomes a verified ``Deployment``.

frontend -> normalise -> quantize -> legalize -> retime -> map -> deployment.  Each stage is a
function of the results before it; the pipeline only times, dumps and stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from snnc.backends import targets
from snnc.compiler import legalize, normalise, quantize, retime
from snnc.compiler.dump import dump_stage
from snnc.compiler.frontends import nir
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.options import CompileOptions
from snnc.compiler.provenance import provenance
from snnc.compiler.summary import summarize
from snnc.compiler.verify import verify
from snnc.ir.arrays import RealArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.target import Target

STAGES = ("frontend", "normalise", "quantize", "legalize", "retime", "map", "deployment")


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the pipeline may know about typical data; the caller owns loading and simulation.

    Attributes:
        values: real input values [samples, steps, *shape] by input name.
        steps: steps per sample of the data.
        measure: packets per sample of every element, by input and population name, when the
            integer network runs on the same samples.
    """

    values: Mapping[str, RealArray]
    steps: int
    measure: Callable[[IntegerNetwork, Target], Mapping[str, RealArray]]


def no_calibration(_: Network) -> Calibration | None:
    """For models compiled without data."""
    return None


def _quiet(stage: str, seconds: float | None) -> None:
    del stage, seconds


@dataclass
class Compilation:
    """One run of the pipeline: its inputs, and the results of the stages so far.

    Attributes:
        results: by stage name.
        seconds: wall time by stage name.
        on_stage: called with (stage, None) when a stage starts, (stage, seconds) when it ends.
    """

    model: Path
    options: CompileOptions
    calibrate: Callable[[Network], Calibration | None] = no_calibration
    dump_to: Path | None = None
    on_stage: Callable[[str, float | None], None] = _quiet
    results: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    calibration: Calibration | None = None

    def run(self, stop_after: str | None = None) -> Deployment | None:
        """Run all stages, or those up to and including ``stop_after``; None when stopped early.

        Raises:
            SnncError: whatever a stage refuses, naming where, found, allowed and remedy.
        """
        check_stage(stop_after)
        self.target = targets.load(self.options.target)
        work = dict(zip(STAGES, (
            self._frontend, self._normalise, self._quantize, self._legalize, self._retime,
            self._map, self._deployment,
        ), strict=True))  # fmt: skip
        for stage, function in work.items():
            self.on_stage(stage, None)
            started = time.perf_counter()
            self.results[stage] = function()
            self.seconds[stage] = time.perf_counter() - started
            if self.dump_to is not None:
                dump_stage(self.dump_to, stage, self.results[stage])
            self.on_stage(stage, self.seconds[stage])
            if stage == stop_after:
                break
        deployment: Deployment | None = self.results.get("deployment")
        return deployment

    def _frontend(self) -> Network:
        return nir.read(self.model, nir_options(self.options))

    def _normalise(self) -> Network:
        network = normalise.normalise(self.results["frontend"])
        self.calibration = self.calibrate(network)
        return network

    def _quantize(self) -> quantize.Quantized:
        options = quantize.QuantizeOptions(self.options.weight_bits, self.timesteps)
        values = self.calibration.values if self.calibration else None
        return quantize.quantize(self.results["normalise"], self.target, options, values)

    def _legalize(self) -> IntegerNetwork:
        return legalize.legalize(self.results["quantize"].network, self.target)

    def _retime(self) -> retime.Retiming:
        network = self.results["legalize"]
        self.expansion = expand(network)
        return retime.retime(network, self.target, self.timesteps, expansion=self.expansion)

    @property
    def timesteps(self) -> int:
        """Steps per sample: the option, else the calibration data's."""
        if self.options.timesteps is not None:
            return self.options.timesteps
        if self.calibration is None:
            raise OptionError(
                "the number of time steps per sample is not known",
                where="--timesteps",
                remedy="add --timesteps T, or --calibration data that has a time axis",
            )
        return self.calibration.steps

    def _map(self) -> Any:
        network = self.results["legalize"]
        self.rates = self.calibration.measure(network, self.target) if self.calibration else None
        options = MapOptions(seed=self.options.seed, time_limit_s=self.options.time_limit_s)
        return map_network(
            network,
            self.results["retime"],
            self.target,
            self.options.chips,
            self.rates,
            options,
            self.expansion,
        )

    def _deployment(self) -> Deployment:
        mapping = self.results["map"]
        draft = Deployment(
            network=self.results["legalize"],
            target=self.target,
            chips=self.options.chips,
            schedule=self.results["retime"].schedule,
            cores=mapping.cores,
            routes=mapping.routes,
            certificate=mapping.certificate,
            provenance=provenance(
                self.model, self.options, self.target, self.results["frontend"], self.calibration
            ),
            report={},
        )
        return summarize(draft, verify(draft).as_dict(), self.results, self.rates)


def nir_options(options: CompileOptions) -> nir.NirOptions:
    """The part of the options that completes a ``.nir`` file; it validates the values."""
    named: dict[str, Any] = {f.name: getattr(options, f.name) for f in fields(nir.NirOptions)}
    return nir.NirOptions(**named)


def check_stage(stage: str | None) -> None:
    """Raise ``OptionError`` unless ``stage`` is None or the name of a stage."""
    if stage is not None and stage not in STAGES:
        raise OptionError(
            "no such stage", where="--stop-after", found=stage, allowed=", ".join(STAGES)
        )
