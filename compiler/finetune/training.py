"""The training loop of ``finetune``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from snnc.compiler.finetune.interpreter import forward
from snnc.compiler.finetune.state import tensor
from snnc.compiler.finetune.surrogate import on_grid
from snnc.compiler.quantize import QuantizeOptions, quantize_with_grids
from snnc.ir.arrays import AnyArray, RealArray
from snnc.ir.errors import OptionError
from snnc.ir.network import Network
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.weights import with_values

EVALUATED = 256  # samples per pass without gradients


class Training:
    """Weights under training, and the grids they are rounded to.

    Args:
        network: normalised, of supported nodes.
        target, options: what the quantizer chooses grids for.
        data: float64 [samples, steps, *shape] by input name.
        labels: [samples].
        learning_rate: of Adam, per largest weight of an operator.
    """

    def __init__(
        self,
        network: Network,
        target: Target,
        options: QuantizeOptions,
        data: Mapping[str, RealArray],
        labels: AnyArray,
        learning_rate: float,
    ) -> None:
        self.network, self.target, self.options, self.data = network, target, options, data
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.output = network.of_type(Output)[0]
        linear = network.of_type(Linear)
        self.weights = {n.name: tensor(n.weights.values) for n in linear}
        self.synapses = {name: w != 0 for name, w in self.weights.items()}
        self._choose_grids()
        self.inputs = {name: tensor(values) for name, values in self._on_input_grids().items()}
        groups = [
            {"params": [self.weights[name].requires_grad_()],
             "lr": learning_rate * float(self.weights[name].detach().abs().max())}
            for name in self.grids
        ]  # fmt: skip
        self.optimizer = torch.optim.Adam(groups) if groups else None

    def run(self, epochs: int, batch_size: int, seed: int) -> Network:
        """The network with the best weights of the start and all epochs."""
        order = torch.Generator().manual_seed(seed)
        best, least = self._rounded(), self._loss()
        for epoch in range(epochs if self.optimizer else 0):
            if epoch:
                self._choose_grids()
            for batch in torch.randperm(len(self.labels), generator=order).split(batch_size):
                self._learn(batch)
            loss = self._loss()
            if loss < least:
                best, least = self._rounded(), loss
        return self._with(best)

    def _learn(self, batch: Any) -> None:
        assert self.optimizer is not None
        self.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(self._logits(batch), self.labels[batch])
        if not bool(torch.isfinite(loss)):
            raise OptionError(
                "the training diverged", where="learning_rate", found=f"loss {float(loss)}",
                remedy="take a smaller one",
            )  # fmt: skip
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for name in self.grids:
                self.weights[name].mul_(self.synapses[name])

    def _logits(self, batch: Any) -> Any:
        """Decoded output: sum, largest or last value over time, [samples, classes]."""
        inputs = {name: values[batch] for name, values in self.inputs.items()}
        values = forward(self.network, inputs, self._on_grids())[self.output.name]
        if self.output.readout == "sum":
            return values.sum(dim=1)
        return values.amax(dim=1) if self.output.readout == "max" else values[:, -1]

    def _on_grids(self) -> dict[str, Any]:
        rounded = {name: on_grid(self.weights[name], self.steps[name], grid.largest)
                   for name, grid in self.grids.items()}  # fmt: skip
        return {**self.weights, **rounded}

    def _choose_grids(self) -> None:
        """What the quantizer takes for the weights as they are."""
        now = self._with({name: w.detach().numpy() for name, w in self.weights.items()})
        done, self.grids = quantize_with_grids(now, self.target, self.options, self.data)
        self.types = {n.name: n.type for n in done.network.of_type(Input)}
        self.steps = {name: tensor(grid.step) for name, grid in self.grids.items()}

    def _on_input_grids(self) -> dict[str, RealArray]:
        """The data as the integer network receives it."""
        result = {}
        for name, values in self.data.items():
            kind = self.types[name]
            grid = kind.grid[0]
            result[name] = np.clip(np.rint(values / grid), kind.low, kind.high) * grid
        return result

    def _loss(self) -> float:
        """Mean cross entropy on all samples."""
        total = 0.0
        with torch.no_grad():
            for batch in torch.arange(len(self.labels)).split(EVALUATED):
                logits, labels = self._logits(batch), self.labels[batch]
                total += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
        return total / len(self.labels)

    def _rounded(self) -> dict[str, RealArray]:
        with torch.no_grad():
            return {name: w.numpy().copy() for name, w in self._on_grids().items()}

    def _with(self, values: Mapping[str, RealArray]) -> Network:
        nodes = tuple(
            replace(n, weights=with_values(n.weights, values[n.name].copy()))
            if isinstance(n, Linear) else n
            for n in self.network.nodes
        )  # fmt: skip
        return replace(self.network, nodes=nodes)
