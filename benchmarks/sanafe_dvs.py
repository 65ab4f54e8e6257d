"""SANA-FE's own DVS-gesture network on its Loihi, in SANA-FE and in our cycle simulator.

    python benchmarks/sanafe_dvs.py FOLDER [--steps 1000] [--cycle-steps 200]

FOLDER is where SANA-FE (GPL-3.0) lives: a virtual environment is made there and ``sanafe==2.2.9``
installed, unless it is there already.  Network, weights and architecture are the files of that
wheel.  Every simulation is a process of its own and runs once, one thread; what is measured is
CPU-seconds of the simulation without building and loading, and the process' largest memory.  The
same run compares every step: counts, energy, time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

VERSION = "2.2.9"
PAIRS = (("none", "simple", 25), ("transaction", "detailed", 20), ("flit", "cycle", 30))
COUNTS = ("fired", "updated", "packets", "hops", "spikes")

# Runs inside SANA-FE's environment: its tutorial 5, with a trace of every step.
PEER = """
import json, resource, sys, time
from importlib.resources import files
import numpy as np, sanafe, sanafe.layers as layers
mode, steps, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
begin = time.process_time()
arch, net = sanafe.load_loihi(), sanafe.Network()
data = np.load(str(files("sanafe") / "examples" / "dvs_challenge.npz"))
levels = data["thresholds"]
parts = [layers.Input2D(net, 32, 32, threshold=levels[0])]
for number, name in enumerate(("conv1", "conv2", "conv3", "conv4")):
    stride = {"stride_width": 2, "stride_height": 2} if number == 0 else {}
    parts.append(layers.Conv2D(net, parts[-1], data[name], threshold=levels[number + 1], **stride))
parts.append(layers.Dense(net, parts[-1], 11, data["dense1"], threshold=levels[5]))
for neuron, bias in zip(parts[0], data["inputs"]):
    neuron.set_attributes(model_attributes={"bias": bias})
cores, used = arch.cores(), 0
for part, count in zip(parts, (1, 4, 16, 16, 4, 1)):
    each = len(part) // count
    for i in range(count):
        for neuron in part[i * each : len(part) if i == count - 1 else (i + 1) * each]:
            neuron.map_to_core(cores[used])
        used += 1
chip = sanafe.SpikingChip(arch)
chip.load(net)
loaded = time.process_time()
result = chip.sim(steps, timing_model=mode, perf_trace=True)
seconds = time.process_time() - loaded
trace = {k: list(map(float, v)) for k, v in result["perf_trace"].items()}
trace["packets_sent"] = result["packets_sent"]
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
with open(out, "w") as file:
    json.dump({"trace": trace, "seconds": seconds, "build": loaded - begin, "memory": memory}, file)
"""


def environment(folder: Path) -> Path:
    """The interpreter of SANA-FE's environment, made on first use."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", f"sanafe=={VERSION}", "numpy"]
        subprocess.run([str(part) for part in command], check=True)
    return python


def examples(python: Path) -> Path:
    """The folder with the wheel's network and architecture."""
    code = "import importlib.util as u; print(u.find_spec('sanafe').submodule_search_locations[0])"
    found = subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True)
    return Path(found.stdout.strip()) / "examples"


def child(command: list[object], out: Path) -> dict[str, Any]:
    """Run a simulation; what it wrote to ``out``."""
    one = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    parts = [str(part) for part in command]
    done = subprocess.run(parts, env={**os.environ, **one}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(parts[:3])} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def ours(folder: Path, mode: str, steps: int, out: Path) -> None:
    """One simulation by us; the first two steps compile or load the kernels."""
    from support import sanafe_dvs

    from snnc.simulators import cycle
    from snnc.simulators.cycle.energy import KINDS, prices

    begin = time.process_time()
    deployment = sanafe_dvs.deployment(folder / "dvs_challenge.npz", folder / "loihi.yaml", steps)
    loaded = cycle.load(deployment)
    nothing = np.zeros((1, steps, 1), np.int8)
    options: dict[str, Any] = {"loaded": loaded, "noc": mode, "by_tick": mode == "none"}
    cycle.run(deployment, {"length": nothing[:, :2]}, (), **options)
    ready = time.process_time()
    result = cycle.run(deployment, {"length": nothing}, (), **options)
    seconds = time.process_time() - ready
    assert result.timing is not None
    cycles = result.timing.tick_cycles[0, 1:]
    trace = {"sim_time": cycles * result.timing.cycle_s + result.timing.barrier_s}
    if result.counts_by_tick is not None:
        price = np.nan_to_num(prices(deployment.target.costs))
        counts = dict(zip(KINDS, result.counts_by_tick[0].T, strict=True))
        trace |= {
            "fired": counts["spike_generate"],
            "updated": counts["neuron_update"],
            "packets": counts["message_out"],
            "hops": counts["hop_ew"] + counts["hop_ns"],
            "spikes": counts["synapse_op_dense"],
            "total_energy": result.counts_by_tick[0] @ price,
        }
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = {
        "trace": {name: values.tolist() for name, values in trace.items()},
        "seconds": seconds,
        "build": ready - begin,
        "memory": memory,
    }
    out.write_text(json.dumps(found))


