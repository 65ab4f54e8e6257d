"""Runs a model's ``forward`` on tensors without data and writes down what it does.

Modules with a converter (neurons, mostly) are leaves; everything else is traced through, down to
the tensor functions of ``functions``.  Python control flow on shapes and attributes just runs;
control flow on values of tensors has no network and is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from snnc.compiler.frontends.torch import functions, registry
from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.lines import error_line, is_ours, user_line
from snnc.compiler.frontends.torch.readings import check, fitting, input_dims, likely_axes
from snnc.compiler.frontends.torch.states import is_state
from snnc.compiler.frontends.torch.tensor import handling, is_traced, traced, value_of
from snnc.ir.errors import OptionError, SnncError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.types import ValueType

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
LEAST_BATCH = 2
"""Batch extent of the trace: with one sample, an axis that is the batch could hide."""


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
        self.builder = Builder(steps=steps, place=self.place, where=self.where)
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
                if is_ours(error):
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
        line = user_line()
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
            where=error_line(error) or self.place(),
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
