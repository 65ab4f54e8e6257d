"""The zoo on handwritten digits: float, 8-bit and 4-bit accuracy, and exactness on a grid.

Every network of ``tests/support/torch_zoo`` is trained in PyTorch for some seconds, imported,
quantized without fine-tuning (at 4 bits also with all corrections on calibration data), and run as
integers on the 360 test images.  Then all its numbers are rounded to powers of two and the
integers must equal PyTorch in float64: every logit, and every spike of every population of the
network::

    pip install '.[torch]' spikingjelly && python benchmarks/digits_zoo.py [NAME ...]

The target is the toy mesh; one test image is 0.28 points.  Training (30 epochs, half the batches
shifted by at most a pixel) was chosen on a fifth of the training images, held out, for three of
the networks, and is the same for all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from spikingjelly.activation_based import functional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support import torch_compare, torch_zoo

from snnc.backends.targets import load
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.simulators.reference import run
from snnc.simulators.reference.real import run_real

TRAINED = ("fc_if_soft", "cnn_lif_hard", "cnn_plif", "cnn_ilif", "cnn_msf", "cnn_ternary",
           "cnn_sliding_psn", "sew_add", "sew_and", "sew_iand", "ms_resnet", "ems_block", "sdt_v1",
           "sdt_linear", "sdt_v3", "sdt_v3_ilif", "repconv", "yolo_neck", "iand_aap",
           "t_rev_snn")  # fmt: skip
CALIBRATION = 200
CORRECTIONS = ("rounding", "bias", "rates")


@dataclass(frozen=True)
class Split:
    """Images [n, 1, 8, 8] in multiples of 1/16, and labels: 1437 to train, 360 to test."""

    x: Any
    y: Any
    test_x: Any
    test_y: Any


def split() -> Split:
    """Stratified and fixed, as in ``examples/train_digits.py``."""
    images, labels = torch_zoo.digits()
    x, test_x, y, test_y = train_test_split(images, labels, test_size=360, stratify=labels,
                                            random_state=0)  # fmt: skip
    return Split(x, y, test_x, test_y)


def shifted(images: Any) -> Any:
    """Every image [n, 1, 8, 8] moved by -1, 0 or 1 pixels along both axes, zeros coming in."""
    count = len(images)
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))[:, 0]
    row, column = torch.randint(0, 3, (2, count, 1, 1))
    rows, columns = row + torch.arange(8).view(1, 8, 1), column + torch.arange(8).view(1, 1, 8)
    return padded[torch.arange(count).view(-1, 1, 1), rows, columns].unsqueeze(1)


def train(net: Any, data: Split, epochs: int, rate: float) -> float:
    """Cross entropy with AdamW; the accuracy on the test images."""
    x, y = torch.from_numpy(data.x).float(), torch.from_numpy(data.y)
    model = net.model.float().train()
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * 23)
    for _ in range(epochs):
        for batch in torch.randperm(1437).split(64):
            result = model(shifted(x[batch]) if torch.rand(1) < 0.5 else x[batch])
            parts = list(result.values()) if isinstance(result, dict) else [result]
            loss = sum(torch.nn.functional.cross_entropy(part, y[batch]) for part in parts)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            functional.reset_net(model)
    model.eval()
    return torch_zoo.accuracy(net, torch.from_numpy(data.test_x), torch.from_numpy(data.test_y))


def feed(net: Any, images: Any) -> dict[str, Any]:
    """Network inputs [samples, steps, ...] of images."""
    if net.shape == (64,):
        images = images.reshape(len(images), 64)
    return torch_zoo.network_inputs(net, (torch.from_numpy(images),))


def integers(network: Network, data: dict[str, Any]) -> dict[str, Any]:
    """Real inputs as integers of the network's input types."""
    grids = {n.name: n.type.grid[0] for n in network.of_type(Input)}
    return {name: np.rint(x / grids[name]).astype(np.int64) for name, x in data.items()}


