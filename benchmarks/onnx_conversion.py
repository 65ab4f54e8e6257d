"""Accuracy of an ANN, of the spiking network it becomes, and of that network's integers.

    python benchmarks/onnx_conversion.py mnist-8.onnx --data mnist/ --timesteps 8 16

``--data`` is a folder with the IDX files of MNIST as published.  Thresholds come from training
images only; all test images are classified by the ANN in float64, by the spiking network in real
numbers, and by its integers on the functional simulator.
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from snnc.backends import targets
from snnc.compiler.frontends.onnx import OnnxOptions, Samples, read_file
from snnc.compiler.frontends.onnx import ann as conversion
from snnc.compiler.frontends.onnx.ann.evaluate import evaluate
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.inputs import integer_batch
from snnc.ir.arrays import AnyArray, IntArray, RealArray
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.nodes import Input, Output
from snnc.simulators import functional
from snnc.simulators.reference.real import run_real

BATCH = 200


def idx(path: Path) -> AnyArray:
    """Array of an IDX file of bytes (yann.lecun.com/exdb/mnist)."""
    data = gzip.decompress(path.read_bytes())
    axes = data[3]
    shape = [int.from_bytes(data[4 + 4 * k : 8 + 4 * k], "big") for k in range(axes)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def images(folder: Path, part: str, scale: float) -> tuple[RealArray, IntArray]:
    """Images [samples, 1, rows, columns] divided by ``scale``, and classes."""
    x = idx(folder / f"{part}-images-idx3-ubyte.gz")[:, None] / scale
    return x, idx(folder / f"{part}-labels-idx1-ubyte.gz").astype(np.int64)


def classified(run: Callable[[RealArray], AnyArray], x: RealArray) -> IntArray:
    """Classes of all samples, batch by batch."""
    found = [run(x[k : k + BATCH]) for k in range(0, len(x), BATCH)]
    classes: IntArray = np.concatenate([v.reshape(len(v), -1).argmax(axis=1) for v in found])
    return classes


def repeated(x: RealArray, steps: int) -> RealArray:
    """The same image in every step, [samples, steps, 1, rows, columns]."""
    return np.broadcast_to(x[:, None], (len(x), steps, *x.shape[1:]))


def spiking(network: Network, steps: int, x: RealArray) -> AnyArray:
    """Outputs of the network in real numbers after the last step."""
    inputs = {network.of_type(Input)[0].name: repeated(x, steps)}
    (output,) = run_real(network, inputs, (), dtype=np.float32).outputs.values()
    return output[:, -1]


def integers(
    simulator: functional.Functional, network: IntegerNetwork, steps: int, x: RealArray
) -> AnyArray:
    """Outputs of its integers after the last step."""
    nodes = network.of_type(Input)
    inputs = integer_batch({nodes[0].name: repeated(x, steps)}, nodes)
    (output,) = simulator.run(inputs, (), 2).outputs.values()
    return output[:, -1]


def main() -> None:
    """Print one line per number of steps."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("model", type=Path)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--scale", type=float, default=1.0, help="divide pixels by this")
    arguments.add_argument("--timesteps", type=int, nargs="+", default=[8, 16])
    arguments.add_argument("--levels", type=int, default=1)
    arguments.add_argument("--conversion", default="error")
    arguments.add_argument("--target", default="loihi1")
    arguments.add_argument("--calibration", type=int, default=256, help="training images")
    arguments.add_argument("--samples", type=int, default=None, help="test images")
    arguments.add_argument("--skip-real", action="store_true")
    given = arguments.parse_args()
    graph, target = read_file(given.model), targets.load(given.target)
    train, train_y = images(given.data, "train", given.scale)
    test, test_y = images(given.data, "t10k", given.scale)
    test, test_y = test[: given.samples], test_y[: given.samples]
    train, train_y = train[: given.calibration], train_y[: given.calibration]
    ann = conversion.build(graph)
    name, output = ann.of_type(Input)[0].name, ann.of_type(Output)[0].name
    expected = classified(lambda x: evaluate(ann, {name: x})[output], test)
    print(f"{given.model.name}: ANN {100 * (expected == test_y).mean():.2f} % of {len(test)}")
    for steps in given.timesteps:
        options = OnnxOptions(given.conversion, levels=given.levels, timesteps=steps)
        samples = Samples({name: train}, train_y)
        network = conversion.lower(graph, options, lambda _, found=samples: found).network
        line = f"  {steps:3d} steps, {given.levels} level(s):"
        if not given.skip_real:
            real = classified(partial(spiking, network, steps), test)
            line += f" spiking {100 * (real == test_y).mean():.2f} %,"
        calibration = {name: repeated(train, steps)}
        made = quantize(network, target, QuantizeOptions(timesteps=steps), calibration)
        simulator = functional.Functional(made.network)
        started = time.perf_counter()
        found = classified(partial(integers, simulator, made.network, steps), test)
        rate = len(test) / (time.perf_counter() - started)
        print(f"{line} 8-bit integers {100 * (found == test_y).mean():.2f} % "
              f"({rate:.0f} samples/s)", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
