"""A network as lava-dl's ``.net`` file (netx): what that format holds, the rest refused by name.

A file is a chain of layers: convolution or dense weights into Lava's LIF.  Bias mantissas have a
fixed exponent of 6 there, weights are the even numbers of [-256, 254], tensors (channels, height,
width).  Layout as lava-dl 0.6.0's ``export_hdf5`` writes it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnc.backends.lava.natives import Lif, NotLifError, as_lif
from snnc.backends.lava.terms import terms
from snnc.ir.arrays import IntArray, Shape
from snnc.ir.atomic import write_bytes
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.ir.weights import Conv, Dense

BIAS_EXPONENT = 6
BIAS_LIMIT = (-4096, 4095)
_REMEDY = "snnc export --to lava writes any network"


@dataclass(frozen=True, eq=False)
class _Layer:
    """One layer of the chain."""

    neuron: Neuron
    weights: Conv | Dense
    lif: Lif


def write_netx(network: IntegerNetwork, path: Path, timesteps: int = 1 << 16) -> tuple[str, ...]:
    """Write the file, completely or not at all; returns notes.

    Args:
        network: a chain of layers.
        path: the ``.net`` file.
        timesteps: longest sample for which the file shall be exact.

    Raises:
        UnsupportedError: something that the format cannot say, with node and reason.
        OutputError: the path cannot be written.
    """
    layers = _chain(network, timesteps)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.net"
        with h5py.File(file, "w") as root:
            group = root.create_group("layer")
            for record in _records(network.of_type(Input)[0], layers):
                _fill(group.create_group(str(len(group))), record)
            root["simulation/Ts"], root["simulation/tSample"] = 1, 1
        write_bytes(path, file.read_bytes())
    return ("netx reads spikes one step later behind every layer of synapses",)


def _refuse(problem: str, where: str, found: object = "") -> UnsupportedError:
    return UnsupportedError(
        f"a .net file cannot say this: {problem}", where=where, found=found, remedy=_REMEDY
    )


def _chain(network: IntegerNetwork, timesteps: int) -> list[_Layer]:
    inputs, outputs = network.of_type(Input), network.of_type(Output)
    if len(inputs) != 1 or len(outputs) != 1:
        raise _refuse(
            "several inputs or outputs", network.name, f"{len(inputs)} and {len(outputs)}"
        )
    if inputs[0].type.kind != "bin" or len(inputs[0].shape) == 2:
        raise _refuse(
            "an input that is no spikes of an image or a vector",
            inputs[0].name,
            f"{inputs[0].type}, shape {inputs[0].shape}",
        )
    before, layers = inputs[0].name, []
    for neuron in network.populations:
        layers.append(_layer(network, neuron, before, timesteps))
        before = neuron.name
    if outputs[0].inputs[0] != before:
        raise _refuse("an output that is not the last layer", outputs[0].name)
    return layers


def _layer(network: IntegerNetwork, neuron: Neuron, before: str, timesteps: int) -> _Layer:
    found = terms(network, neuron.inputs[0])
    if list(found) != [(before, 0)]:
        sources = ", ".join(f"{name} {delay} late" for name, delay in found)
        raise _refuse("anything but a chain without delays", neuron.name, sources)
    layer = found[before, 0].layer(network, 0)
    weights = None if layer is None else layer[0]
    if not isinstance(weights, Conv | Dense):
        raise _refuse("weights that are neither dense nor a convolution", neuron.name)
    try:
        lif = as_lif(neuron, network.types[neuron.inputs[0]].magnitude, timesteps)
    except NotLifError as reason:
        raise _refuse(f"neurons that are not Lava's ({reason})", neuron.name) from reason
    if isinstance(weights, Conv) and (
        len(weights.kernel) != 2 or any(a != b for a, b in weights.padding)
    ):
        raise _refuse("a convolution that is not over two axes, evenly padded", neuron.name)
    if lif.vth_lo is not None:
        raise _refuse("ternary neurons", neuron.name)
    return _Layer(neuron, weights, lif)


def _records(first: Input, layers: list[_Layer]) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [{"type": "input", "shape": np.array(_image(first.shape))}]
    shape = first.shape
    for layer in layers:
        if isinstance(layer.weights, Dense) and len(shape) > 1:
            flat = layer.weights.values.shape[1]
            records.append({"type": "flatten", "shape": np.array([flat, 1, 1])})
        records.append(_record(layer))
        shape = layer.neuron.shape
    return records


def _image(shape: Shape) -> Shape:
    return shape if len(shape) == 3 else (*shape, 1, 1)


def _record(layer: _Layer) -> dict[str, Any]:
    lif, name = layer.lif, layer.neuron.name
    values = layer.weights.values << lif.input_shift
    low, high = int(values.min()), int(values.max())
    if low < -256 or high > 255 or (values & 1).any():
        raise _refuse("weights that are not even numbers of -256..254", name, f"{low} to {high}")
    record: dict[str, Any] = {
        "weight": values.astype(np.float32),
        "shape": np.array(_image(layer.neuron.shape)),
        "neuron": {
            "type": "CUBA",
            "iDecay": lif.du + 1,
            "vDecay": lif.dv,
            "vThMant": lif.vth,
            "refDelay": 1,
            "gradedSpike": False,
        },
    }
    if lif.bias_mant.any():
        record["bias"] = _bias(layer).astype(np.float32)
    if isinstance(layer.weights, Dense):
        out, inner = values.shape
        return {"type": "dense", "inFeatures": inner, "outFeatures": out, **record}
    conv = layer.weights
    return {
        "type": "conv",
        "inChannels": conv.values.shape[1] * conv.groups,
        "outChannels": conv.values.shape[0],
        "kernelSize": np.array(conv.kernel),
        "stride": np.array(conv.stride),
        "padding": np.array([before for before, _ in conv.padding]),
        "dilation": np.array(conv.dilation),
        "groups": conv.groups,
        **record,
    }


def _bias(layer: _Layer) -> IntArray:
    """Mantissas with exponent 6, one per channel or neuron of a dense layer."""
    lif, shape = layer.lif, layer.neuron.shape
    total = lif.bias_mant << lif.bias_exp
    mantissa = total >> BIAS_EXPONENT
    channels: IntArray = mantissa.reshape(shape[0], -1)
    if (
        (mantissa << BIAS_EXPONENT != total).any()
        or (channels != channels[:, :1]).any()
        or not BIAS_LIMIT[0] <= mantissa.min() <= mantissa.max() <= BIAS_LIMIT[1]
    ):
        raise _refuse("biases that are not 13 bits times 64, one per channel", layer.neuron.name)
    result: IntArray = channels[:, 0]
    return result


def _fill(group: Any, record: dict[str, Any]) -> None:
    for name, value in record.items():
        if isinstance(value, dict):
            _fill(group.create_group(name), value)
        elif name == "type" and not group.name.endswith("neuron"):
            group.create_dataset("type", (1,), "S10", [value.encode()])
        else:
            group[name] = value
