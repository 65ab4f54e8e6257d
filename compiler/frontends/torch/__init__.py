"""PyTorch models: ``from_torch`` runs the model's own ``forward`` symbolically.

Nothing here imports torch until a function is called; ``pip install "snnc[torch]"`` brings it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from snnc.ir.errors import OptionError
from snnc.ir.types import ValueType

if TYPE_CHECKING:
    from snnc.compiler.frontends.torch.checked import NeuronCheck
    from snnc.compiler.frontends.torch.custom import Calling, Equation, Returning
    from snnc.ir.arrays import Shape
    from snnc.ir.network import Network

__all__ = ["check_neuron", "export_torch", "from_torch", "register_neuron", "require_torch"]

TimeAxis = int | None | Literal["auto"]


def require_torch() -> Any:
    """The torch module.

    Raises:
        OptionError: it is not installed; says what to install.
    """
    try:
        import torch
    except ImportError as error:
        raise OptionError(
            "PyTorch is not installed",
            where="import torch",
            found=error,
            remedy='pip install "snnc[torch]"; for a build without CUDA see docs/torch.md',
        ) from error
    return torch


def from_torch(
    model: Any,
    example_input: Any,
    *,
    steps: int | None = None,
    name: str | None = None,
    time_axis: TimeAxis = "auto",
    outputs: Sequence[str] | None = None,
    input_type: ValueType | None = None,
) -> Network:
    """The network a PyTorch spiking model computes.

    The model must be in evaluation mode.  Its ``forward`` runs once on tensors without data; what
    it does with them becomes the network.  State of its neurons starts at reset.

    Args:
        model: ``torch.nn.Module`` with neurons that snnc knows (docs/torch.md), called once per
            time step or on whole sequences.
        example_input: a tensor of the shape the model takes, batch axis included; values are not
            read.  A sequence of tensors for a model of several inputs.
        steps: time steps per sample, where the model repeats a static input itself.
        name: of the network; default: the model's class.
        time_axis: which axis of the input is time: 0, 1, or None for a model that sees one step
            (or one static image) at a time; "auto" tries what fits the model's neurons.
        outputs: the outputs to keep, by name: ``output`` for a model that returns one tensor,
            its keys for a dict, ``output_0``, ``output_1``, ... for a tuple; the others and all
            that only they need are dropped.
        input_type: what one element may hold in one step; default: a spike, unless calibration
            data show other values.

    Raises:
        UnsupportedError: an operation, a control flow or a neuron without an equivalent, naming
            the module and the line.
        ModelError: a model in training mode, or parameters that are not a valid network.
        OptionError: PyTorch is missing, or an argument does not fit the model.
    """
    require_torch()
    from snnc.compiler.frontends.torch.trace import trace_model

    return trace_model(model, example_input, steps, name, time_axis, outputs, input_type)


def export_torch(
    model: Any,
    example_input: Any,
    path: str | Path,
    *,
    steps: int | None = None,
    time_axis: TimeAxis = "auto",
) -> None:
    """Write a spiking model as a ``.pt2`` program that ``snnc compile`` reads.

    Args:
        model, example_input, steps, time_axis: as in ``from_torch``; the batch of the example is
            part of the file.
        path: the ``.pt2`` file.

    Raises:
        UnsupportedError: as ``from_torch``, or a module that is more than one population (a
            recurrent container, a sliding PSN): use a state-dict and ``--constructor``.
        OutputError: the file cannot be written.
    """
    require_torch()
    from snnc.compiler.frontends.torch.exporting import write_program

    write_program(model, example_input, Path(path), steps, time_axis)


def register_neuron(
    module: type, equation: Equation, *, call: Calling = "step", returns: Returning = "spikes"
) -> None:
    """Tell ``from_torch`` the equation of a neuron class of your own: docs/custom-neurons.md.

    Args:
        module: the class.
        equation: fields of ``snnc.ir.real_neuron.RealNeuron``, or a function from a module to them.
        call: "step" takes one step per call; "sequence" [time, batch, ...]; "batch_first" [batch,
            time, ...].
        returns: "spikes", or "spikes and state" where the state is passed back in the next call.

    Raises:
        OptionError: PyTorch is missing, not a class of modules, or an unknown field or choice.
    """
    require_torch()
    from snnc.compiler.frontends.torch import custom

    custom.register_neuron(module, equation, call=call, returns=returns)


def check_neuron(
    module: Any,
    shape: Shape = (8,),
    *,
    steps: int = 64,
    samples: int = 4,
    seed: int = 0,
    scale: float = 1.0,
) -> NeuronCheck:
    """Compare a neuron's equation with the module's own ``forward`` on random input.

    Args:
        module: an instance of a registered class, or a neuron that snnc knows.
        shape: of one sample and step.
        steps, samples, seed: of the random input, multiples of ``scale / 16`` between ``-scale``
            and ``2 scale``.
        scale: choose it such that the neuron sometimes fires.

    Returns:
        Counts and the first difference; ``print`` it, or ask ``.ok``.  Both sides compute in
        float64; the order of additions may still differ where numbers are not short.

    Raises:
        OptionError: PyTorch is missing, or the class is not registered.
        UnsupportedError: the equation cannot be a neuron of a network.
    """
    require_torch()
    from snnc.compiler.frontends.torch import checked

    return checked.check_neuron(module, tuple(shape), steps, samples, seed, scale)
