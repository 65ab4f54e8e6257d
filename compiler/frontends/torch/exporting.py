"""Writes a spiking model as a ``.pt2`` file that snnc reads back without running any code.

``torch.export`` would decompose a neuron into arithmetic and lose its state between calls.  Here
every neuron is one ``snnc::neuron(x, equation, sequence)`` operation with its equation as JSON.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from snnc.compiler.frontends.torch import registry
from snnc.compiler.frontends.torch.equation import write
from snnc.compiler.frontends.torch.readings import check
from snnc.compiler.frontends.torch.trace import Tracer, replaced, trace_with
from snnc.ir.atomic import write_bytes
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.nodes import Delay
from snnc.ir.real_neuron import RealNeuron


@torch.library.custom_op("snnc::neuron", mutates_args=())  # type: ignore[untyped-decorator]
def neuron(x: torch.Tensor, equation: str, sequence: bool) -> torch.Tensor:
    """A population in an exported program; snnc computes it, PyTorch does not."""
    raise NotImplementedError("snnc::neuron is read by snnc, see docs/torch.md")


@neuron.register_fake  # type: ignore[untyped-decorator]
def _neuron_shape(x: Any, equation: str, sequence: bool) -> Any:
    del equation, sequence
    return torch.empty_like(x)


@torch.library.custom_op("snnc::delay", mutates_args=())  # type: ignore[untyped-decorator]
def delay(x: torch.Tensor, steps: int) -> torch.Tensor:
    """A delay line in an exported program."""
    raise NotImplementedError("snnc::delay is read by snnc, see docs/torch.md")


@delay.register_fake  # type: ignore[untyped-decorator]
def _delay_shape(x: Any, steps: int) -> Any:
    del steps
    return torch.empty_like(x)


def write_program(
    model: Any, example_input: Any, path: Path, steps: int | None, time_axis: Any
) -> None:
    """See ``snnc.export_torch``."""
    examples = check(model, example_input, steps, time_axis)
    tracers: list[Tracer] = []
    trace_with(model, examples, steps, time_axis, tracers.append)
    equations = _equations(tracers[-1])

    def stand_in(module: Any, path: str) -> Any:
        kind, text, sequence = equations[path or "net"]

        def forward(x: Any) -> Any:
            if kind == "delay":
                return torch.ops.snnc.delay(x, int(text))
            return torch.ops.snnc.neuron(x, text, sequence)

        del module
        return forward

    with replaced(model, registry.find, stand_in), torch.no_grad():
        try:
            program = torch.export.export(model, tuple(examples))
        except Exception as error:
            raise UnsupportedError(
                "torch.export cannot export this model",
                where=type(model).__name__,
                found=f"{type(error).__name__}: {str(error).splitlines()[0][:150]}",
                remedy="use a state-dict and --constructor",
            ) from error
    for spec in program.graph_signature.output_specs:
        if spec.kind.name != "USER_OUTPUT":
            raise ModelError("the model changes a buffer", where=str(spec.target))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_bytes(path, buffer.getvalue())


def _equations(tracer: Tracer) -> dict[str, tuple[str, str, bool]]:
    """By module path: what stands in for the module."""
    if tracer.builder.unrolled > 1:
        raise UnsupportedError(
            "a model that loops over time itself cannot be exported",
            where=type(tracer.model).__name__,
            found=f"{tracer.builder.unrolled} steps",
            remedy="export the network of one step, or neurons that take sequences",
        )
    result = {}
    for path, nodes in tracer.made.items():
        made = [tracer.builder.nodes[name] for name in nodes]
        kept = [n for n in made if isinstance(n, RealNeuron | Delay)]
        if len(kept) != 1 or len(made) > 1 + sum(type(n).__name__ == "Index" for n in made):
            raise UnsupportedError(
                "a module that is more than one population cannot be exported",
                where=path,
                found=", ".join(type(n).__name__ for n in made) or "no population",
                remedy="use a state-dict and --constructor",
            )
        only = kept[0]
        sequence = tracer.builder.sequences[path]
        if isinstance(only, Delay):
            result[path] = ("delay", str(only.steps), sequence)
        else:
            result[path] = ("neuron", write(only), sequence)
    return result