def compare_counts(mine: dict[str, Any], peer: dict[str, Any]) -> None:
    """Every step of the analytical models."""
    a, b = mine["trace"], peer["trace"]
    for name in COUNTS:
        if name in b:
            wrong = int(np.count_nonzero(np.array(a[name]) != np.array(b[name])))
            print(f"  {name:8} {sum(a[name]):12,.0f}  steps that differ: {wrong}")
    print(f"  packets  {sum(a['packets']):12,.0f}  SANA-FE: {b['packets_sent']:,.0f}")
    for name in ("total_energy", "sim_time"):
        x, y = np.array(a[name]), np.array(b[name])
        print(
            f"  {name:12} {x.sum():.9e}  largest relative difference {np.abs(x / y - 1).max():.1e}"
        )


def error(name: str, model: dict[str, Any], truth: dict[str, Any]) -> None:
    """Time per step against a flit-level model."""
    x, y = (np.array(one["trace"]["sim_time"]) for one in (model, truth))
    steps = min(x.size, y.size)
    x, y = x[:steps], y[:steps]
    off = np.abs(x / y - 1)
    print(
        f"  {name:32} MAPE {off.mean():7.2%}  largest {off.max():7.2%}  "
        f"total {x.sum() / y.sum() - 1:+7.2%}  correlation {np.corrcoef(x, y)[0, 1]:.4f}"
    )


def main() -> None:
    """Run all six simulations and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where SANA-FE's environment is or will be")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--cycle-steps", type=int, default=200, help="of SANA-FE's slowest model")
    parser.add_argument("--ours", nargs=2, metavar=("NOC", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        ours(options.folder, options.ours[0], options.steps, Path(options.ours[1]))
        return
    python = environment(options.folder)
    data = examples(python)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out.json"
        mine, peer = {}, {}
        for noc, model, _ in PAIRS:
            steps = options.cycle_steps if model == "cycle" else options.steps
            peer[model] = child([python, "-c", PEER, model, steps, out], out)
            peer[model]["steps"] = steps
            command = [sys.executable, __file__, data, "--steps", options.steps, "--ours", noc, out]
            mine[noc] = child(command, out)
            mine[noc]["steps"] = options.steps
    print("simple model, step by step:")
    compare_counts(mine["none"], peer["simple"])
    print(f"time per step, first {options.cycle_steps} steps, against BookSim2 in SANA-FE:")
    error("SANA-FE simple", peer["simple"], peer["cycle"])
    error("SANA-FE detailed", peer["detailed"], peer["cycle"])
    error("ours, transaction", mine["transaction"], peer["cycle"])
    error("ours, flit", mine["flit"], peer["cycle"])
    print("and against our flit model:")
    error("ours, transaction", mine["transaction"], mine["flit"])
    error("SANA-FE detailed", peer["detailed"], mine["flit"])
    print("speed, one thread, CPU-seconds without building and loading:")
    for noc, model, wanted in PAIRS:
        a, b = (one["steps"] / one["seconds"] for one in (mine[noc], peer[model]))
        print(
            f"  {model:8} SANA-FE {b:8.2f} steps/s {peer[model]['memory']:5.2f} GiB, build "
            f"{peer[model]['build']:5.1f} s   ours ({noc:11}) {a:9,.1f} steps/s "
            f"{mine[noc]['memory']:5.2f} GiB, build {mine[noc]['build']:4.1f} s   "
            f"ratio {a / b:6.1f} (wanted {wanted})  "
            f"memory 1/{peer[model]['memory'] / mine[noc]['memory']:.1f}"
        )


if __name__ == "__main__":
    main()
