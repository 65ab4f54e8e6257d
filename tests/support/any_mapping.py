"""Random networks on random machines with every option of ``snnc compile`` that maps: pins,
objectives, routing rules, phases, offsets, starts, chips with broken borders, hexagonal tori with
routing tables, spike rates, effort, partitioners.  The whole pipeline runs, as for a user."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml
from support.conv_networks import random_convolutions
from support.phase_networks import RANGE, phase_network
from support.random_networks import Options, random_inputs, random_network
from support.tight_mapping import random_tight_network, random_tight_target, with_kernels

from snnc.compiler.objective import TERMS
from snnc.compiler.options import ROUTINGS, CompileOptions
from snnc.compiler.pipeline import Calibration, Compilation
from snnc.in_phases import PhaseRunner
from snnc.ir import artifact, shared_expansion
from snnc.ir.arrays import RealArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import (
    CapacityError,
    OptionError,
    SnncError,
    UnsupportedError,
    VerificationError,
)
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.phased import PhasedDeployment, Program
from snnc.ir.target import Target
from snnc.ir.topology import mesh_of
from snnc.simulators import cycle, functional, reference

STEPS = 4
PATIENCE = 600.0
"""Seconds no placement of a few cores takes, so that none is cut short."""
Rates = Mapping[str, RealArray]


@dataclass(frozen=True)
class Case:
    """What is compiled.

    Attributes:
        rates: packets per sample by input and population; None without calibration.
        fidelity: of the cycle simulator's network-on-chip.
    """

    network: IntegerNetwork
    target: Target
    options: CompileOptions
    rates: Rates | None
    fidelity: str

    @property
    def words(self) -> str:
        """The options that are not the usual ones, for the reader of a failure."""
        usual = CompileOptions()
        mine = self.options.to_dict().items()
        told = [f"{k}={v}" for k, v in mine if v != getattr(usual, k) and k != "target"]
        return f"{self.network.name} rates={self.rates is not None} {' '.join(told)}"


def draw_case(seed: int) -> Case:
    """One random case."""
    rng = np.random.default_rng([seed, 6])
    chips = int(rng.choice([1, 1, 2, 3, 4, 6]))
    network, target = _network(rng), _machine(rng, seed)
    if chips > 1 and target.topology.links == "mesh" and rng.random() < 0.3:
        target = _with_broken_borders(rng, target, chips)
    phased = target.execution.sync != "async" and rng.random() < 0.3
    options: dict[str, Any] = {
        "timesteps": STEPS, "chips": chips, "seed": int(rng.integers(100)),
        "time_limit_s": PATIENCE, "effort": str(rng.choice(["low", "low", "low", "normal"])),
        "routing": str(rng.choice(ROUTINGS)),
        "partitioner": str(rng.choice(["auto", "auto", "tiles", "own"])),
        "phases": str(rng.choice(["auto", "2", "3"])) if phased else "never",
    }  # fmt: skip
    if rng.random() < 0.5:
        options["objective"] = _objective(rng)
    if not phased and rng.random() < 0.4:
        options["pin"] = _pins(rng, network, target, chips)
    rates = _rates(rng, network)
    options["offsets"] = rates is not None and bool(rng.random() < 0.3)
    fidelity = str(rng.choice(["transaction", "transaction", "flit", "none"]))
    if target.noc.consumption == "after_sending":
        fidelity = "flit"
    return Case(network, target, CompileOptions(**options), rates, fidelity)


def _network(rng: np.random.Generator) -> IntegerNetwork:
    kind = rng.random()
    if kind < 0.45:
        return random_tight_network(rng)
    if kind < 0.7:
        return random_convolutions(rng)
    if kind < 0.85:
        return phase_network(int(rng.integers(1 << 30)), 5)
    simple = bool(rng.random() < 0.7)
    options = Options(layers=3, width=4, binary_only=simple, simple_only=simple)
    drawn = random_network(int(rng.integers(1 << 30)), options)
    wide = {"state_range": RANGE, "current_range": RANGE}  # the toy's registers
    nodes = [replace(n, **wide) if isinstance(n, Neuron) else n for n in drawn.nodes]
    return IntegerNetwork(drawn.name, tuple(nodes))


def _machine(rng: np.random.Generator, seed: int) -> Target:
    """A tight machine with routers, queues, links and a host's corner of any kind."""
    target = random_tight_target(rng, float(rng.choice([0.4, 0.7, 0.9])))
    if rng.random() < 0.3:
        target = with_kernels(seed, target)
    data = target.model_dump(by_alias=True)
    topology, noc, core = data["topology"], data["noc"], data["core"]
    width, height = topology["grid"]

    def some(*values: int) -> dict[str, Any]:
        return {"v": int(rng.choice(values)), "ev": "assumed"}

    topology |= {
        "usable_cores": width * height * topology["cores_per_router"] - len(topology["defects"]),
        "host_router": (int(rng.integers(width)), int(rng.integers(height))),
        "chip_arrangement": str(rng.choice(["row", "square"])),
        "max_chips": {"v": 64, "ev": "assumed"},
    }
    shapes = [("xy",), ("xy", "yx"), ("xy", "yx", "minimal"), ("xy", "yx", "minimal", "any")]
    noc |= {
        "route_shapes": shapes[int(rng.integers(4))],
        "virtual_channels": some(1, 1, 2, 3),
        "consumption": str(rng.choice(["always"] * 5 + ["after_sending"])),
        "buffer_packets": some(1, 2, 4), "injection_packets": some(1, 2, 16),
        "receive_packets": some(1, 2, 16),
        "chip_link_cycles": some(1, 4, 32) if rng.random() < 0.7 else {"v": None, "ev": "unknown"},
    }  # fmt: skip
    if rng.random() < 0.2:
        topology["links"] = "hex_torus"
        noc |= {"route_shapes": ("any",), "multicast": True}
        if rng.random() < 0.7:
            noc |= {"table_entries": some(4, 16, 1023), "key_bits": int(rng.integers(6, 33))}
    if rng.random() < 0.3:
        core["max_delay"] = some(0, 2, 6)
    if rng.random() < 0.2:
        core["weight"]["bits"] = [8]
    if rng.random() < 0.2:
        data["spike"] |= {"payload_bits": 0, "signed": False, "codes": ["burst"]}
        data["neuron"]["refire_slots"] = 0
    for resource in core["resources"].values():
        formulas = resource["use_per_axon"] or {}
        for encoding in set(formulas) - set(core["encodings"]):
            del formulas[encoding]
    return Target.model_validate(data)


