"""Runs a model's ``forward`` on tensors without data and writes down what it does.

Modules with a converter (neurons, mostly) are leaves; everything else is traced through, down to
the tensor functions of ``functions``.  Python control flow on shapes and attributes just runs;
control flow on values of tensors has no network and is refused.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch

from snnc.compiler.frontends.torch import functions, registry
from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import AxisError, Dim, element
from snnc.compiler.frontends.torch.states import is_state
from snnc.compiler.frontends.torch.tensor import handling, is_traced, traced, value_of
from snnc.ir.arrays import Shape
from snnc.ir.errors import ModelError, OptionError, SnncError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.types import ValueType

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
LEAST_BATCH = 2
"""Batch extent of the trace: with one sample, an axis that is the batch could hide."""
Result = TypeVar("Result")
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
    examples = check(model, example, steps, time_axis)
    tracers: list[Tracer] = []
    trace_with(model, examples, steps, time_axis, tracers.append)
    return tracers[-1].assemble(name or type(model).__name__, outputs, input_type)


def trace_with(
    model: Any, examples: Sequence[Any], steps: int | None, time_axis: Any,
    keep: Callable[[Tracer], None],
) -> None:  # fmt: skip
    """Trace under every reading of the axes that may fit, and keep the first that does."""

    def attempt(axis: int | None) -> None:
        tracer = Tracer(model, steps)
        tracer.run(examples, axis)
        keep(tracer)

    fitting(time_axis, likely_axes(model), attempt)


def likely_axes(model: Any) -> tuple[int | None, ...]:
    """Which time axes to try, the likeliest first: where the framework's neurons loop over one."""
    if any(type(m).__module__.startswith("sinabs.") for m in model.modules()):
        return (1, None)
    sequences = any(getattr(m, "step_mode", "s") == "m" for m in model.modules())
    return (0, None) if sequences else (None, 0)


def fitting(
    time_axis: Any, likely: tuple[int | None, ...], attempt: Callable[[int | None], Result]
) -> Result:
    """The result under the given time axis, or under the first that fits when it is "auto".

    Args:
        likely: what to try, in this order.

    Raises:
        UnsupportedError: no reading fits; the most telling refusal.
    """
    if time_axis != "auto":
        return attempt(time_axis)
    refusals: list[SnncError] = []
    for axis in likely:
        try:
            return attempt(axis)
        except (UnsupportedError, OptionError) as error:
            refusals.append(error)
    # What went wrong behind a wrong reading of the axes says nothing to the user.
    wrong = (AxisError, OptionError)
    raise next((e for e in refusals if not isinstance(e, wrong)), refusals[0])


def check(model: Any, example: Any, steps: int | None, time_axis: Any) -> list[Any]:
    """The example inputs as a list.

    Raises:
        OptionError, ModelError, UnsupportedError: arguments of ``from_torch`` that do not fit.
    """
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
    for given in examples or [None]:
        if not isinstance(given, torch.Tensor) or given.ndim < 1 or not given.numel():
            raise OptionError(
                "an example input is a tensor with a batch axis",
                where="example_input",
                found=getattr(given, "shape", type(given).__name__),
            )
    return examples


def input_dims(
    builder: Builder, shape: Shape, time_axis: int | None, least_batch: int
) -> tuple[Dim, ...]:
    """Dimensions of an input of this shape.

    Raises:
        OptionError: it has no such time axis, or not ``steps`` long.
    """
    dims: list[Dim] = [element(extent) for extent in shape]
    batch = 0
    if time_axis is not None:
        batch = 1 - time_axis
        if len(shape) < 2 or builder.steps not in (None, shape[time_axis]):
            raise OptionError(
                "the example input has no such time axis",
                where="time_axis",
                found=f"{shape}, steps {builder.steps}",
            )
        builder.steps = shape[time_axis]
        if shape[time_axis] > 1:
            dims[time_axis] = (("t", shape[time_axis]),)
    if max(shape[batch], least_batch) > 1:
        dims[batch] = (("n", max(shape[batch], least_batch)),)
    return tuple(dims)


