"""A neuron's equation against its own ``forward``, on random input."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from snnc.compiler.frontends.torch import registry
from snnc.compiler.frontends.torch.custom import registered, registration
from snnc.compiler.frontends.torch.trace import trace_model
from snnc.ir.arrays import AnyArray, Shape
from snnc.ir.errors import OptionError
from snnc.simulators.compare import Divergence, compare_values
from snnc.simulators.reference.real import run_real


@dataclass(frozen=True)
class NeuronCheck:
    """How far an equation is from a module.

    Attributes:
        entries: values compared: samples x steps x neurons.
        emitted: sum of what the module emitted.
        differing: entries that differ.
        first: the first of them; ``left`` is the module's value, ``right`` the equation's.
    """

    neuron: str
    entries: int
    emitted: float
    differing: int
    first: Divergence | None

    @property
    def ok(self) -> bool:
        """Whether the equation is the module, as far as this input shows."""
        return not self.differing

    def __str__(self) -> str:
        text = f"{self.neuron}: {self.differing} of {self.entries} values differ"
        if self.first is None:
            return f"{text}; it emitted {self.emitted:g} in all"
        f = self.first
        return (
            f"{text}, first in step {f.step}, sample {f.sample}, neuron {f.index}: "
            f"the module emits {f.left:g}, the equation {f.right:g}"
        )


def check_neuron(
    module: Any, shape: Shape, steps: int, samples: int, seed: int, scale: float
) -> NeuronCheck:
    """See ``snnc.check_neuron``."""
    if registry.find(module) is None:
        raise OptionError(
            "snnc does not know this neuron",
            where=type(module).__name__,
            remedy="call register_neuron first",
        )
    random = np.random.default_rng(seed)
    grid = random.integers(-16, 33, (samples, steps, *shape)) / 16 * scale
    calling = _calling(module)
    theirs = _run(copy.deepcopy(module).double().eval(), grid, calling)
    axis = {"step": None, "sequence": 0, "batch_first": 1}[calling]
    example = torch.zeros((samples, *shape), dtype=torch.float64)
    if axis is not None:
        example = example.unsqueeze(axis).repeat_interleave(steps, axis)
    network = trace_model(
        copy.deepcopy(module).double().eval(), example, None, None, axis, None, None
    )
    ours = next(iter(run_real(network, {"input": grid}).outputs.values()))
    found = compare_values(("module", "equation"), theirs, ours)
    return NeuronCheck(
        type(module).__name__,
        theirs.size,
        float(np.abs(theirs).sum()),
        found.differing,
        found.first,
    )


def _calling(module: Any) -> str:
    if any(cls in registered for cls in type(module).__mro__):
        return registration(module).calling
    package = type(module).__module__.partition(".")[0]
    if package == "sinabs":
        return "batch_first"
    looping = getattr(module, "step_mode", "s") == "m" or (
        package == "norse" and hasattr(module, "record_states")
    )
    return "sequence" if looping else "step"


def _run(module: Any, grid: AnyArray, calling: str) -> AnyArray:
    """What the module emits, [samples, steps, ...]."""
    x = torch.from_numpy(grid)
    with torch.no_grad():
        if calling != "step":
            axes = x if calling == "batch_first" else x.transpose(0, 1)
            found = _first(module(axes))
            return np.asarray(
                (found if calling == "batch_first" else found.transpose(0, 1)).numpy()
            )
        rows, state = [], ()
        for t in range(x.shape[1]):
            result = module(x[:, t], *state)
            rows.append(_first(result))
            state = tuple(result[1:]) if isinstance(result, tuple) else ()
    return np.asarray(torch.stack(rows, 1).numpy())


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result
