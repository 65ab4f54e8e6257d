"""An exported program becomes a network: its operations run on traced values, by the same tables.

Spiking neurons are ``snnc::neuron`` operations, see ``exporting``.  A program in which PyTorch
decomposed the neurons into arithmetic is refused: their state is gone from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from snnc.compiler.frontends.torch import functions
from snnc.compiler.frontends.torch.archive import Operation, Program, Ref, read_archive
from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.equation import parse
from snnc.compiler.frontends.torch.layout import Value
from snnc.compiler.frontends.torch.readings import fitting, input_dims
from snnc.compiler.frontends.torch.tensor import traced, value_of
from snnc.ir.arrays import size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.network import Network

CONSTANT = frozenset((
    "zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "arange", "scalar_tensor",
    "add", "sub", "rsub", "mul", "div", "neg", "sqrt", "rsqrt", "reciprocal", "sigmoid", "abs",
    "reshape", "view", "unsqueeze", "squeeze", "permute", "transpose", "t", "select", "slice",
    "cat", "stack", "expand", "clone", "detach", "flatten", "mean", "sum", "var", "pow", "exp",
    "lift_fresh_copy", "contiguous", "alias", "pad", "constant_pad_nd", "matmul", "mm", "repeat",
))  # fmt: skip
"""Operations on weights alone that are computed while reading."""
LARGEST_CONSTANT = 1 << 28
SKIPPED = frozenset(("_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range"))


def read_program(
    path: Path, time_axis: int | str | None = "auto", steps: int | None = None
) -> Network:
    """The network of a ``.pt2`` file.

    Raises:
        ModelFileError: the file is not a program that can be read safely.
        UnsupportedError: an operation without an equivalent, by module path.
        ModelError: parameters that are not a valid network.
    """
    program = read_archive(Path(path))
    sequences = any(_is_neuron(op) and op.arguments[2] for op in program.operations)
    likely = (0, None) if sequences else (None, 0)
    return fitting(
        time_axis, likely, lambda axis: _Interpreter(program, steps).run(axis, Path(path).stem)
    )


def _is_neuron(operation: Operation) -> bool:
    return operation.target == "torch.ops.snnc.neuron.default" and len(operation.arguments) == 3


class _Interpreter:
    def __init__(self, program: Program, steps: int | None) -> None:
        self.program = program
        self.module = ""
        self.builder = Builder(steps=steps, place=lambda: self.module or "net", where=self.where)
        self.values: dict[str, Any] = dict(program.constants)

    def where(self) -> str:
        """File and module path."""
        return f"{self.program.file}: {self.module or 'model'}"

    def run(self, time_axis: int | None, title: str) -> Network:
        """Evaluate all operations and assemble the network."""
        self.builder.repeats_are_steps = time_axis is None
        for number, (name, shape) in enumerate(self.program.inputs.items()):
            label = "input" if len(self.program.inputs) == 1 else f"input_{number}"
            dims = input_dims(self.builder, shape, time_axis, least_batch=1)
            self.values[name] = self.builder.input(label, dims, None)
        for operation in self.program.operations:
            self.module = operation.module
            self._store(operation, self._evaluate(operation))
        for number, name in enumerate(self.program.outputs):
            value = self.values.get(name)
            label = "output" if len(self.program.outputs) == 1 else f"output_{number}"
            if not isinstance(value, Value):
                raise UnsupportedError(
                    "an output does not depend on the input", where=f"{self.program.file}: {label}"
                )
            self.builder.output(label, value)
        how = f"axis {time_axis}" if time_axis is not None else "none: one step or image per call"
        self.builder.notes.add("time axis of the input", how)
        return self.builder.network(title)

    def _store(self, operation: Operation, result: Any) -> None:
        results = result if isinstance(result, tuple | list) else [result]
        for name, value in zip(operation.results, results, strict=False):
            self.values[name] = value

    def _evaluate(self, operation: Operation) -> Any:
        arguments = tuple(self._resolved(a) for a in operation.arguments)
        parts = operation.target.split(".")
        if _is_neuron(operation):
            return self._neuron(operation, arguments)
        if operation.target.startswith("torch.ops.snnc.delay."):
            return self.builder.delayed(arguments[0], int(arguments[1]))
        if parts[:3] != ["torch", "ops", "aten"] or len(parts) < 4:
            raise self._refused(operation.target)
        name = parts[3]
        if name in SKIPPED:
            return None
        if not any(isinstance(leaf, Value) for leaf in functions.leaves(arguments)):
            return self._constant(name, parts, arguments)
        if name in functions.CONSTANTS:
            return functions.constant_like(name, arguments, {}, torch.float64)
        if name in functions.IDENTITY:
            functions.check_conversion(self.builder, name, arguments)
            return arguments[0]
        handler = functions.TABLE.get(name)
        if handler is None:
            raise functions.unknown(self.builder, name)
        if name == "batch_norm":
            named = dict(zip(operation.names, arguments, strict=True))
            named.pop("cudnn_enabled", None)
            return functions.call(self.builder, handler, name, (), {
                "x": named.pop("input"), **named
            })  # fmt: skip
        return functions.call(self.builder, handler, name, arguments, {})

    def _resolved(self, argument: Any) -> Any:
        if isinstance(argument, list):
            return [self._resolved(part) for part in argument]
        if not isinstance(argument, Ref):
            return argument
        if argument.name not in self.values:
            raise ModelError(
                "the program uses a tensor before it exists", where=self.where(),
                found=argument.name,
            )  # fmt: skip
        return self.values[argument.name]

    def _neuron(self, operation: Operation, arguments: tuple[Any, ...]) -> Value:
        value, text, sequence = arguments
        if not isinstance(value, Value):
            raise ModelError("a neuron that reads no signal", where=self.where())
        fields = parse(str(text), self.where())
        name = self.builder.unique(operation.module or "neuron")
        call = Call(None, name, (traced(value, torch.empty(0)),), {}, 0, self.builder)
        spikes: Value = value_of(call.neuron(value, sequence=bool(sequence), **fields))
        return spikes

    def _constant(self, name: str, parts: list[str], arguments: tuple[Any, ...]) -> Any:
        """An operation on weights, evaluated by PyTorch when it is one of a few pure ones."""
        if name not in CONSTANT:
            raise self._refused(".".join(parts))
        extents = [a for a in arguments if isinstance(a, list) and a and isinstance(a[0], int)]
        if any(size_of(tuple(max(1, n) for n in a)) > LARGEST_CONSTANT for a in extents):
            raise ModelError("a constant is too large", where=self.where(), found=name)
        try:
            overload = getattr(getattr(torch.ops.aten, name), parts[4] if parts[4:] else "default")
            result = overload(*arguments)
        except (RuntimeError, TypeError, AttributeError, ValueError) as error:
            raise ModelError(
                "an operation on weights fails", where=self.where(),
                found=f"{name}: {str(error).splitlines()[0][:150]}",
            ) from error  # fmt: skip
        return result

    def _refused(self, target: str) -> UnsupportedError:
        return UnsupportedError(
            "an operation that snnc does not know",
            where=self.where(),
            found=target,
            remedy="export spiking models with snnc.export_torch",
        )
