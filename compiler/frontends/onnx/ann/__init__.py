"""Trained ANNs to spiking networks: build, calibrate, convert, and say what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.ann.build import build
from snnc.compiler.frontends.onnx.ann.convert import convert
from snnc.compiler.frontends.onnx.ann.data import DataSource, Samples
from snnc.compiler.frontends.onnx.ann.evaluate import evaluate
from snnc.compiler.frontends.onnx.ann.graph import Activation, ActivationGraph
from snnc.compiler.frontends.onnx.ann.thresholds import Collector, clipping, scales
from snnc.compiler.frontends.onnx.graph import OnnxGraph
from snnc.compiler.frontends.onnx.options import OnnxOptions
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.errors import InputError
from snnc.ir.network import Network
from snnc.ir.nodes import Input, Output
from snnc.simulators.reference.real import run_real

__all__ = ["Conversion", "build", "lower", "preview"]

CALIBRATION_MACS = 1 << 36
"""Multiplications spent on calibration; large networks see fewer samples."""
CHECK_MACS = 1 << 35
"""Multiplications spent on comparing the spiking network with the ANN."""
LEAST_SAMPLES = 8


@dataclass(frozen=True, eq=False)
class Conversion:
    """The spiking network and what the conversion did, as JSON values."""

    network: Network
    report: Mapping[str, Any]


def lower(graph: OnnxGraph, options: OnnxOptions, data: DataSource) -> Conversion:
    """Convert a float network with thresholds from calibration data.

    Raises:
        InputError: no data.
        UnsupportedError, ModelError: as ``build``.
    """
    ann = build(graph)
    samples = data(ann.of_type(Input))
    if samples is None:
        raise InputError(
            "an ANN needs calibration data: the thresholds follow from its activations",
            where=graph.file,
            remedy="add --calibration data.npz with some hundred typical samples, x and labels y",
        )
    if samples.timesteps is not None:
        options = replace(options, timesteps=samples.timesteps)
    return _calibrated(ann, options, samples)


def preview(graph: OnnxGraph, options: OnnxOptions) -> Network:
    """The network with thresholds of 1: its structure, for those who have no data at hand."""
    ann = build(graph)
    notes = {**ann.notes, "conversion": "not calibrated: every threshold is shown as 1"}
    levels = options.levels or 1
    return convert(ann, _ones(ann), options.timesteps, levels, notes)


def _ones(ann: ActivationGraph) -> dict[str, RealArray]:
    return {node.name: np.ones(node.shape[0]) for node in ann.of_type(Activation)}


def _calibrated(ann: ActivationGraph, options: OnnxOptions, samples: Samples) -> Conversion:
    levels = options.levels or 1
    count = _affordable(ann, CALIBRATION_MACS, min(len(v) for v in samples.values.values()))
    values = {name: np.asarray(v[:count], np.float64) for name, v in samples.values.items()}
    collected = Collector()
    logits = evaluate(ann, values, collected.watch)
    chosen = scales(ann, collected, options, levels * options.timesteps)
    described = (
        f"{options.conversion} thresholds on {count} samples, {options.timesteps} steps, "
        f"{levels} spikes per step at most"
    )
    network = convert(
        ann, chosen, options.timesteps, levels, {**ann.notes, "conversion": described}
    )
    clipped = clipping(collected, chosen)
    layers = {
        name: {
            "scale": [float(scale.min()), float(scale.max())],
            "clipped_share": round(clipped[name], 6),
        }
        for name, scale in chosen.items()
    }
    report = {
        "method": options.conversion,
        "timesteps": options.timesteps,
        "levels": levels,
        "calibration_samples": count,
        "layers": layers,
        **_compared(ann, network, options.timesteps, values, logits, samples.labels),
    }
    return Conversion(network, report)


def _affordable(ann: ActivationGraph, budget: int, samples: int) -> int:
    return min(samples, max(LEAST_SAMPLES, budget // max(1, ann.macs)))


def _compared(
    ann: ActivationGraph,
    network: Network,
    timesteps: int,
    values: Mapping[str, RealArray],
    logits: Mapping[str, RealArray],
    labels: IntArray | None,
) -> dict[str, Any]:
    """Classes of the ANN and of the spiking network on the calibration samples."""
    count = _affordable(ann, CHECK_MACS // timesteps, min(len(v) for v in values.values()))
    name = ann.of_type(Output)[0].name
    expected = logits[name][:count].reshape(count, -1).argmax(axis=1)
    found = np.concatenate(
        [
            _classes(network, name, {n: v[k : k + 32] for n, v in values.items()}, timesteps)
            for k in range(0, count, 32)
        ]
    )[:count]
    result: dict[str, Any] = {
        "compared_samples": count,
        "same_class": float((expected == found).mean()),
        "ann_accuracy": None,
        "converted_accuracy": None,
    }
    if labels is not None:
        result["ann_accuracy"] = float((expected == labels[:count]).mean())
        result["converted_accuracy"] = float((found == labels[:count]).mean())
    return result


def _classes(
    network: Network, output: str, values: Mapping[str, RealArray], timesteps: int
) -> IntArray:
    """Largest output per sample, the input repeated in every step."""
    repeated = {
        name: np.broadcast_to(v[:, None], (len(v), timesteps, *v.shape[1:]))
        for name, v in values.items()
    }
    last = run_real(network, repeated, record=()).outputs[output][:, -1]
    classes: IntArray = last.reshape(len(last), -1).argmax(axis=1)
    return classes
