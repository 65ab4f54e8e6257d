"""Calibration data on demand: what the pipeline may ask once it knows a network's inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snnc.choices import RANGE_SAMPLES
from snnc.compiler.options import CompileOptions
from snnc.inputs import Dataset, InputOptions, load, typical_and_extreme
from snnc.ir.nodes import Input

if TYPE_CHECKING:
    from snnc.compiler.frontends.onnx import Samples
    from snnc.compiler.pipeline import Calibration
    from snnc.ir.arrays import RealArray
    from snnc.ir.integer_network import IntegerNetwork
    from snnc.ir.network import Network
    from snnc.ir.target import Target
    from snnc.ir.wire import WireCode


class CalibrationSource:
    """Loads calibration data once the network's inputs are known; measures rates on it."""

    def __init__(
        self, path: str | Path | None, inputs: InputOptions, options: CompileOptions
    ) -> None:
        self.path = None if path is None else Path(path)
        steps = inputs.timesteps if options.timesteps is None else options.timesteps
        self.inputs = dataclasses.replace(inputs, timesteps=steps)
        self.limit = options.calibration_samples
        self.data: Dataset | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was cut or assumed while loading."""
        return () if self.data is None else self.data.notes

    def __call__(self, network: Network | IntegerNetwork) -> Calibration | None:
        """What the pipeline may know; None without data."""
        from snnc.compiler.pipeline import Calibration

        if self.path is None:
            return None
        data = load(self.path, network.of_type(Input), self.inputs, RANGE_SAMPLES)
        self.data = data
        values = typical_and_extreme(data, self.limit)
        samples = min(self.limit, data.samples)
        labels = None if data.labels is None else data.labels[:samples]
        return Calibration(values, data.steps, self._measure, self._accuracy, samples, labels)

    def static(self, inputs: Sequence[Input]) -> Samples | None:
        """The same data for the conversion of an ANN: each sample's mean over time.

        Images go in as they are in every step unless told otherwise.
        """
        from snnc.compiler.frontends.onnx import OnnxOptions, Samples

        if self.path is None:
            return None
        steps = OnnxOptions().timesteps
        self.inputs = dataclasses.replace(self.inputs, usual_encode="direct", usual_timesteps=steps)
        data = load(self.path, inputs, self.inputs, RANGE_SAMPLES)
        means = [
            {name: v.mean(axis=1, dtype=np.float64) for name, v in data.batch(k, k + 1).items()}
            for k in range(data.samples)
        ]
        values = {n.name: np.concatenate([m[n.name] for m in means]) for n in inputs}
        return Samples(values, data.labels, data.steps)

    def _accuracy(self, network: IntegerNetwork, samples: int) -> float | None:
        from snnc.execution import measure_accuracy

        assert self.data is not None
        return measure_accuracy(network, self.data, samples)

    def _measure(
        self, network: IntegerNetwork, target: Target, codes: Mapping[str, WireCode]
    ) -> dict[str, RealArray]:
        from snnc.execution import measure_rates

        assert self.data is not None
        return measure_rates(network, target, codes, self.data, self.limit)
