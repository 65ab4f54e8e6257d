"""The stages in order: a model file becomes a verified ``Deployment``.

frontend -> normalise -> quantize -> legalize -> retime -> map -> deployment.  Each stage is a
function of the results before it; the pipeline only times, dumps and stops.  A file that holds
integers passes normalise and quantize unchanged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from snnc.backends import targets
from snnc.compiler import legalize, normalise, phases, quantize, retime
from snnc.compiler.chip_count import in_columns, parse_chips
from snnc.compiler.dump import dump_stage
from snnc.compiler.fanin import may_overflow, split_fan_in, with_reason
from snnc.compiler.frontends import is_onnx, onnx
from snnc.compiler.legalize.lava import lava_registers, lava_semantics
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.objective import parse_objective
from snnc.compiler.options import CompileOptions, Partitioner, RoutingRule
from snnc.compiler.pins import parse_pins
from snnc.compiler.place import Effort, silent
from snnc.compiler.provenance import provenance
from snnc.compiler.reading import onnx_options, read_model
from snnc.compiler.stagger import stagger
from snnc.compiler.steps import sample_steps
from snnc.compiler.summary import summarize
from snnc.compiler.verify import verify
from snnc.compiler.wire import Preference, wire_codes
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import CapacityError, OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.phased import Program
from snnc.ir.shared_expansion import expand_large
from snnc.ir.target import Target
from snnc.ir.wire import WireCode

STAGES = ("frontend", "normalise", "quantize", "legalize", "retime", "map", "deployment")


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the pipeline may know about typical data; the caller owns loading and simulation.

    Attributes:
        values: real input values [samples, steps, *shape] by input name.
        steps: steps per sample of the data.
        samples: how many of the first values are compared spike by spike.
        labels: classes of the values' samples, if known.
        measure: packets per sample of every element, by input and population name, when the
            integer network runs on the same samples and sends by these wire codes.
        accuracy: share of the first so many samples that the integer network classifies as
            labelled; None without labels.
    """

    values: Mapping[str, RealArray]
    steps: int
    measure: Callable[[IntegerNetwork, Target, Mapping[str, WireCode]], Mapping[str, RealArray]]
    accuracy: Callable[[IntegerNetwork, int], float | None] = lambda _network, _samples: None
    samples: int = 1
    labels: IntArray | None = None


def no_calibration(_: Network | IntegerNetwork) -> Calibration | None:
    """For models compiled without data."""
    return None


def _quiet(stage: str, seconds: float | None) -> None:
    del stage, seconds


