"""Train a spiking CNN on scikit-learn's digits with SpikingJelly, compile it, run it on the chip.

pip install "snnc[torch]" spikingjelly
python examples/torch_model.py              # about two minutes on two cores
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from sklearn.datasets import load_digits
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

import snnc

STEPS, TRAINED = 4, 1437


def network() -> nn.Module:
    """Two convolutions of LIF neurons; called once per time step."""
    return nn.Sequential(
        layer.Conv2d(1, 16, 3, padding=1, bias=False), layer.BatchNorm2d(16), neuron.LIFNode(),
        layer.Conv2d(16, 16, 3, 2, 1, bias=False), layer.BatchNorm2d(16), neuron.LIFNode(),
        layer.Flatten(), layer.Linear(256, 10),
    )  # fmt: skip


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Sum over the steps of a static image."""
    functional.reset_net(model)
    return torch.stack([model(images) for _ in range(STEPS)]).sum(0)


def train(model: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    """Surrogate gradients, cross entropy."""
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for epoch in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(logits(model, images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")


def main() -> None:
    """Train, import, compile, run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=100, help="test images run on the chip")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    data = load_digits()
    images = torch.from_numpy(data.images[:, None] / 16.0).float()
    labels = torch.from_numpy(data.target)
    model = network()
    train(model, images[:TRAINED], labels[:TRAINED], arguments.epochs)
    model.eval()
    with torch.no_grad():
        right = logits(model, images[TRAINED:]).argmax(1) == labels[TRAINED:]
    functional.reset_net(model)
    print(f"PyTorch: {right.double().mean().item():.2%} of {len(right)} test images")

    test = slice(TRAINED, TRAINED + arguments.samples)
    np.savez("digits_test.npz", x=images[test].numpy(), y=labels[test].numpy())
    imported = snnc.from_torch(model, images[:1])
    options = snnc.CompileOptions(target="loihi1", timesteps=STEPS)
    static = snnc.InputOptions(encode="direct")
    compiled = snnc.compile(imported, options, calibration="digits_test.npz", inputs=static)
    report = snnc.run(compiled.deployment, "digits_test.npz", inputs=static)
    print(f"loihi1:  {report.accuracy:.2%} of {arguments.samples} test images, int8")


if __name__ == "__main__":
    main()
