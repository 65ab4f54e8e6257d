"""MNIST: the trained network of ``examples/train_mnist.py`` as integers, on all test images.

Reads the folder that the example wrote, quantizes with each width and set of corrections, counts
correct test images on the functional simulator, and runs the first 200 on the cycle simulator as
well, compared with the reference spike by spike.  Calibration data are training images::

    python benchmarks/mnist_accuracy.py mnist
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import snnc
from snnc.compiler.options import CompileOptions
from snnc.inputs import InputOptions

WIDTHS = (8, 4)
CORRECTIONS = (None, "rounding,bias,rates")
CYCLE = 200


def row(folder: Path, bits: int, correct: str | None, cycle: bool) -> dict[str, Any]:
    """Accuracy of one compilation; compiled without placement search."""
    options = CompileOptions(target="loihi1", timesteps=4, weight_bits=bits, correct=correct,
                             time_limit_s=0.5)  # fmt: skip
    started = time.process_time()
    made = snnc.compile(
        folder / "mnist_cnn.nir",
        options,
        calibration=folder / "mnist_calibration.npz",
        inputs=InputOptions(encode="direct"),
    ).deployment
    compiled = time.process_time() - started
    test = folder / "mnist_test.npz"
    done = snnc.run(made, test, backend="functional", compare=0)
    result: dict[str, Any] = {"bits": bits, "correct": correct, "correct_images": done.correct,
                              "images": done.samples, "compile_cpu_s": compiled}  # fmt: skip
    if cycle:
        exact = snnc.run(made, test, backend="cycle", samples=CYCLE, compare=CYCLE)
        result["cycle_correct"], result["cycle_images"] = exact.correct, exact.samples
        result["compared_with_reference"] = exact.compared
    return result


def main() -> None:
    """Print one line per width and set of corrections."""
    parser = argparse.ArgumentParser(description="accuracy of the integers on MNIST")
    parser.add_argument("folder", type=Path, help="what examples/train_mnist.py wrote")
    options = parser.parse_args()
    print(json.loads((options.folder / "mnist_cnn.json").read_text()), flush=True)
    for bits in WIDTHS:
        for correct in CORRECTIONS:
            print(row(options.folder, bits, correct, correct is None), flush=True)


if __name__ == "__main__":
    main()
