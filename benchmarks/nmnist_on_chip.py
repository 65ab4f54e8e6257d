"""The published N-MNIST network on an emulated Loihi 1: accuracy, equality, compile cost.

Prints, for real recordings, (1) the float import against the recorded reference spikes, (2) int8
accuracy on the chip and mismatches between cycle, functional and reference execution, (3) wall
time and memory of ``snnc compile``, cold and warm.  Needs the optional data folder
(``SNNC_SHARED_DATA`` or ``../shared/data``).  Usage: python benchmarks/nmnist_on_chip.py [SAMPLES]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import snnc
from snnc.compiler.frontends import nir
from snnc.inputs import InputOptions, load
from snnc.ir.nodes import Input
from snnc.simulators.reference.real import run_real

ROOT = Path(__file__).resolve().parents[1]
STEPS = 310
DIALECT = ["--dialect", "nir"]


def data_folder() -> Path:
    """The optional real data."""
    named = os.environ.get("SNNC_SHARED_DATA")
    places = [Path(named)] if named else [p / "shared" / "data" for p in ROOT.parents]
    found = [place for place in places if (place / "nmnist").is_dir()]
    if not found:
        sys.exit("needs the N-MNIST recordings: set SNNC_SHARED_DATA to the data folder")
    return found[0]


def float_import(model: Path, recordings: Path, folder: Path, samples: int) -> None:
    """Compare ``read`` + ``run_real`` with the recorded reference, reset by reset."""
    for reset in ("zero", "subtract"):
        network = nir.read(model, nir.NirOptions(dialect="nir", reset=reset))
        data = load(recordings, network.of_type(Input), InputOptions(timesteps=STEPS), samples)
        truth = np.load(folder / f"cnn_sinabs_ref_{reset}.npz")
        counts, differing = [], 0
        for start in range(0, data.samples, 10):
            stop = min(start + 10, data.samples)
            batch = data.batch(start, stop)
            result = run_real(network, batch, record=(), dtype=np.float32)
            (output,) = result.outputs.values()
            counts.append(output.sum(axis=1))
            for name, mine in result.spike_counts.items():
                theirs = truth[f"layer_spikes_{name}"][start:stop]
                differing += int(np.count_nonzero(mine != theirs))
        out = np.concatenate(counts)
        correct = int((out.argmax(axis=1) == data.labels).sum())
        wrong = int(np.count_nonzero(out != truth["out_counts"][:samples]))
        print(
            f"float import, reset {reset:8s}: {correct}/{samples} correct, "
            f"{wrong} output counts and {differing} layer counts differ from the reference"
        )


def compile_cost(model: Path, recordings: Path, out: Path) -> None:
    """Whole-process wall time of ``snnc compile``: cold kernel cache, then warm three times."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "NUMBA_CACHE_DIR": cache}
        for title, data in (("without data", []), ("calibrated", ["--calibration", recordings])):
            command = [
                sys.executable, "-m", "snnc", "compile", model, "--target", "loihi1",
                "--timesteps", STEPS, *DIALECT, *data, "-o", out,
            ]  # fmt: skip
            walls = [_wall(command, env) for _ in range(4)]
            warm = sorted(walls[1:])[1]
            print(f"snnc compile, {title:12s}: first {walls[0]:.2f} s, then {warm:.2f} s wall")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"peak memory of a compile: {peak:.2f} GiB")


def _wall(command: list[object], env: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run([str(part) for part in command], env=env, check=True, capture_output=True)
    return time.perf_counter() - start


def on_chip(artifact: Path, recordings: Path, samples: int) -> None:
    """Run all backends and compare every spike of every population."""
    for backend in ("functional", "cycle"):
        ran = snnc.run(artifact, recordings, backend=backend, samples=samples, compare=samples)
        report = ran.as_dict()
        print(
            f"int8 on loihi1, {backend:10s}: {report['accuracy']} accuracy, "
            f"{report['compared']}, simulated in {ran.seconds:.1f} s"
        )


def main() -> None:
    """Print the table."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    base = data_folder()
    model = base / "nir" / "cnn_sinabs.nir"
    recordings = base / "nmnist" / "nmnist_test100_bs2.zip"
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "nmnist.snnc"
        compile_cost(model, recordings, artifact)
        on_chip(artifact, recordings, samples)
    float_import(model, recordings, base / "nmnist", samples)


if __name__ == "__main__":
    main()
