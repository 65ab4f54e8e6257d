"""A second formulation of Lava's fixed-point models, in Lava's tensor order.

Written from the description of Lava 0.10.0's ``PyLifModelBitAcc``, ``PyDenseModelBitAcc`` and
``PyConvModelBitAcc``, and shares nothing with the frontend: convolutions flip their kernels,
tensors are (x, y, c).  Every layer is realigned by the step its synapse takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.signal import convolve2d

LIMIT = 2**23


def toward_zero(x: Any) -> Any:
    return np.where(x < 0, -((-x) >> 12), x >> 12)


class Lif:
    """One population, stepped with the accumulated input."""

    def __init__(self, fields: dict[str, Any], shape: Any) -> None:
        neuron = fields["neuron"]
        self.du, self.dv = neuron["iDecay"] - 1, neuron["vDecay"]
        self.vth = neuron["vThMant"]
        bias = np.asarray(fields.get("bias", 0)).astype(np.int64)
        self.bias = np.broadcast_to(bias, shape)
        self.u, self.v = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def step(self, a: Any, bias: Any = None) -> Any:
        u = toward_zero(self.u * (4096 - (self.du + 1))) + (a << 6)
        u = np.where(u > LIMIT, u - 2 * LIMIT, u)
        self.u = np.where(u <= -LIMIT, u + 2 * LIMIT, u)
        drive = self.u + ((self.bias if bias is None else bias) << 6)
        v = toward_zero(self.v * (4096 - self.dv)) + drive
        self.v = np.clip(v, -LIMIT + 1, LIMIT - 1)
        spikes = self.v > (self.vth << 6)
        self.v = np.where(spikes, 0, self.v)
        return spikes.astype(np.int64)


def conv_xyc(x: Any, fields: dict[str, Any]) -> Any:
    """Lava's convolution of (x, y, c) with kernels (out, x, y, c), which it flips."""
    kernel = fields["weight"][:, :, ::-1, ::-1].transpose(0, 3, 2, 1).astype(np.int64)
    (sx, sy), (px, py), (dx, dy) = (
        np.asarray(fields[k])[::-1] for k in ("stride", "padding", "dilation")
    )
    padded = np.pad(x, [(px, px), (py, py), (0, 0)])
    out = []
    groups, channels = fields["groups"], kernel.shape[3]
    for o in range(kernel.shape[0]):
        first = o // (kernel.shape[0] // groups) * channels
        total: Any = 0
        for c in range(channels):
            wide = np.zeros(((kernel.shape[1] - 1) * dx + 1, (kernel.shape[2] - 1) * dy + 1), int)
            wide[::dx, ::dy] = kernel[o, :, :, c]
            total = total + convolve2d(padded[:, :, first + c], wide, mode="valid")
        out.append(total[::sx, ::sy])
    return np.stack(out, axis=-1)


def run(layers: list[dict[str, Any]], data: Any) -> list[Any]:
    """Spikes of every layer with neurons, [steps, ...] in our order (channels, y, x), realigned.

    Args:
        layers: as written to the file.
        data: [steps, *shape]; values for an input layer with neurons, else spikes.
    """
    stream = [sample.T for sample in data]
    results = []
    silence = np.zeros_like(stream[0])
    for fields in layers:
        if fields["type"] == "input":
            if "neuron" in fields:
                lif = Lif({"neuron": fields["neuron"]}, silence.shape)
                stream = [lif.step(silence, value) for value in stream]
                results.append(stream)
        elif fields["type"] == "flatten":
            stream = [value.transpose(2, 1, 0).reshape(-1) for value in stream]
        else:
            stream = _layer(fields, stream)
            results.append(stream)
    return [np.stack([value.T for value in found]) for found in results]


def _layer(fields: dict[str, Any], stream: list[Any]) -> list[Any]:
    """The layer's spikes with the synapse's step of latency already taken out."""
    inputs = [synapse(fields, value) for value in stream]
    lif = Lif(fields, inputs[0].shape)
    found: list[Any] = []
    for a in inputs:
        if "weight_rec" in fields and found:
            a = a + fields["weight_rec"].astype(np.int64) @ found[-1]
        found.append(lif.step(a))
    return found


def synapse(fields: dict[str, Any], value: Any) -> Any:
    """Sum of weights at the spikes of one step."""
    if fields["type"] == "conv":
        return conv_xyc(value, fields)
    return fields["weight"].astype(np.int64) @ value
