"""Train a small LIF network on MNIST in minutes and write it as NIR, with test data beside it.

Two spiking convolutions and a readout of the summed currents; the neuron, its surrogate gradient
and the NIR layout are those of ``train_digits.py``::

    pip install '.[torch]' && python examples/train_mnist.py --data FOLDER --out mnist

FOLDER holds the four files of MNIST (``train-images-idx3-ubyte.gz`` ...).  Pixels enter as
integers 0..15, the same in each of the 4 steps.  In the second half of training every other batch
sees weights on a 4-bit grid per channel (straight-through), so that a chip's rounding changes few
predictions.  The test images are only looked at once, after training.

Then::

    snnc compile mnist/mnist_cnn.nir --calibration mnist/mnist_calibration.npz --encode direct \\
        --timesteps 4 -o mnist.snnc
    snnc run mnist.snnc --input mnist/mnist_test.npz --backend functional
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import time
from pathlib import Path
from typing import Any

import h5py
import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from train_digits import DT, THRESHOLD, _array, _node

STEPS = 4
BETA = 0.5
BATCH = 128
LEVELS = 15
CALIBRATION = 256
CHANNELS = (16, 48)


@numba.njit(fastmath=True)
def _fire(current: Any, steps: int) -> tuple[Any, Any]:
    """Potentials before the reset and spikes, [steps, n], of currents [steps or 1, n]."""
    v, spikes = np.empty((2, steps, current.shape[1]), np.float32)
    state = np.zeros(current.shape[1], np.float32)
    for t in range(steps):
        for i in range(len(state)):
            v[t, i] = BETA * state[i] + current[t % len(current), i]
            fires = v[t, i] > THRESHOLD
            spikes[t, i] = 1.0 if fires else 0.0
            state[i] = 0.0 if fires else v[t, i]
    return v, spikes


@numba.njit(fastmath=True)
def _fire_backward(gradient: Any, v: Any) -> Any:
    """Gradient of the current in every step; the reset itself passes none."""
    result = np.empty_like(v)
    later = np.zeros(v.shape[1], np.float32)
    for t in range(len(v) - 1, -1, -1):
        for i in range(v.shape[1]):
            distance = v[t, i] - THRESHOLD
            slope = np.float32(1) / (np.float32(1) + np.float32(2) * abs(distance)) ** 2
            kept = np.float32(0) if distance > 0 else np.float32(BETA)
            later[i] = gradient[t, i] * slope + kept * later[i]
            result[t, i] = later[i]
    return result


class Lif(torch.autograd.Function):
    """A LIF population over all steps, reset to zero; surrogate gradient of ``train_digits``."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int) -> Tensor:
        """Spikes [steps, *shape] of currents [steps or 1, *shape]."""
        flat = current.detach().float().flatten(1).numpy()
        v, spikes = _fire(np.ascontiguousarray(flat), steps)
        ctx.v, ctx.shape = v, current.shape
        return torch.from_numpy(spikes).reshape(steps, *current.shape[1:]).to(current.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Back through time."""
        flat = np.ascontiguousarray(gradients[0].flatten(1).numpy())
        result = torch.from_numpy(_fire_backward(flat, ctx.v))
        if ctx.shape[0] == 1:
            result = result.sum(0, keepdim=True)
        return result.reshape(ctx.shape), None


class Mnist(nn.Module):
    """conv 5x5 / 2, batch-norm, LIF, conv 3x3 / 2, batch-norm, LIF, dense."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, CHANNELS[0], 5, stride=2, padding=2, bias=False)
        self.norm1 = nn.BatchNorm2d(CHANNELS[0])
        self.conv2 = nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(CHANNELS[1])
        self.fc = nn.Linear(CHANNELS[1] * 49, 10)
        self.weight_bits: int | None = None

    def weight(self, module: nn.Conv2d | nn.Linear) -> Tensor:
        """The layer's weights, on the grid a chip would take when ``weight_bits`` is set.

        One per output channel, clipped where that lowers the squared error; the readout has one
        for all, since its sums are compared.
        """
        weight = module.weight
        if self.weight_bits is None:
            return weight
        rows = (
            weight.detach().flatten(1) if module is not self.fc else weight.detach().reshape(1, -1)
        )
        most = 2 ** (self.weight_bits - 1) - 1
        steps = torch.linspace(0.4, 1, 7)[:, None, None] * rows.abs().amax(1)[:, None] / most
        tried = (rows / steps).round().clamp(-most, most) * steps
        best = ((tried - rows) ** 2).sum(2).argmin(0)
        rounded = tried[best, torch.arange(len(rows))].reshape(weight.shape)
        return weight + (rounded - weight).detach()

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Summed output currents [batch, 10], and the spike counts of both populations.

        Batch-norm sees all steps at once: what runs on a chip cannot tell them apart.
        """
        w1, w2, w3 = (self.weight(m) for m in (self.conv1, self.conv2, self.fc))
        first = self.norm1(functional.conv2d(pixels / LEVELS, w1, None, 2, 2))
        s1: Tensor = Lif.apply(first[None], STEPS)  # type: ignore[no-untyped-call]
        second = self.norm2(functional.conv2d(s1.flatten(0, 1), w2, None, 2, 1))
        s2: Tensor = Lif.apply(second.unflatten(0, s1.shape[:2]), STEPS)  # type: ignore[no-untyped-call]
        counts = [s.sum(0) for s in (s1, s2)]
        return functional.linear(counts[1].flatten(1), w3, STEPS * self.fc.bias), counts


def images(folder: Path, part: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images [n, 1, 28, 28] with integers 0..15, and labels [n]."""
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    return ((pixels.astype(np.int64) * LEVELS + 127) // 255).astype(np.uint8), labels


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Augmentation: the whole batch moves by up to one pixel."""
    rows, columns = (int(torch.randint(0, 3, (), generator=generator)) for _ in range(2))
    padded = functional.pad(x, (1, 1, 1, 1))
    return padded[..., rows : rows + 28, columns : columns + 28]


def train(x: Tensor, y: Tensor, epochs: int, seed: int) -> Mnist:
    """Cross entropy on the summed output currents."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Mnist()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    batches = math.ceil(len(y) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 6e-3, total_steps=epochs * batches, pct_start=0.2
    )
    started = time.process_time()
    for epoch in range(epochs):
        correct = 0
        for number, chosen in enumerate(torch.randperm(len(y), generator=generator).split(BATCH)):
            model.weight_bits = 4 if epoch >= epochs // 2 and number % 2 else None
            total, _ = model(shifted(x[chosen].float(), generator))
            loss = functional.cross_entropy(total, y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            correct += int((total.argmax(1) == y[chosen]).sum())
        seconds = time.process_time() - started
        print(f"epoch {epoch + 1:2d}/{epochs}  training {correct / len(y):.2%}  "
              f"{seconds:.0f} CPU seconds", flush=True)  # fmt: skip
    model.weight_bits = None
    settle(model, x)
    return model.eval()


@torch.no_grad()
def settle(model: Mnist, x: Tensor) -> None:
    """Statistics of batch-norm under the unrounded weights, averaged over 10000 images."""
    for norm in (model.norm1, model.norm2):
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]
    for part in x[:10000].split(500):
        model(part.float())


def evaluate(model: Mnist, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Accuracy of the trained numbers."""
    with torch.no_grad():
        parts = [model(torch.from_numpy(part).float()) for part in np.array_split(x, 10)]
    predicted = np.concatenate([total.argmax(1).numpy() for total, _ in parts])
    spikes = {f"lif{i + 1}": int(sum(counts[i].sum() for _, counts in parts)) for i in range(2)}
    return {
        "steps": STEPS, "images": len(y), "correct": int((predicted == y).sum()),
        "accuracy": float((predicted == y).mean()), "spikes": spikes,
    }  # fmt: skip


def write_nir(path: Path, model: Mnist) -> None:
    """Write the network in the NIR HDF5 layout."""
    names = ["input", "conv1", "lif1", "conv2", "lif2", "flatten", "fc", "output"]
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        file["node/type"] = "NIRGraph"
        pairs = [[a.encode(), b.encode()] for a, b in itertools.pairwise(names)]
        edges = np.array(pairs, dtype=object)
        file["node"].create_dataset("edges", data=edges, dtype=h5py.string_dtype())
        nodes = file["node"].create_group("nodes")
        _node(nodes, "input", "Input", shape=[1, 28, 28])
        _node(nodes, "output", "Output", shape=[10])
        _node(nodes, "flatten", "Flatten", input_type=[CHANNELS[1], 7, 7], start_dim=0, end_dim=-1)
        for name, conv, norm, extent, scale in (
            ("conv1", model.conv1, model.norm1, 28, 1 / LEVELS),
            ("conv2", model.conv2, model.norm2, 14, 1.0),
        ):
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = conv.weight * factor.reshape(-1, 1, 1, 1) * scale
            bias = norm.bias - norm.running_mean * factor
            _node(
                nodes, name, "Conv2d", input_shape=[extent, extent], weight=_array(weight),
                bias=_array(bias), stride=conv.stride, padding=conv.padding,
                dilation=conv.dilation, groups=1,
            )  # fmt: skip
        _node(nodes, "fc", "Affine", weight=_array(model.fc.weight), bias=_array(model.fc.bias))
        tau = DT / (1 - BETA)
        values = {"tau": tau, "r": tau / DT, "v_leak": 0.0, "v_threshold": THRESHOLD,
                  "v_reset": 0.0}  # fmt: skip
        for name, shape in (("lif1", (CHANNELS[0], 14, 14)), ("lif2", (CHANNELS[1], 7, 7))):
            fields = {field: np.full(shape, v) for field, v in values.items()}
            _node(nodes, name, "LIF", **fields)


def main() -> None:
    """Train, evaluate and write ``mnist_cnn.nir``, ``mnist_cnn.json`` and ``mnist_test.npz``."""
    parser = argparse.ArgumentParser(description="train a LIF network on MNIST")
    parser.add_argument("--data", type=Path, required=True, help="folder of the four files")
    parser.add_argument("--out", type=Path, default=Path("mnist"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", type=int, default=0, help="training images kept to validate")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)

    x, y = images(options.data, "train")
    started, cpu = time.perf_counter(), time.process_time()
    kept = len(y) - options.held_out
    model = train(torch.from_numpy(x[:kept]), torch.from_numpy(y[:kept]), options.epochs,
                  options.seed)  # fmt: skip
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    if options.held_out:  # what a recipe is chosen by
        held = evaluate(model, x[kept:], y[kept:])
        print(f"held out: {held['correct']} of {held['images']} = {held['accuracy']:.2%}")
    test_x, test_y = images(options.data, "t10k")
    truth = evaluate(model, test_x, test_y) | {"seconds": seconds, "cpu_seconds": cpu}
    write_nir(options.out / "mnist_cnn.nir", model)
    np.savez_compressed(options.out / "mnist_test.npz", x=test_x, y=test_y)
    few = slice(CALIBRATION)
    np.savez_compressed(options.out / "mnist_calibration.npz", x=x[few], y=y[few])
    (options.out / "mnist_cnn.json").write_text(json.dumps(truth) + "\n", encoding="utf-8")
    print(f"test: {truth['correct']} of {truth['images']} = {truth['accuracy']:.2%}, "
          f"trained in {seconds:.0f} s ({cpu:.0f} CPU seconds)")  # fmt: skip


if __name__ == "__main__":
    main()