@contextmanager
def replaced(
    model: Any, wanted: Callable[[Any], object], stand_in: Callable[[Any, str], Any]
) -> Iterator[None]:
    """While open, the modules for which ``wanted`` is not None have another ``forward``."""
    before: list[tuple[Any, Any]] = []
    for path, module in model.named_modules():
        if wanted(module) is not None:
            before.append((module, module.__dict__.get("forward")))
            module.__dict__["forward"] = stand_in(module, path)
    try:
        yield
    finally:
        for module, own in before:
            if own is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = own


class Tracer:
    """One run of one model.

    Attributes:
        calls: how often each leaf module was called, by identity.
        made: the nodes each leaf module became, by its path.
        result: what the model returned.
    """

    def __init__(self, model: Any, steps: int | None) -> None:
        self.model = model
        self.builder = Builder(steps, place=self.place, where=self.where)
        self.stack: list[str] = []
        self.calls: Counter[int] = Counter()
        self.made: dict[str, list[str]] = {}
        self.result: Any = None
        self.time_axis: int | None = None

    def run(self, examples: Sequence[Any], time_axis: int | None) -> None:
        """Trace the model once."""
        self.builder.repeats_are_steps = time_axis is None
        self.time_axis = time_axis
        inputs = []
        for number, example in enumerate(examples):
            name = "input" if len(examples) == 1 else f"input_{number}"
            dims = input_dims(self.builder, tuple(example.shape), time_axis, LEAST_BATCH)
            inputs.append(traced(self.builder.input(name, dims, None), _like(example, self.model)))
        with torch.no_grad(), self._intercepted(), handling(self.function):
            try:
                self.result = self.model(*inputs)
            except SnncError:
                raise
            except Exception as error:
                if _is_ours(error):
                    raise
                raise self._untraceable(error) from error
        self._check_state()

    def assemble(
        self, title: str, outputs: Sequence[str] | None, input_type: ValueType | None
    ) -> Network:
        """The network of what was traced."""
        for key, tensor in _named(self.result, outputs):
            if not is_traced(tensor):
                raise UnsupportedError(
                    "an output does not depend on the input",
                    where=key,
                    found=type(tensor).__name__,
                )
            self.builder.output(key, value_of(tensor))
        axis = self.time_axis
        how = f"axis {axis}" if axis is not None else "none: one step or image per call"
        self.builder.notes.add("time axis of the input", how)
        if input_type is not None:
            self.builder.type_inputs(input_type)
        return self.builder.network(title)

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
        """Leaf modules get a ``forward`` of ours, all tell when they are entered."""
        hooks: list[Any] = []
        for path, module in self.model.named_modules():
            hooks.append(module.register_forward_pre_hook(self._enter(path)))
            hooks.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            with replaced(self.model, registry.find, self._leaf):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, path: str) -> Any:
        def hook(*_: Any) -> None:
            self.stack.append(path)

        return hook

    def _leave(self, *_: Any) -> None:
        self.stack.pop()

    def _leaf(self, module: Any, path: str) -> Any:
        converter = registry.find(module)
        assert converter is not None
        name = path or "net"

        def forward(*args: Any, **kwargs: Any) -> Any:
            number = self.calls[id(module)]
            self.calls[id(module)] += 1
            before = len(self.builder.nodes)
            result = converter(Call(module, name, args, kwargs, number, self.builder))
            self.made.setdefault(name, []).extend(list(self.builder.nodes)[before:])
            return result

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


def _like(example: Any, model: Any) -> Any:
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
        kept = [(k, t) for k, t in found.items() if t is not None and not is_state(t)]
        if len(kept) == 1 < len(found):
            return [("output", kept[0][1])]
        return kept or [("output", None)]
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
