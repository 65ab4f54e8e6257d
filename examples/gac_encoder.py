"""Gated attention coding (Qiu et al., AAAI 2024): encoder on the host, network on the chip.

The encoder repeats a convolved image over T steps, fires, and weighs every spike by a sigmoid of
all steps and places.  That is arithmetic for a processor, not for spiking cores; what reaches the
chip are graded events of 8 bits, and the network behind them is an ordinary one.

pip install "snnc[torch]" spikingjelly
python examples/gac_encoder.py              # about two minutes on two cores
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

import snnc

STEPS, TRAINED, LEVELS = 4, 1437, 255


class GatedEncoder(nn.Module):
    """``y = sigmoid(TA * SCA) * s`` on multiples of 1/255: [N, 1, H, W] to [T, N, C, H, W].

    ``x = BN(conv(image))`` in every step; ``s`` are the spikes of ``v = v / 2 + x, s = [v > 1]``,
    reset to zero.  TA, one number per step, is an MLP over time of the spikes' mean plus the same
    of their maximum; SCA is ``conv - ReLU - conv`` of the spikes of one step.
    """

    def __init__(self, channels: int, steps: int = STEPS) -> None:
        super().__init__()
        self.steps = steps
        self.convolve = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.fire = surrogate.ATan()
        self.over_time = nn.Sequential(
            nn.Linear(steps, 2 * steps), nn.ReLU(), nn.Linear(2 * steps, steps)
        )
        self.over_places = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )  # fmt: skip

    def spikes(self, images: Tensor) -> Tensor:
        """[T, N, C, H, W] of 0 and 1."""
        x = self.norm(self.convolve(images))
        potential, fired = torch.zeros_like(x), []
        for _ in range(self.steps):
            potential = potential / 2 + x
            # The surrogate fires at 0 as well, the encoder only above its threshold.
            spike = self.fire(potential - 1) * (potential != 1)
            potential = potential * (1 - spike)
            fired.append(spike)
        return torch.stack(fired)

    def forward(self, images: Tensor) -> Tensor:
        """Of the whole sample at once: a gate needs all steps."""
        s = self.spikes(images)
        flat = s.flatten(2).transpose(0, 1)  # [N, T, C H W]
        time = self.over_time(flat.mean(-1)) + self.over_time(flat.amax(-1))  # [N, T]
        places = self.over_places(s.flatten(0, 1)).view_as(s)
        y = torch.sigmoid(time.t()[:, :, None, None, None] * places) * s
        rounded = torch.round(y * LEVELS) / LEVELS
        return y + (rounded - y).detach()  # trained as if it were not rounded


def graded_events(encoder: GatedEncoder, images: Tensor) -> npt.NDArray[np.uint8]:
    """What the host sends: payloads [N, T, C, H, W], zero where there is no event."""
    with torch.no_grad():
        y = encoder.eval()(images)
    payload: npt.NDArray[np.uint8] = torch.round(y * LEVELS).transpose(0, 1).byte().numpy()
    return payload


class Shortcut(nn.Module):
    """Membrane-shortcut residual block (Hu et al., MS-ResNet): the sum is of potentials."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            neuron.LIFNode(decay_input=False),
            layer.Conv2d(channels, channels, 3, padding=1, bias=False),
            layer.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Of potentials [T, N, C, H, W]."""
        return self.body(x) + x


def network(channels: int) -> nn.Sequential:
    """What runs on the chip: [T, N, C, H, W] of graded events to [T, N, 10]."""
    body = nn.Sequential(
        layer.Conv2d(channels, 16, 3, 2, 1, bias=False), layer.BatchNorm2d(16), Shortcut(16),
        neuron.LIFNode(decay_input=False), layer.Flatten(), layer.Linear(256, 10),
    )  # fmt: skip
    functional.set_step_mode(body, "m")
    return body


def logits(encoder: nn.Module, body: nn.Module, images: Tensor) -> Tensor:
    """Sum over the steps."""
    functional.reset_net(body)
    total: Tensor = body(encoder(images)).sum(0)
    return total


def train(encoder: nn.Module, body: nn.Module, x: Tensor, y: Tensor, epochs: int) -> None:
    """Both parts together: surrogate gradients, cross entropy."""
    weights = [*encoder.parameters(), *body.parameters()]
    optimizer = torch.optim.Adam(weights, 3e-3)
    for epoch in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            loss = nn.functional.cross_entropy(logits(encoder, body, x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")


def main() -> None:
    """Train, split, compile the network, run it on what the encoder sends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=100, help="test images run on the chip")
    parser.add_argument("--target", default="loihi2", help="one with graded spikes")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    data = load_digits()
    images = torch.from_numpy(data.images[:, None] / 16.0).float()
    labels = torch.from_numpy(data.target)
    encoder, body = GatedEncoder(8), network(8)
    train(encoder, body, images[:TRAINED], labels[:TRAINED], arguments.epochs)
    encoder.eval()
    body.eval()
    with torch.no_grad():
        right = logits(encoder, body, images[TRAINED:]).argmax(1) == labels[TRAINED:]
    functional.reset_net(body)
    print(f"PyTorch: {right.double().mean().item():.2%} of {len(right)} test images")

    same = right[: arguments.samples].double().mean().item()
    print(f"         {same:.2%} of the first {arguments.samples}, which go to the chip")
    test = slice(TRAINED, TRAINED + arguments.samples)
    sent = graded_events(encoder, images[test])
    print(f"host:    {np.count_nonzero(sent) / len(sent):.0f} events of 8 bits per image")
    np.savez("gac_events.npz", x=sent / LEVELS, y=labels[test].numpy())
    imported = snnc.from_torch(body, encoder(images[:1]).detach(), time_axis=0)
    options = snnc.CompileOptions(target=arguments.target, timesteps=STEPS)
    compiled = snnc.compile(imported, options, calibration="gac_events.npz")
    report = snnc.run(compiled.deployment, "gac_events.npz")
    print(f"{arguments.target}:  {report.accuracy:.2%} of {len(sent)} test images, int8")


if __name__ == "__main__":
    main()