def _with_broken_borders(rng: np.random.Generator, target: Target, chips: int) -> Target:
    mesh = mesh_of(target, chips)
    columns, rows = mesh.width // mesh.chip_width, mesh.height // mesh.chip_height
    borders = [((x, y), (x + 1, y)) for x in range(columns - 1) for y in range(rows)]
    borders += [((x, y + 1), (x, y)) for x in range(columns) for y in range(rows - 1)]
    broken = tuple(b for b in borders if rng.random() < 0.3)
    topology = {**target.topology.model_dump(), "broken_chip_links": broken}
    return Target.model_validate({**target.model_dump(by_alias=True), "topology": topology})


def _objective(rng: np.random.Generator) -> str:
    weights = {term: float(rng.choice([0.0, 0.01, 1.0, 100.0])) for term in TERMS}
    kept = {term: w for term, w in weights.items() if rng.random() < 0.4} or {"max_link": 1.0}
    kept[next(iter(kept))] += 1.0
    return ",".join(f"{term}={weight:g}" for term, weight in kept.items())


def _pins(rng: np.random.Generator, network: IntegerNetwork, target: Target, chips: int) -> str:
    mesh, pins = mesh_of(target, chips), []
    for node in network.of_type(Neuron):
        if rng.random() < 0.4:
            extents = (mesh.width, mesh.height, mesh.cores_per_router)
            x, y, slot = (int(rng.integers(n)) for n in extents)
            places = [f"{x},{y}", f"{x},{y},{slot}", f"chip:{int(rng.integers(chips))}"]
            pins.append(f"{node.name}@{places[int(rng.integers(3))]}")
    return ";".join(pins)


