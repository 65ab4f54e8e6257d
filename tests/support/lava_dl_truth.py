"""Standalone: random blocks of lava-dl 0.6.0, exported and run; ``python lava_dl_truth.py FOLDER``.

Runs in an interpreter that has lava-dl and PyTorch.  Writes FOLDER/NAME.net and FOLDER/NAME.npz
with what entered (``x``, integers) and what every block sent (``layer0``, ``layer1``...), both as
[steps, ...] and in integers as Lava has them: 0 and 1, messages, or the sums of a sigma output.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

sys.path.remove(str(Path(__file__).resolve().parent))  # where a lava.py lies
# Its object detection, which nothing here uses, wants OpenCV and torchvision.
NAME = "lava.lib.dl.slayer.object_detection"
sys.modules[NAME] = types.ModuleType(NAME)

import h5py  # noqa: E402
import lava.lib.dl.slayer as slayer  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

STEPS = 40


def alif(rng: np.random.Generator, shared: bool | None = None, **others: Any) -> dict[str, Any]:
    """Neuron parameters as slayer takes them; decays per channel where a range is given."""
    decays = ("current_decay", "voltage_decay", "threshold_decay", "refractory_decay")
    single = bool(rng.random() < 0.6) if shared is None else shared
    ends = {name: sorted(rng.uniform(0, 1, 2) ** 2) for name in decays}
    picked = {name: low if single else (low, high) for name, (low, high) in ends.items()}
    return {
        "threshold": float(rng.integers(8, 90)) / 64,
        "threshold_step": float(rng.integers(0, 60)) / 64,
        "shared_param": single, **(picked | others),
    }  # fmt: skip


def with_bias(block: Any, rng: np.random.Generator, features: int) -> None:
    """Give the normalization means that act as a bias."""
    block.neuron.norm.running_mean = torch.tensor(rng.uniform(-0.7, 0.4, features)).float()


def save(folder: Path, name: str, blocks: list[Any], x: Any, unit: int) -> None:
    """Run [batch 1, ..., steps], export, and write both; ``unit`` turns messages into integers."""
    arrays, flow = {}, torch.tensor(x, dtype=torch.float32)[None]
    with torch.no_grad():
        for position, block in enumerate(blocks):
            flow = block.eval()(flow)
            finer = 64 if isinstance(block, slayer.block.sigma_delta.Output) else 1
            sent = np.moveaxis(flow.numpy()[0].astype(np.float64) * unit * finer, -1, 0)
            assert (sent == np.round(sent)).all()
            arrays[f"layer{position}"] = sent.astype(np.int64)
    with h5py.File(folder / f"{name}.net", "w") as file:
        group = file.create_group("layer")
        for position, block in enumerate(blocks):
            block.export_hdf5(group.create_group(str(position)))
    scale = 64 if unit > 1 else 1
    given = np.moveaxis(np.round(x * scale), -1, 0).astype(np.int64)
    np.savez(folder / f"{name}.npz", x=given, **arrays)


def spikes(rng: np.random.Generator, *shape: int) -> Any:
    """Random input spikes."""
    return (rng.random((*shape, STEPS)) < 0.3).astype(np.float64)


def adaptive(rng: np.random.Generator, kind: int) -> tuple[list[Any], Any]:
    """Blocks of adaptive neurons, and spikes for them."""
    block, scale = slayer.block.alif, {"weight_scale": 2, "delay_shift": False}
    if kind == 0:
        late = {"delay": bool(rng.random() < 0.5)}
        blocks = [
            block.Dense(alif(rng), 12, 9, **scale, **late),
            block.Dense(alif(rng), 9, 7, **scale),
        ]
        x = spikes(rng, 12)
        if late["delay"]:
            blocks[0](torch.tensor(x[None]).float())  # delays come into being with the shape
            blocks[0].delay.delay.data = torch.tensor(rng.integers(0, 5, 9)).float()
        return blocks, x
    if kind == 1:
        blocks = [
            block.Input(),
            block.Conv(alif(rng, shared=True), 2, 4, 3, stride=2, padding=1, **scale),
            block.Flatten(),
            block.Dense(alif(rng), 36, 6, **scale),
        ]
        blocks[0].delay_shift = False
        return blocks, spikes(rng, 2, 6, 6)
    norm = {"norm": slayer.neuron.norm.MeanOnlyBatchNorm}
    blocks = [
        block.Recurrent(alif(rng), 8, 8, **scale),
        block.Dense({**alif(rng), **norm}, 8, 6, **scale),
        block.Dense(alif(rng, True, current_decay=1.0, **norm), 6, 5, **scale),
    ]
    with_bias(blocks[1], rng, 8 - 2)
    with_bias(blocks[2], rng, 5)
    return blocks, spikes(rng, 8)


def sigma_delta(rng: np.random.Generator, kind: int) -> tuple[list[Any], Any]:
    """Sigma-delta blocks, and values for their encoder."""
    block = slayer.block.sigma_delta

    def neuron(**others: Any) -> dict[str, Any]:
        return {
            "threshold": float(rng.integers(1, 30)) / 64,
            "activation": torch.nn.functional.relu, **others,
        }  # fmt: skip

    norm = {"norm": slayer.neuron.norm.MeanOnlyBatchNorm}
    if kind == 0:
        blocks = [
            block.Input(neuron()),
            block.Dense(neuron(**norm), 10, 8),
            block.Dense(neuron(), 8, 6),
            block.Output(neuron(), 6, 4),
        ]
        with_bias(blocks[1], rng, 8)
        x = rng.integers(-40, 60, (10, STEPS)) * 2 / 64
    else:
        blocks = [
            block.Input(neuron()),
            block.Conv(neuron(**norm), 2, 3, 3, stride=2, padding=1),
            block.Flatten(),
            block.Dense(neuron(), 27, 5),
        ]
        with_bias(blocks[1], rng, 3)
        x = rng.integers(-40, 60, (2, 6, 6, STEPS)) * 2 / 64
    still = rng.random(x.shape) < 0.5  # half of the values stay as they were
    for t in range(1, STEPS):
        x[..., t] = np.where(still[..., t], x[..., t - 1], x[..., t])
    return blocks, x


def main(folder: Path) -> None:
    """Write all networks."""
    for seed in range(4):
        for kind in range(3):
            torch.manual_seed(10 * seed + kind)
            rng = np.random.default_rng([seed, kind])
            save(folder, f"alif{kind}-{seed}", *adaptive(rng, kind), unit=1)
            if kind < 2:
                save(folder, f"sdnn{kind}-{seed}", *sigma_delta(rng, kind), unit=4096)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