@dataclass
class Compilation:
    """One run of the pipeline: its inputs, and the results of the stages so far.

    Attributes:
        samples: static calibration samples, for the conversion of an ANN.
        results: by stage name.
        seconds: wall time by stage name.
        unsplit: why the fan-in of a population could not be split, by name.
        on_stage: called with (stage, None) when a stage starts, (stage, seconds) when it ends.
        placement_start: [cores, 3] x, y, slot of a former placement, to be improved.
        on_placement: called with (share of the placement search done, weighted hops now).
    """

    model: Path | Network | IntegerNetwork
    options: CompileOptions
    calibrate: Callable[[Network | IntegerNetwork], Calibration | None] = no_calibration
    samples: onnx.DataSource = onnx.no_data
    dump_to: Path | None = None
    on_stage: Callable[[str, float | None], None] = _quiet
    placement_start: IntArray | None = None
    on_placement: Callable[[float, float], None] = silent
    results: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    calibration: Calibration | None = None
    conversion: Mapping[str, Any] | None = None
    unsplit: Mapping[str, str] = field(default_factory=dict)

    def run(self, stop_after: str | None = None) -> Program | None:
        """Run all stages, or those up to and including ``stop_after``; None when stopped early.

        Raises:
            SnncError: whatever a stage refuses, naming where, found, allowed and remedy.
        """
        check_stage(stop_after)
        self.target = targets.load_sound(self.options.target)
        asked = parse_chips(self.options.chips)
        if isinstance(asked, tuple):
            self.target = in_columns(self.target, asked[0])
        phases.check_target(self.target, self.options.most_phases)
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
        deployment: Program | None = self.results.get("deployment")
        return deployment

    def _frontend(self) -> Network | IntegerNetwork:
        if isinstance(self.model, Path):
            if not is_onnx(self.model):
                return read_model(self.model, self.options)
            graph = onnx.read_file(self.model)
            chosen = onnx_options(self.options, self.target)
            lowered = onnx.lower(graph, chosen, self.samples)
            self.conversion = lowered.conversion
            return lowered.network
        return self.model

    def _normalise(self) -> Network | IntegerNetwork:
        network: Network | IntegerNetwork = self.results["frontend"]
        if isinstance(network, Network):
            network = normalise.normalise(network)
        self.calibration = self.calibrate(network)
        return network

    def _quantize(self) -> quantize.Quantized:
        network = self.results["normalise"]
        if isinstance(network, IntegerNetwork):
            return quantize.Quantized(network, {})
        bits, layers = quantize.parse_widths(self.options.weight_bits)
        options = quantize.QuantizeOptions(
            bits,
            self.timesteps,
            layers,
            # Lava's populations have one threshold, so one grid; so have cores that hold layers.
            "layer" if self.options.semantics == "lava" or self.target.layers else "channel",
            max_spikes=self.options.max_spikes,
            memory_budget=self.options.memory_budget,
            leak=self.options.leak,
            correct=quantize.parse_corrections(self.options.correct),
        )
        target = self.target
        if self.options.semantics == "lava":
            target = lava_registers(target)
        if self.calibration is None:
            return quantize.quantize(network, target, options)
        known = self.calibration
        done = quantize.quantize(network, target, options, known.values)
        found = quantize.fidelity(network, done.network, known.values, known.samples, known.labels)
        return quantize.Quantized(done.network, {**done.report, "fidelity": found})

    def with_semantics(self, semantics: str) -> IntegerNetwork:
        """The same model, quantized and legalized under another ``semantics``, for comparison."""
        options = replace(self.options, semantics=semantics)
        known = {stage: self.results[stage] for stage in ("frontend", "normalise")}
        other = replace(self, options=options, results=known, seconds={}, dump_to=None)
        other.target = self.target
        other.results["quantize"] = other._quantize()
        legal: IntegerNetwork = other._legalize()
        return legal

    def _legalize(self) -> IntegerNetwork:
        network = self.results["quantize"].network
        legal = legalize.legalize(network, self.target, self.wire_code)
        if self.options.semantics == "lava":
            legal = lava_semantics(legal, self.target, self.timesteps)
        self.expansion = expand_large(legal, kernels=self.target.core.stores_kernels)
        splits = self.options.semantics != "lava" and self.target.layers is None
        if not (splits and may_overflow(legal, self.expansion, self.target)):
            return legal
        split = split_fan_in(legal, self.expansion, self.target, self.timesteps, self.wire_code)
        self.expansion, self.unsplit = split.expansion, split.refused
        return split.network

    def _retime(self) -> retime.Retiming:
        network = self.results["legalize"]
        codes = wire_codes(network, self.target, self.wire_code)
        return retime.retime(
            network, self.target, self.timesteps, expansion=self.expansion, codes=codes
        )

    @property
    def wire_code(self) -> Preference:
        """The wire code asked for; ``CompileOptions`` has checked the word."""
        return cast("Preference", self.options.wire_code)

    @property
    def chips(self) -> int | None:
        """Number of chips; None: as many as the network needs."""
        asked = parse_chips(self.options.chips)
        return math.prod(asked) if isinstance(asked, tuple) else asked

    @property
    def timesteps(self) -> int:
        """Steps per sample: the option, else the network's own, else the calibration data's."""
        known = sample_steps(self.results["normalise"], self.options.timesteps)
        if known is not None:
            return known
        if self.calibration is None:
            raise OptionError(
                "the number of time steps per sample is not known",
                where="--timesteps",
                remedy="add --timesteps T, or --calibration data that has a time axis",
            )
        return self.calibration.steps

    def _map(self) -> Any:
        network = self.results["legalize"]
        codes = self.results["retime"].schedule.codes
        self.rates = None
        if self.calibration is not None:
            self.rates = self.calibration.measure(network, self.target, codes)
        options = MapOptions(
            seed=self.options.seed,
            time_limit_s=self.options.time_limit_s,
            effort=cast("Effort", self.options.effort),
            start=self.placement_start,
            progress=self.on_placement,
            partitioner=cast("Partitioner", self.options.partitioner),
            routing=cast("RoutingRule", self.options.routing),
            pins=parse_pins(self.options.pin),
            objective=parse_objective(self.options.objective),
        )
        try:
            return map_network(
                network,
                self.results["retime"],
                self.target,
                self.chips,
                self.rates,
                options,
                self.expansion,
            )
        except CapacityError as error:
            if self.options.most_phases == 1:
                raise with_reason(error, self.unsplit) from None
        return phases.phase(
            network, self._machine(options), self.rates, self.options.most_phases, self._measure
        )

    def _machine(self, options: MapOptions) -> phases.Machine:
        return phases.Machine(self.target, self.chips or 1, self.timesteps, self.wire_code, options)

    def _measure(self, codes: Mapping[str, WireCode]) -> Mapping[str, RealArray]:
        assert self.calibration is not None  # only known rates are measured again
        return self.calibration.measure(self.results["legalize"], self.target, codes)

    def _deployment(self) -> Program:
        mapping = self.results["map"]
        if isinstance(mapping, phases.PhasedMapping):
            if self.options.offsets:
                raise OptionError(
                    "a network that runs in phases has no injection offsets",
                    where="--offsets",
                    found=f"phases on {self.chips} chip(s)",
                    remedy="leave --offsets out, or give more chips (--chips)",
                )
            return phases.finish(
                self.results["legalize"],
                self._machine(MapOptions()),
                mapping,
                self._provenance(),
                self.results["quantize"].report,
                self._converted(),
            )
        draft = Deployment(
            network=self.results["legalize"],
            target=self.target,
            chips=mapping.chips,
            schedule=self.results["retime"].schedule,
            cores=mapping.cores,
            routes=mapping.routes,
            certificate=mapping.certificate,
            provenance=self._provenance(),
            report={},
        )
        offsets = None
        if self.options.offsets:
            draft, offsets = self._staggered(draft)
        checked = verify(draft).as_dict()
        done = summarize(draft, checked, self.results, self.rates, self._converted())
        if offsets is not None:
            schedule = {**done.report["schedule"], "offsets": offsets}
            done = replace(done, report={**done.report, "schedule": schedule})
        return done

    def _staggered(self, draft: Deployment) -> tuple[Deployment, dict[str, Any]]:
        """Cores begin a tick at different cycles, by the measured rates."""
        if self.rates is None:
            raise OptionError(
                "offsets are chosen by spike rates, which nobody measured",
                where="--offsets",
                remedy="add --calibration DATA",
            )
        start, found = stagger(draft, self.rates, self.options.seed)
        return replace(draft, schedule=replace(draft.schedule, core_start=start)), found

    def _provenance(self) -> dict[str, Any]:
        return provenance(
            self.model, self.options, self.target, self.results["frontend"], self.calibration
        )

    def _converted(self) -> Mapping[str, Any] | None:
        """What the conversion of an ANN cost, with the accuracy of the integers."""
        if self.conversion is None or self.calibration is None:
            return self.conversion
        count = self.conversion["compared_samples"]
        accuracy = self.calibration.accuracy(self.results["legalize"], count)
        return {**self.conversion, "integer_accuracy": accuracy}


def check_stage(stage: str | None) -> None:
    """Raise ``OptionError`` unless ``stage`` is None or the name of a stage."""
    if stage is not None and stage not in STAGES:
        raise OptionError(
            "no such stage", where="--stop-after", found=stage, allowed=", ".join(STAGES)
        )
