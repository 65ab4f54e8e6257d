"""Trained networks on Lava, against the reference, the fast simulators and Intel's recordings.

    python benchmarks/lava_zoo.py

Prints one line per network: entries compared, spikes, and how many entries differ from the
reference; PilotNet-LIF and the dense recording also against what lava-dl recorded.  Networks whose
files are not present are left out.  Exit code 1 when anything differs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnc.backends.lava import LavaRun, run_on_lava
from snnc.backends.lava.jobs import Job
from snnc.backends.lava.lower import lower
from snnc.on_lava import as_result
from snnc.simulators import cycle, functional, reference
from snnc.simulators.compare import compare_runs
from snnc.simulators.result import RunResult

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.lava_truth import in_file_order, in_lava_time, raster
from support.lava_zoo import INTERVAL, PILOTNET_LAYERS, TRUTH_STEPS, Case, zoo
from support.paths import shared_data


def on_lava(case: Case) -> tuple[LavaRun, RunResult, str]:
    """The run, its result, and which processes it was made of."""
    samples, steps = case.extent
    plan = lower(case.network, steps)
    (run,) = run_on_lava([Job(plan, case.inputs)])
    own = sum(p.name not in plan.notes for p in case.network.populations)
    kinds = f"{own} of {len(case.network.populations)} populations Lava's own"
    return run, as_result(case.network, plan, run, samples), kinds


def compare(case: Case, results: dict[str, RunResult]) -> int:
    """Print a line; the number of differing entries."""
    run, lava, kinds = on_lava(case)
    results[case.name] = lava
    others = {"lava": lava, "functional": functional.run(case.network, case.inputs)}
    if case.deployment is not None:
        others["cycle"] = cycle.run(case.deployment, case.inputs, timing=False).result
    truth = reference.run(case.network, case.inputs)
    samples, steps = case.extent
    entries = samples * steps * sum(p.size for p in case.network.populations)
    spikes = sum(int(c.sum()) for c in truth.spike_counts.values())
    found = {name: compare_runs(truth, other) for name, other in others.items()}
    text = ", ".join(f"{name} {difference.differing}" for name, difference in found.items())
    print(
        f"{case.name}: {samples} samples x {steps} steps, {entries:,} entries, {spikes:,} spikes; "
        f"differing: {text}; {kinds}; start {run.start_seconds:.1f} s, {run.time_steps} Lava steps "
        f"in {run.run_seconds:.1f} s",
        flush=True,
    )
    for name, difference in found.items():
        if difference.first is not None:
            layer, at = difference.first
            print(f"  {name}: first in {layer.names[0]}, {at}")
    return sum(difference.differing for difference in found.values())


def pilotnet_truth(results: Mapping[str, RunResult], cases: Mapping[str, Case]) -> int:
    """Lava's spikes against lava-dl's recording of nine layers; differing entries."""
    base = shared_data()
    if base is None or "pilotnet_lif" not in cases:
        return 0
    folder, entries, wrong = base / "lava_dl" / "pilotnet_lif", 0, 0
    populations = in_file_order(cases["pilotnet_lif"].network)
    for position, (name, population) in enumerate(zip(PILOTNET_LAYERS, populations, strict=False)):
        truth: Any = np.load(folder / f"{name}.npy").T
        parts = [
            raster(results[run], population, INTERVAL)
            for run in ("pilotnet_lif, before", "pilotnet_lif")
        ]
        mine = in_lava_time(*parts, position, TRUTH_STEPS)
        entries += truth.size
        wrong += int(np.count_nonzero(mine != truth))
    print(f"pilotnet_lif against lava-dl's recording: {entries:,} entries, {wrong} differ")
    return wrong


def dense_truth(results: Mapping[str, RunResult], cases: Mapping[str, Case]) -> int:
    """Lava's spikes against lava-dl's recording of a dense layer; differing entries."""
    base = shared_data()
    if base is None or "gts_dense" not in cases:
        return 0
    truth: Any = np.load(base / "lava_dl" / "gts_dense" / "out.npy").T.astype(bool)
    found = raster(results["gts_dense"], cases["gts_dense"].network.populations[0], len(truth))
    wrong = int(np.count_nonzero(found[:-1] != truth[1:])) + int(truth[0].sum())
    print(f"gts_dense against lava-dl's recording: {truth.size:,} entries, {wrong} differ")
    return wrong


def main() -> int:
    """Run all; 1 when anything differs."""
    results: dict[str, RunResult] = {}
    cases: dict[str, Case] = {}
    differing = 0
    for case in zoo():
        cases[case.name] = case
        differing += compare(case, results)
    differing += pilotnet_truth(results, cases) + dense_truth(results, cases)
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
