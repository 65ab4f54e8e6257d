"""Running a program of several phases, and what loading them costs; see docs/phases.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.errors import OptionError
from snnc.ir.phased import PhasedDeployment, Program
from snnc.simulators import cycle, functional
from snnc.simulators.cycle.asynchronous.run import Star
from snnc.simulators.cycle.carry import Carry
from snnc.simulators.cycle.chip import Loaded
from snnc.simulators.cycle.phased import joined
from snnc.simulators.cycle.result import CycleResult
from snnc.simulators.cycle.run import Progress as OnSample
from snnc.simulators.cycle.timing import Fidelity
from snnc.simulators.functional.blocks import Blocks
from snnc.simulators.phased import run_phases
from snnc.simulators.result import RunResult

BACKENDS = ("cycle", "functional", "reference")


def check_run(
    program: Program,
    backend: str,
    *,
    early_stop: float | None = None,
    deadline: float | None = None,
    trace_suffix: str | None = None,
) -> None:
    """Raise where a run asks for what phases cannot do; a program of one phase can do all.

    Raises:
        OptionError: Lava, early stopping, a chip's time series, or a deadline without known times.
    """
    if not isinstance(program, PhasedDeployment):
        return
    count = len(program.phases)
    if backend not in BACKENDS:
        raise OptionError(
            "this backend runs a program of one phase",
            where="--backend",
            found=f"{backend} with {count} phases",
            allowed=", ".join(BACKENDS),
            remedy="compile for more chips, so that the network fits at once",
        )
    if early_stop is not None:
        raise OptionError(
            "a sample cannot end early in phases: its first phases have run all steps before the "
            "output begins",
            where="--early-stop",
            found=f"{count} phases",
            allowed="programs of one phase",
            remedy="leave it out, or compile for more chips",
        )
    if trace_suffix not in (None, ".npz"):
        raise OptionError(
            "time series of a chip are of one phase",
            where="--trace",
            found=f"{trace_suffix} with {count} phases",
            allowed=".npz, with the spikes of all phases",
        )
    if deadline is not None and _reload(program).get("seconds") is None:
        raise OptionError(
            "the time of loading a phase is not known",
            where="--deadline",
            found=f"no latency of load_byte in the costs of {program.target.id}",
            remedy="add it to the target file (docs/phases.md)",
        )


def reload_seconds(program: Program) -> float:
    """Seconds of loading all phases once; 0 where there is one phase or the time is unknown."""
    if not isinstance(program, PhasedDeployment):
        return 0.0
    return float(_reload(program).get("seconds") or 0.0)


def _reload(program: PhasedDeployment) -> Mapping[str, Any]:
    """What loading all phases costs, as the report says."""
    cost = program.report.get("cost")
    found = cost.get("reload") if isinstance(cost, Mapping) else None
    return found if isinstance(found, Mapping) else {}


@dataclass(eq=False)
class PhaseRunner:
    """Phases prepared for one backend."""

    program: PhasedDeployment
    backend: str
    noc: Fidelity = "transaction"

    def __post_init__(self) -> None:
        phases = self.program.phases
        networks = [phase.network for phase in phases]
        cores = self.backend == "cycle"
        self._loaded: list[Loaded | Star] = [cycle.load(p) for p in phases] if cores else []
        self._functional = [] if cores else [functional.Functional(n) for n in networks]

    def run(
        self,
        inputs: Mapping[str, IntArray],
        record: tuple[str, ...] | None,
        progress: OnSample | None = None,
    ) -> tuple[RunResult, CycleResult | None]:
        """One batch through all phases; the second value comes from the emulated chip."""
        parts: list[tuple[int, CycleResult]] = []
        carries: dict[int, Carry] = {}
        blocks: dict[int, Blocks] = {}
        count = len(self.program.phases)

        def phase(number: int, fed: dict[str, IntArray], shown: tuple[str, ...]) -> RunResult:
            looped = self.program.loop_of(number) is not None
            if not self._loaded:
                if not looped:
                    return self._functional[number].run(fed, shown)
                if number not in blocks:
                    samples = len(next(iter(fed.values())))
                    blocks[number] = Blocks(self.program.phases[number].network, samples)
                return blocks[number].run(fed, shown)

            def done(sample: int, samples: int) -> None:
                if progress is not None:  # a sample is done when its last phase is
                    progress((number * samples + sample) // count, samples)

            part = cycle.run(
                self.program.phases[number], fed, shown,
                noc=self.noc, progress=done, loaded=self._loaded[number],
                carry=carries.setdefault(number, Carry()) if looped else None,
            )  # fmt: skip
            parts.append((number, part))
            return part.result

        result = run_phases(self.program, inputs, phase, record)
        if not parts:
            return result, None
        return result, joined([part for _, part in parts], result, [number for number, _ in parts])

    def summary(self, samples: int, results: Sequence[CycleResult]) -> dict[str, Any]:
        """The field ``phases`` of ``snnc-run/1``: time and energy with loading.

        Args:
            samples: run in all.
            results: of all batches on the emulated chip; none of other simulators.
        """
        reload = _reload(self.program)
        shares = [r.phases for r in results if r.phases is not None]
        phases = list(zip(*shares, strict=True))
        timed = [[s.seconds for s in phase if s.seconds is not None] for phase in phases]
        seconds = _means(timed) if timed and all(timed) else None
        priced = bool(shares) and self.program.target.costs.scope != "unpriced"
        joules = _means([[s.dynamic for s in phase] for phase in phases]) if priced else None
        rows = [
            {
                "ticks": self.program.ticks_of(number),
                "seconds_per_sample": None if seconds is None else seconds[number],
                "dynamic_j_per_sample": None if joules is None else joules[number],
            }
            for number in range(len(self.program.phases))
        ]
        return {
            "count": len(rows),
            "by_phase": rows,
            "reload": dict(reload),
            "one_by_one": _with_loading(seconds, joules, reload, 1),
            "batched": _with_loading(seconds, joules, reload, samples),
        }


def _means(parts: Sequence[Sequence[RealArray]]) -> list[float]:
    return [float(np.concatenate(part).mean()) for part in parts]


def _with_loading(
    seconds: list[float] | None, joules: list[float] | None, reload: Mapping[str, Any], batch: int
) -> dict[str, Any]:
    """Per sample, when so many samples go through a phase before the next is loaded."""

    def total(run: list[float] | None, load: Any) -> float | None:
        return None if run is None or load is None else sum(run) + float(load) / batch

    return {
        "batch": batch,
        "seconds_per_sample": total(seconds, reload.get("seconds")),
        "joules_per_sample": total(joules, reload.get("joules")),
    }
