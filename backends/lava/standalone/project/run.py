"""Run the network: ``python run.py INPUT.npz SPIKES.npz``, or ``python run.py --check``.

INPUT.npz holds one array per input, integers [samples, steps, ...].  SPIKES.npz receives, for every
population, the events of all samples as rows (sample, logical step, neuron, value).
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

HARDWARE = False
"""True runs on a Loihi 2 chip (Loihi2HwCfg, needs Intel's extension of Lava), False on the CPU."""

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import lava_import

lava_import.prepare()
lava_import.prepare_conv()

import numpy as np
import snnc_processes
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from network import INPUTS, POPULATIONS, WINDOWS, build


def time_steps(samples: int) -> int:
    """Time steps of Lava for so many samples."""
    last: int = max(w["first"] + w["period"] * (w["steps"] - 1) for w in WINDOWS.values())
    stride: int = next(iter(WINDOWS.values()))["stride"]
    return (samples - 1) * stride + last


def frames(name: str, values: Any, total: int) -> Any:
    """[size, time steps] from [samples, steps, ...]: zero outside the samples."""
    w = WINDOWS[name]
    samples = len(values)
    if values.shape[1] != w["steps"]:
        raise SystemExit(f"{name}: {values.shape[1]} steps, the network was built for {w['steps']}")
    flat = values.reshape(samples, w["steps"], INPUTS[name])
    data = np.zeros((INPUTS[name], total), np.int32)
    for sample in range(samples):
        start = sample * w["stride"] + w["first"] - 1
        data[:, start : start + w["period"] * w["steps"] : w["period"]] = flat[sample].T
    return data


def run(inputs: dict) -> dict:
    """Events of every population, int64 [events, 4]."""
    samples = len(next(iter(inputs.values())))
    total = time_steps(samples)
    with np.load(HERE / "weights.npz", allow_pickle=False) as weights:
        processes = build(weights, {n: frames(n, inputs[n], total) for n in INPUTS})
    config = Loihi2HwCfg() if HARDWARE else Loihi2SimCfg(select_tag="fixed_pt")
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(POPULATIONS):
            population = processes[name]
            path = str(Path(folder) / str(number))
            shape = population.s_out.shape
            recorder = snnc_processes.EventRecorder(shape=shape, path=path, window=WINDOWS[name])
            population.s_out.connect(recorder.s_in)
        started = []
        for process in processes.values():  # a network may fall into parts: one run each
            if process.runtime is None:
                process.run(condition=RunSteps(num_steps=total), run_cfg=config)
                started.append(process)
        for process in started:
            process.stop()
        found = {}
        for number, name in enumerate(POPULATIONS):
            file = Path(folder) / str(number)
            rows = np.fromfile(file, np.int64) if file.exists() else np.zeros(0, np.int64)
            rows = rows.reshape(-1, 4)
            found[name] = rows[rows[:, 0] < samples]
    return found


def main(words: list) -> int:
    """Check, or run a file; the exit code is 1 where the check finds a difference."""
    if words == ["--check"]:
        with np.load(HERE / "check.npz", allow_pickle=False) as stored:
            data = {name: stored[name] for name in stored.files}
        found = run({n: data[f"input {n}"] for n in INPUTS})
        wrong = [n for n in POPULATIONS if not np.array_equal(found[n], data[f"spikes {n}"])]
        print("different: " + ", ".join(wrong) if wrong else "all spikes as snnc's reference")
        return 1 if wrong else 0
    if len(words) != 2:
        print(__doc__)
        return 2
    with np.load(words[0], allow_pickle=False) as stored:
        inputs = {name: stored[name] for name in INPUTS}
    np.savez(words[1], **run(inputs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
