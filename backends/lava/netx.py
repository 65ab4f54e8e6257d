"""A network as lava-dl's ``.net`` file (netx): what that format holds, the rest refused by name.

A file is a chain of layers: convolution or dense weights into Lava's LIF, lava-dl's adaptive LIF
or sigma-delta neurons.  Bias mantissas have a fixed exponent of 6 there, weights are the even
numbers of [-256, 254], tensors (channels, height, width).  Layout as lava-dl 0.6.0's
``export_hdf5`` writes it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnc.backends.lava.alif import Alif, as_alif
from snnc.backends.lava.natives import NotLifError, as_lif
from snnc.backends.lava.netx_neurons import (
    SPIKE_EXPONENT,
    Known,
    bias,
    group,
    per_channel_bias,
    refusal,
)
from snnc.backends.lava.sigma_delta import Sdn, as_sdn
from snnc.backends.lava.terms import Key, Term, terms
from snnc.ir.arrays import IntArray, Shape
from snnc.ir.atomic import write_bytes
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.ir.weights import Conv, Dense, Weights

_QUANTIZED = 256
_MESSAGE = 1 << 15


@dataclass(frozen=True, eq=False)
class _Layer:
    """One layer of the chain; ``added`` is what a neuron that always fires adds to its input."""

    neuron: Neuron
    weights: Conv | Dense
    known: Known
    added: IntArray | None = None


@dataclass(frozen=True, eq=False)
class _Chain:
    """All layers; ``encoder`` is the delta encoder between the input and the first one."""

    first: Input
    layers: list[_Layer]
    encoder: tuple[Neuron, Sdn] | None
    spike_exponent: int


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
    chain = _chain(network, timesteps)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.net"
        with h5py.File(file, "w") as root:
            layers = root.create_group("layer")
            for record in _records(chain):
                _fill(layers.create_group(str(len(layers))), record)
            root["simulation/Ts"], root["simulation/tSample"] = 1, 1
        write_bytes(path, file.read_bytes())
    notes = ["netx reads spikes one step later behind every layer of synapses"]
    if any(isinstance(layer.known, Alif) for layer in chain.layers):
        notes.append("netx itself loads no ALIF layer")
    if chain.spike_exponent != SPIKE_EXPONENT:
        notes.append(f"read it with spike_exp {chain.spike_exponent}: the file does not say that")
    return tuple(notes)


def _chain(network: IntegerNetwork, timesteps: int) -> _Chain:
    inputs, outputs = network.of_type(Input), network.of_type(Output)
    if len(inputs) != 1 or len(outputs) != 1:
        raise refusal(
            "several inputs or outputs", network.name, f"{len(inputs)} and {len(outputs)}"
        )
    first = inputs[0]
    before, layers, constants = first.name, list[_Layer](), set[str]()
    encoder: tuple[Neuron, Sdn] | None = None
    for neuron in network.populations:
        found = terms(network, neuron.inputs[0])
        if _always_fires(network, neuron, found):
            constants.add(neuron.name)
            continue
        known = _known(network, neuron, timesteps)
        if isinstance(known, Sdn) and known.kind == "Delta":
            if before != first.name or layers or not _plain(network, found, before):
                raise refusal("a delta encoder behind weights or layers", neuron.name)
            encoder = neuron, known
        else:
            layers.append(_layer(network, neuron, known, found, before, constants))
        before = neuron.name
    if outputs[0].inputs[0] != before or not layers:
        raise refusal("an output that is not the last layer", outputs[0].name)
    changes = [isinstance(layer.known, Sdn) for layer in layers]
    if any(changes) and not all(changes):
        raise refusal("spiking and sigma-delta neurons in one network", network.name)
    _check_input(first, all(changes), encoder)
    return _Chain(first, layers, encoder, encoder[1].spike_exp if encoder else SPIKE_EXPONENT)


def _check_input(first: Input, changes: bool, encoder: object) -> None:
    fits = first.type.is_event and first.type.magnitude <= (4096 if encoder else _MESSAGE)
    if (not fits if changes else first.type.kind != "bin") or len(first.shape) == 2:
        raise refusal(
            "an input that is no spikes, values or messages of an image or a vector",
            first.name,
            f"{first.type}, shape {first.shape}",
        )


def _always_fires(network: IntegerNetwork, n: Neuron, found: dict[Key, Term]) -> bool:
    """Whether it is a neuron that nothing reaches and that fires once in every step."""
    return (
        n.size == 1
        and all(term.matrix(network, source).nnz == 0 for (source, _), term in found.items())
        and n.emit == "count"
        and (n.emission, n.current, n.adaptation, n.recovery) == (None,) * 4
        and not n.leak.multiplier.any()
        and (n.levels, n.negative_levels, n.refractory) == (1, 0, 0)
        and all(b.onset == 0 for b in n.bias)
        and sum(int(b.value.max()) for b in n.bias) >= int(n.thresholds[0].max())
    )


def _known(network: IntegerNetwork, neuron: Neuron, timesteps: int) -> Known:
    bound = network.types[neuron.inputs[0]].magnitude
    try:
        if neuron.delta is not None or neuron.accumulates:
            return as_sdn(neuron, bound, timesteps)
        lif: Known = as_alif(neuron) if neuron.recovery else as_lif(neuron, bound, timesteps)
    except NotLifError as reason:
        raise refusal(f"neurons that are not Lava's ({reason})", neuron.name) from reason
    if not isinstance(lif, Alif | Sdn) and lif.vth_lo is not None:
        raise refusal("ternary neurons", neuron.name)
    return lif


def _plain(network: IntegerNetwork, found: dict[Key, Term], before: str) -> bool:
    """Whether a population reads ``before`` as it is."""
    if list(found) != [(before, 0)]:
        return False
    matrix = found[before, 0].matrix(network, before)
    same = matrix.shape[0] == matrix.shape[1] == matrix.nnz
    return same and bool((matrix.diagonal() == 1).all())


def _layer(
    network: IntegerNetwork,
    neuron: Neuron,
    known: Known,
    found: dict[Key, Term],
    before: str,
    constants: set[str],
) -> _Layer:
    added = None
    for constant in [key for key in found if key[0] in constants and key[1] == 0]:
        added = found.pop(constant).matrix(network, constant[0]).toarray()[:, 0]
    if list(found) != [(before, 0)] or (added is not None and not isinstance(known, Alif)):
        sources = ", ".join(f"{name} {delay} late" for name, delay in found)
        raise refusal("anything but a chain without delays", neuron.name, sources)
    weights = _weights(network, found[before, 0])
    if weights is None:
        raise refusal("weights that are neither dense nor a convolution", neuron.name)
    if isinstance(weights, Conv) and (
        len(weights.kernel) != 2 or any(a != b for a, b in weights.padding)
    ):
        raise refusal("a convolution that is not over two axes, evenly padded", neuron.name)
    return _Layer(neuron, weights, known, added)


def _weights(network: IntegerNetwork, term: Term) -> Conv | Dense | None:
    """The one layer of synapses of a term; indices that only reshape may stand around it."""
    layer = term.layer(network, 0)
    weights: Weights | None = None if layer is None else layer[0]
    return weights if isinstance(weights, Conv | Dense) else None


def _records(chain: _Chain) -> list[dict[str, Any]]:
    first: dict[str, Any] = {"type": "input", "shape": np.array(_image(chain.first.shape))}
    if chain.encoder is not None:
        first["neuron"] = group(*chain.encoder, chain.spike_exponent)
        if chain.first.type.magnitude > _QUANTIZED:  # values that lava-dl makes by weight and bias
            first |= {"weight": np.array([64.0]), "bias": np.array([0.0])}
    records, shape = [first], chain.first.shape
    for layer in chain.layers:
        if isinstance(layer.weights, Dense) and len(shape) > 1:
            flat = layer.weights.values.shape[1]
            records.append({"type": "flatten", "shape": np.array([flat, 1, 1])})
        records.append(_record(layer, chain.spike_exponent))
        shape = layer.neuron.shape
    return records


def _image(shape: Shape) -> Shape:
    return shape if len(shape) == 3 else (*shape, 1, 1)


def _record(layer: _Layer, spike_exponent: int) -> dict[str, Any]:
    neuron, known = layer.neuron, layer.known
    values = layer.weights.values << known.input_shift
    low, high = int(values.min()), int(values.max())
    if low < -256 or high > 255 or (values & 1).any():
        raise refusal(
            "weights that are not even numbers of -256..254", neuron.name, f"{low} to {high}"
        )
    record: dict[str, Any] = {
        "weight": values.astype(np.float32),
        "shape": np.array(_image(neuron.shape)),
        "neuron": group(neuron, known, spike_exponent),
    }
    mantissa = bias(neuron, known, spike_exponent)
    if layer.added is not None:
        mantissa = per_channel_bias(neuron, layer.added << known.input_shift)
    if mantissa is not None:
        record["bias"] = mantissa.astype(np.float32)
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


def _fill(group: Any, record: dict[str, Any]) -> None:
    for name, value in record.items():
        if isinstance(value, dict):
            _fill(group.create_group(name), value)
        elif name == "type" and not group.name.endswith("neuron"):
            group.create_dataset("type", (1,), "S10", [value.encode()])
        else:
            group[name] = value