def accuracy(
    net: Any, network: Network, bits: int, data: Split, correct: tuple[str, ...] = ()
) -> float:
    """Of the integers at this weight width; calibration data are training images."""
    options = QuantizeOptions(bits, net.steps, correct=correct)
    done = quantize(network, load("toy-mesh"), options, feed(net, data.x[:CALIBRATION])).network
    logits = run(done, integers(done, feed(net, data.test_x)), record=()).outputs
    grid = _grid(done)
    summed = next(iter(logits.values())).sum(axis=1) * grid
    return float((summed.argmax(1) == data.test_y).mean())


def _grid(network: Any) -> Any:
    output = next(n for n in network.nodes if type(n).__name__ == "Output")
    readout = network.node[output.inputs[0]]
    assert isinstance(readout, Neuron)
    return np.array(readout.grid)


def exactness(net: Any, samples: int) -> tuple[bool, int, float]:
    """PyTorch = real network = integers on a grid: equal, spikes compared, logit difference."""
    torch_zoo.snap(net, fraction=5 if net.name == "repconv" else 6)  # as support.torch_gate
    network = torch_compare.imported(net)
    framework = torch_compare.compare(net, samples, network)
    inputs = torch_zoo.example(net, samples, seed=7)
    data = torch_zoo.network_inputs(net, inputs)
    done = quantize(network, load("toy-mesh"), QuantizeOptions(16, net.steps), data).network
    integer, real = run(done, integers(done, data)), run_real(network, data)
    trains = [name for name in real.spikes if name in done.node]
    off = sum(integer.spikes[n].mismatches(real.spikes[n]) for n in trains)
    off += framework.logit_differences + len(framework.spike_differences)
    count = sum(real.spikes[n].count for n in trains)
    logits = [next(iter(r.outputs.values())) for r in (integer, real)]
    difference = float(np.abs(logits[0] * _grid(done) - logits[1]).max())
    return off == 0 and difference == 0, count, difference


def row(name: str, epochs: int, rate: float, samples: int, seed: int) -> dict[str, Any]:
    """One line of the table."""
    started = time.process_time()
    torch.manual_seed(seed)
    net = torch_zoo.ZOO[name]()
    data = split()
    result: dict[str, Any] = {"net": name}
    if net.trainable:
        result["float"] = train(net, data, epochs, rate)
        result["training_s"] = round(time.process_time() - started, 1)
        net.model.double()
        network = torch_compare.imported(net)
        for bits in (8, 4):
            result[f"int{bits}"] = accuracy(net, network, bits, data)
        result["int4_corrected"] = accuracy(net, network, 4, data, CORRECTIONS)
    else:
        net = torch_zoo.build(name)
    result["exact"], result["spikes"], result["logit_difference"] = exactness(net, samples)
    result["cpu_s"] = round(time.process_time() - started, 1)
    return result


def main() -> None:
    """Print the table line by line; ``--json`` writes it as well."""
    parser = argparse.ArgumentParser(description="accuracy and exactness of the zoo on digits")
    parser.add_argument("names", nargs="*", default=[*TRAINED])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rate", type=float, default=1e-2, help="largest learning rate")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights and training")
    parser.add_argument("--samples", type=int, default=16, help="for the comparison on a grid")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| net | float | int8 | int4 | corrected | exact | spikes compared | CPU s |", flush=True)
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for name in options.names:
        found = row(name, options.epochs, options.rate, options.samples, options.seed)
        rows.append(found)
        shares = " | ".join(f"{found[k]:.4f}" if k in found else "-" for k in
                            ("float", "int8", "int4", "int4_corrected"))  # fmt: skip
        exact = "yes" if found["exact"] else f"no ({found['logit_difference']:.2g})"
        print(f"| {name} | {shares} | {exact} | {found['spikes']:,} | {found['cpu_s']} |",
              flush=True)  # fmt: skip
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
