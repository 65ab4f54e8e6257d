"""``KEY=VALUE`` words of the command line as the fields of an options record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from snnc.ir.errors import OptionError

T = TypeVar("T")


def assigned(record: type[T], words: Iterable[str], flag: str) -> T:
    """An instance of a frozen dataclass with the assigned fields; the others keep their default.

    A tuple field takes several values with commas, or several words.

    Args:
        record: the dataclass; it checks the values itself.
        words: as typed, each ``key=value``.
        flag: the option they were given to, for messages.

    Raises:
        OptionError: an unknown key, or a value of another type.
    """
    hints = get_type_hints(record)
    known = {f.name: hints[f.name] for f in fields(record)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or key not in known:
            raise OptionError(
                "not an assignment this option knows",
                where=flag,
                found=word,
                allowed=", ".join(f"{name}=..." for name in known),
            )
        value = _parsed(known[key], text.strip(), f"{flag} {key}")
        values[key] = values.get(key, ()) + value if isinstance(value, tuple) else value
    return record(**values)


def _parsed(hint: Any, text: str, where: str) -> Any:
    """A text as a value of the hinted type."""
    if get_origin(hint) is tuple:
        (inner, _) = get_args(hint)
        return tuple(_parsed(inner, part, where) for part in text.split(",") if part)
    kinds = [k for k in (get_args(hint) or (hint,)) if k is not NoneType]
    if get_origin(hint) is Literal or any(get_origin(kind) is Literal for kind in kinds):
        return text  # the record checks its choices
    for kind in kinds:
        value = _as(kind, text)
        if value is not None:
            return value
    raise OptionError(
        "a value of another type is required",
        where=where,
        found=text,
        allowed=" or ".join("yes, no" if kind is bool else kind.__name__ for kind in kinds),
    )


def _as(kind: Any, text: str) -> Any:
    """The text as one plain type, None where it is none."""
    if kind is bool:
        return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(
            text.lower()
        )
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError:
        return None