def _rates(rng: np.random.Generator, network: IntegerNetwork) -> Rates | None:
    """None, silence, silence of some, or packets by the handful or by the million."""
    kind = rng.random()
    if kind < 0.4:
        return None
    senders: list[Any] = [*network.of_type(Input), *network.populations]
    scale = 0.0 if kind < 0.5 else float(rng.choice([0.01, 3.0, 1e6]))
    silent = float(rng.choice([0.0, 0.5]))
    return {
        node.name: scale * rng.random(size) * (rng.random(size) >= silent)
        for node in senders
        for size in [int(np.prod(node.shape))]
    }


def compiled(case: Case, folder: Path, start: Any = None, **changes: Any) -> Program:
    """The pipeline's result, from a target file."""
    path = folder / "target.yaml"
    data = case.target.model_dump(mode="json", by_alias=True, exclude_unset=True)
    path.write_text(yaml.safe_dump(data))
    options = replace(case.options, target=str(path), **changes)

    def measure(network: IntegerNetwork, *_: Any) -> Rates:
        """The rates drawn; helper populations, which nobody drew, send now and then."""
        assert case.rates is not None
        rng = np.random.default_rng(0)
        senders: list[Any] = [*network.of_type(Input), *network.populations]
        return {
            node.name: case.rates.get(node.name, rng.random(int(np.prod(node.shape))))
            for node in senders
        }

    known = None if case.rates is None else Calibration({}, STEPS, measure)
    job = Compilation(case.network, options, lambda _network: known, placement_start=start)
    program = job.run()
    assert program is not None
    return program


