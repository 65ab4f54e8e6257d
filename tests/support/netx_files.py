"""``.net`` files for tests, written as lava-dl's ``export_hdf5`` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Layer = dict[str, Any]


def write(path: Path, *layers: Layer) -> Path:
    """Write the layers; a nested mapping becomes a group."""
    with h5py.File(path, "w") as root:
        group = root.create_group("layer")
        for position, layer in enumerate(layers):
            _fill(group.create_group(str(position)), layer)
        root["simulation/Ts"], root["simulation/tSample"] = 1, 16
    return path


def _fill(group: Any, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            _fill(group.create_group(name), value)
        elif name == "type" and isinstance(value, str) and "neuron" not in group.name:
            group.create_dataset("type", (1,), "S10", [value.encode()])
        else:
            group[name] = value


def cuba(i: int = 1024, v: int = 128, threshold: int = 40, **others: Any) -> dict[str, Any]:
    """Neuron parameters as slayer's CUBA writes them."""
    return {
        "type": "CUBA", "iDecay": i, "vDecay": v, "vThMant": threshold, "refDelay": 1,
        "gradedSpike": False, **others,
    }  # fmt: skip


def alif(
    i: int = 1024, v: int = 300, th: int = 500, ref: int = 700, threshold: int = 40, step: int = 20,
    **others: Any,
) -> dict[str, Any]:  # fmt: skip
    """Neuron parameters as slayer's ALIF writes them."""
    return {
        "type": "ALIF", "iDecay": i, "vDecay": v, "thDecay": th, "refDecay": ref,
        "vThMant": threshold, "vThStep": step, "refDelay": 1, "gradedSpike": False, **others,
    }  # fmt: skip


def sdnn(threshold: int = 5, **others: Any) -> dict[str, Any]:
    """Neuron parameters as slayer's sigma-delta neurons write them."""
    return {"type": "SDNN", "activation": "relu", "vThMant": threshold, **others}


def input_layer(shape: Sequence[int], **others: Any) -> Layer:
    """The first layer; with neurons when given a ``neuron``."""
    return {"type": "input", "shape": np.array(shape), **others}


def dense(weight: Any, neuron: dict[str, Any] | None = None, **others: Any) -> Layer:
    """A dense layer with weight [out, in]."""
    weight = np.asarray(weight, np.float32)
    out, inner = weight.shape
    layer = {
        "type": "dense", "shape": np.array([out]), "inFeatures": inner, "outFeatures": out,
        "weight": weight, **others,
    }  # fmt: skip
    return layer if neuron is None else {**layer, "neuron": neuron}


def conv(
    weight: Any,
    shape: Sequence[int],
    neuron: dict[str, Any],
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
    **others: Any,
) -> Layer:
    """A conv layer with weight [out, in / groups, height, width] and output shape (C, H, W)."""
    weight = np.asarray(weight, np.float32)
    return {
        "type": "conv", "shape": np.array(shape), "inChannels": weight.shape[1] * groups,
        "outChannels": weight.shape[0], "kernelSize": np.array(weight.shape[2:4]),
        "stride": np.array(stride), "padding": np.array(padding), "dilation": np.array(dilation),
        "groups": groups, "weight": weight, "neuron": neuron, **others,
    }  # fmt: skip


def pool(weight: Any, shape: Sequence[int], neuron: dict[str, Any], stride: Sequence[int]) -> Layer:
    """A pool layer with one kernel [height, width] for all channels."""
    weight = np.asarray(weight, np.float32)
    return {
        "type": "pool", "shape": np.array(shape), "kernelSize": np.array(weight.shape),
        "stride": np.array(stride), "padding": np.array([0, 0]), "dilation": np.array([1, 1]),
        "weight": weight[None, None], "neuron": neuron,
    }  # fmt: skip


def flatten(size: int) -> Layer:
    """A flatten layer."""
    return {"type": "flatten", "shape": np.array([1, 1, size])}
