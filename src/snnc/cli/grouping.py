"""Options that belong together, as one parameter of a command."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command for Typer, which reads a flat signature, out of one that takes groups of options.

    A parameter whose type is a dataclass stands for the fields of the dataclass, in their order:
    each becomes an option, and the command gets the dataclass made of them.
    """
    flat: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        kind = parameter.annotation
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            groups[name] = kind
            flat += _options(kind)
        else:
            flat.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def call(**values: Any) -> None:
        made = {name: kind(**_taken(values, kind)) for name, kind in groups.items()}
        command(**values, **made)

    flattened: Any = call
    flattened.__doc__ = command.__doc__
    flattened.__signature__ = inspect.Signature(flat)
    flattened.__annotations__ = {option.name: option.annotation for option in flat}
    return call


def _options(kind: type[Any]) -> list[inspect.Parameter]:
    """The fields of a group as parameters; every one has a default."""
    types = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=types[field.name],
        )
        for field in dataclasses.fields(kind)
    ]


def _taken(values: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    return {field.name: values.pop(field.name) for field in dataclasses.fields(kind)}