def check_any_case(seed: int) -> str:
    """Compile, check and run one random case; returns what it ended in.

    Raises:
        AssertionError: a simulator differs from the reference, a bound is above what was found,
            or equal inputs give unequal programs.
        SnncError: anything but a typed refusal with the amounts.
    """
    case = draw_case(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            program = compiled(case, folder)
        except (CapacityError, OptionError, UnsupportedError) as error:
            _check_refusal(case, folder, error)
            return f"refused: {type(error).__name__}: {_general(error.problem)}"
        except VerificationError as error:
            if case.target.noc.consumption == "always" or "can deadlock" not in error.problem:
                raise
            return f"refused: {error.problem}"
        check_spikes(case, program, seed)
        check_file(program, folder)
        for report in _reports(program):
            check_report(report)
        _check_variants(case, program, folder, seed)
    return "phases, checked, exact" if isinstance(program, PhasedDeployment) else (
        "mapped, checked, exact"
    )  # fmt: skip


def _check_refusal(case: Case, folder: Path, error: SnncError) -> None:
    """A refusal tells amount and limit, and the number of chips that it says would do does."""
    if not isinstance(error, UnsupportedError) and not (error.found and error.allowed):
        assert case.options.offsets or "phases" in error.problem, str(error)
    assert error.remedy or error.allowed, str(error)
    promised = re.search(r"--chips (\d+) would do", error.remedy or "")
    if promised and case.options.pin is None:
        with suppress(OptionError, UnsupportedError, VerificationError):  # but it fits
            compiled(case, folder, chips=int(promised[1]))


def check_spikes(case: Case, program: Program, seed: int) -> None:
    """Reference, functional and cycle simulator fire the same spikes."""
    data = random_inputs(case.network, seed, 1, STEPS)
    truth = reference.run(case.network, data)
    if isinstance(program, PhasedDeployment):
        flits = case.target.noc.consumption == "after_sending"
        for backend in ("functional",) if flits else ("functional", "cycle"):
            found, _ = PhaseRunner(program, backend).run(data, None)
            assert not any(_mismatches(case, truth, found).values()), backend
        return
    done = cycle.run(program, data, noc=case.fidelity)  # type: ignore[arg-type]
    for name, found in (
        ("cycle", done.result),
        ("functional", functional.run(program.network, data)),
    ):
        assert not any(_mismatches(case, truth, found).values()), name


def _mismatches(case: Case, truth: Any, found: Any) -> dict[str, int]:
    """Of the populations that the network had before helpers came."""
    names = {node.name for node in case.network.populations}
    kept = replace(
        found,
        spikes={k: v for k, v in found.spikes.items() if k in names},
        spike_counts={k: v for k, v in found.spike_counts.items() if k in names},
    )
    result: dict[str, int] = truth.mismatches(kept)
    return result


def check_file(program: Program, folder: Path) -> None:
    """A program that is written and read is the same, byte by byte."""
    first, second = folder / "a.snnc", folder / "b.snnc"
    artifact.write(program, first)
    artifact.write(artifact.read_program(first), second)
    assert first.read_bytes() == second.read_bytes(), "written, read and written again"


def _reports(program: Program) -> list[dict[str, Any]]:
    parts = program.phases if isinstance(program, PhasedDeployment) else (program,)
    return [p.report.get("map", p.report) for p in parts if p.report]


def check_report(report: Mapping[str, Any]) -> None:
    """No bound is above what was found, and sums agree."""
    if "partition" not in report:
        return
    assert report["partition"]["cores_lower_bound"] <= report["partition"]["cores"]
    placed, routed = report["placement"], report["routing"]
    slack = 1e-6 * (1 + placed["objective"])
    assert placed["lower_bound"] <= placed["objective"] + slack, "bound on weighted hops"
    busiest = routed["max_link_cycles"]
    assert routed["max_link_cycles_bound"] <= busiest + 1e-6 * (1 + busiest), "bound on links"


def _check_variants(case: Case, program: Program, folder: Path, seed: int) -> None:
    """The same again; from the finished placement; with shared rows."""
    rng = np.random.default_rng([seed, 7])
    if rng.random() < 0.15:
        assert _same(compiled(case, folder), program), "compiled twice"
    if not isinstance(program, Deployment):
        return
    if rng.random() < 0.15 and case.target.layers is None:
        better = compiled(case, folder, start=program.cores.location)
        before, after = (p.report["map"]["placement"] for p in (program, better))
        if case.options.objective is None:
            assert after["objective"] <= before["objective"] * (1 + 1e-9) + 1e-9, "from a start"
    if rng.random() < 0.3 and not case.target.core.stores_kernels:
        with mock.patch.object(shared_expansion, "SHARED_FROM", -1):
            shared = compiled(case, folder)
        assert isinstance(shared, Deployment)
        if any(key.startswith("fan-in of") for key in shared.network.assumptions):
            check_spikes(case, shared, seed)  # cut by channels there, synapse by synapse here
            return
        ours, plain = shared.cores, program.cores
        for name in type(program.cores).__dataclass_fields__:
            mine = ours.plain() if hasattr(ours, "plain") else ours
            assert np.array_equal(getattr(mine, name), getattr(plain, name)), f"shared: {name}"


def _same(one: Program, other: Program) -> bool:
    """Equal files but for the seconds in the reports."""
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name) / f"{k}.snnc" for k in range(2)]
        for path, program in zip(files, (one, other), strict=True):
            artifact.write(replace(program, report={}), path)
        return files[0].read_bytes() == files[1].read_bytes()


def _general(text: str) -> str:
    return re.sub(r"[0-9]+ chips?", "N chips", text)
