"""Runs a model's ``forward`` on tensors without data and writes down what it does.

Modules with a converter (neurons, mostly) are leaves; everything else is traced through, down to
the tensor functions of ``functions``.  Python control flow on shapes and attributes just runs;
control flow on values of tensors has no network and is refused.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from snnc.compiler.frontends.torch import functions, registry
from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import AxisError, Dim, element
from snnc.compiler.frontends.torch.tensor import handling, is_traced, traced, value_of
from snnc.ir.errors import ModelError, OptionError, SnncError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.types import ValueType

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
LEAST_BATCH = 2
"""Batch extent of the trace: with one sample, an axis that is the batch could hide."""
_OURS, _TORCH = Path(__file__).parent, Path(torch.__file__).parent


def trace_model(
    model: Any,
    example: Any,
    steps: int | None,
    name: str | None,
    time_axis: int | str | None,
    outputs: Sequence[str] | None,
    input_type: ValueType | None,
) -> Network:
    """See ``snnc.from_torch``."""
    examples = _check(model, example, steps, time_axis)
    title = name or type(model).__name__
    candidates: tuple[int | None, ...]
    if time_axis == "auto":
        sequences = any(getattr(m, "step_mode", "s") == "m" for m in model.modules())
        candidates = (0, None) if sequences else (None, 0)
    else:
        candidates = (time_axis,)  # type: ignore[assignment]
    refusals: list[SnncError] = []
    for axis in candidates:
        try:
            return Tracer(model, steps).run(examples, axis, title, outputs, input_type)
        except UnsupportedError as error:
            refusals.append(error)
    # What went wrong behind a wrong reading of the axes says nothing to the user.
    raise next((e for e in refusals if not isinstance(e, AxisError)), refusals[0])


def _check(model: Any, example: Any, steps: int | None, time_axis: Any) -> list[Any]:
    if not isinstance(model, torch.nn.Module):
        raise OptionError("a model is a torch.nn.Module", where="model", found=type(model).__name__)
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedError(
            "a scripted module cannot be traced", where="model", remedy="pass the original module"
        )
    if time_axis not in ("auto", None, 0, 1):
        raise OptionError(
            "no such time axis", where="time_axis", found=time_axis, allowed='0, 1, None, "auto"'
        )
    if steps is not None and steps < 1:
        raise OptionError("must be at least 1", where="steps", found=steps)
    training = [path for path, m in model.named_modules() if m.training]
    if training:
        raise ModelError(
            "the model is in training mode",
            where=training[0] or "model",
            found=f"{len(training)} of its modules",
            remedy="call model.eval() first",
        )
    examples = list(example) if isinstance(example, tuple | list) else [example]
    for given in examples:
        if not isinstance(given, torch.Tensor) or given.ndim < 1 or not given.numel():
            raise OptionError(
                "an example input is a tensor with a batch axis",
                where="example_input",
                found=getattr(given, "shape", type(given).__name__),
            )
    return examples


class Tracer:
    """One run of one model."""

    def __init__(self, model: Any, steps: int | None) -> None:
        self.model = model
        self.builder = Builder(steps, place=self.place, where=self.where)
        self.stack: list[str] = []
        self.calls: Counter[int] = Counter()

    def run(
        self,
        examples: Sequence[Any],
        time_axis: int | None,
        title: str,
        outputs: Sequence[str] | None,
        input_type: ValueType | None,
    ) -> Network:
        """Trace and assemble."""
        self.builder.repeats_are_steps = time_axis is None
        inputs = []
        for number, example in enumerate(examples):
            name = "input" if len(examples) == 1 else f"input_{number}"
            value = self.builder.input(name, self._dims(example, time_axis), input_type)
            inputs.append(traced(value, _floating(example, self.model)))
        with torch.no_grad(), self._intercepted(), handling(self.function):
            try:
                result = self.model(*inputs)
            except SnncError:
                raise
            except Exception as error:
                if _is_ours(error):
                    raise
                raise self._untraceable(error) from error
        self._check_state()
        for key, tensor in _named(result, outputs):
            if not is_traced(tensor):
                raise UnsupportedError(
                    "an output does not depend on the input",
                    where=key,
                    found=type(tensor).__name__,
                )
            self.builder.output(key, value_of(tensor))
        how = f"axis {time_axis}" if time_axis is not None else "none: one step or image per call"
        self.builder.notes.add("time axis of the input", how)
        return self.builder.network(title)

    def _dims(self, example: Any, time_axis: int | None) -> tuple[Dim, ...]:
        shape = tuple(example.shape)
        dims: list[Dim] = [element(extent) for extent in shape]
        batch = 0
        if time_axis is not None:
            batch = 1 - time_axis
            if len(shape) < 2 or self.builder.steps not in (None, shape[time_axis]):
                raise OptionError(
                    "the example input has no such time axis",
                    where="time_axis",
                    found=f"{shape}, steps {self.builder.steps}",
                )
            self.builder.steps = shape[time_axis]
            if shape[time_axis] > 1:
                dims[time_axis] = (("t", shape[time_axis]),)
        dims[batch] = (("n", max(shape[batch], LEAST_BATCH)),)
        return tuple(dims)

    # -- where we are ---------------------------------------------------------------------------

    def place(self) -> str:
        """Path of the innermost module."""
        return self.stack[-1] if self.stack and self.stack[-1] else "net"

    def where(self) -> str:
        """Module path, class, and the line of the model's own code."""
        path = self.place()
        line = _user_line()
        return f"{path} ({line})" if line else path

    @contextmanager
    def _intercepted(self) -> Iterator[None]:
        """Leaf modules get a ``forward`` of ours, the others tell when they are entered."""
        hooks: list[Any] = []
        replaced: list[tuple[Any, Any]] = []
        for path, module in self.model.named_modules():
            converter = registry.find(module)
            hooks.append(module.register_forward_pre_hook(self._enter(path)))
            hooks.append(module.register_forward_hook(self._leave, always_call=True))
            if converter is not None:
                replaced.append((module, module.__dict__.get("forward")))
                module.__dict__["forward"] = self._leaf(module, path, converter)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for module, before in replaced:
                if before is None:
                    del module.__dict__["forward"]
                else:
                    module.__dict__["forward"] = before

    def _enter(self, path: str) -> Any:
        def hook(*_: Any) -> None:
            self.stack.append(path)

        return hook

    def _leave(self, *_: Any) -> None:
        self.stack.pop()

    def _leaf(self, module: Any, path: str, converter: registry.Converter) -> Any:
        def forward(*args: Any, **kwargs: Any) -> Any:
            number = self.calls[id(module)]
            self.calls[id(module)] += 1
            return converter(Call(module, path or "net", args, kwargs, number, self.builder))

        return forward

    def function(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One tensor function on traced tensors."""
        return functions.apply(self.builder, func, args, kwargs)

    def _untraceable(self, error: Exception) -> SnncError:
        if isinstance(error, NotImplementedError | RuntimeError) and "meta" in str(error):
            problem = "the model's control flow or an operation needs the values of tensors"
        else:
            problem = "the model fails on this example input"
        return UnsupportedError(
            problem,
            where=_error_line(error) or self.place(),
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            remedy="check the example input; see docs/torch.md for what can be traced",
        )

    def _check_state(self) -> None:
        """Raise where a module without converter kept a tensor: state that would be lost."""
        for path, module in self.model.named_modules():
            for label, kept in vars(module).items():
                parts = kept if isinstance(kept, list | tuple) else [kept]
                if isinstance(kept, Mapping):
                    parts = list(kept.values())
                if any(is_traced(part) for part in parts):
                    raise UnsupportedError(
                        "a module keeps a tensor from one call to the next, which snnc does not "
                        "know to be a neuron",
                        where=f"{path or 'model'}.{label}",
                        found=type(module).__name__,
                        remedy="register the module as a neuron: docs/torch.md",
                    )


def _floating(example: Any, model: Any) -> Any:
    if example.dtype in FLOATS:
        return example
    parameter = next(iter(model.parameters()), None)
    return torch.empty(0) if parameter is None else parameter


def _named(result: Any, wanted: Sequence[str] | None) -> list[tuple[str, Any]]:
    """What the model returned, by name; only the wanted ones."""
    if isinstance(result, Mapping):
        found = {str(key): tensor for key, tensor in result.items()}
    elif isinstance(result, tuple | list):
        found = {f"output_{k}": tensor for k, tensor in enumerate(result)}
    else:
        found = {"output": result}
    if wanted is None:
        return [(k, t) for k, t in found.items() if t is not None]
    missing = [name for name in wanted if name not in found]
    if missing or not wanted:
        raise OptionError(
            "the model has no such output",
            where="outputs",
            found=", ".join(missing) or "none wanted",
            allowed=", ".join(found),
        )
    return [(name, found[name]) for name in wanted]


def _user_line() -> str:
    """The innermost line outside of torch and snnc that is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if _is_users(path):
            return f"{path.name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _is_ours(error: Exception) -> bool:
    """Whether snnc itself raised: a defect here, not in the model."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        trace is not None
        and _OURS.resolve() in Path(trace.tb_frame.f_code.co_filename).resolve().parents
    )


def _error_line(error: Exception) -> str:
    line, trace = "", error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if _is_users(path):
            line = f"{path.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _is_users(path: Path) -> bool:
    hidden = (_OURS.resolve(), _TORCH)
    resolved = path if path.is_absolute() else path.absolute()
    return path.suffix == ".py" and not any(
        root in resolved.parents or root in resolved.resolve().parents for root in hidden
    )
