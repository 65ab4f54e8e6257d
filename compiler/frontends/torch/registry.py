"""Converters of framework modules, by class; no framework is imported for a lookup.

A converter turns one call of a module into network nodes::

    @converts("snntorch.Leaky")
    def leaky(call: Call) -> Any: ...

The key is the qualified name of the class where it is defined, or the class itself.  A lookup goes
along the base classes, nearest first.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snnc.compiler.frontends.torch.call import Call

Converter = Callable[["Call"], Any]

FAMILIES = {
    "norse": "snnc.compiler.frontends.torch.norse",
    "sinabs": "snnc.compiler.frontends.torch.sinabs",
    "snntorch": "snnc.compiler.frontends.torch.snntorch",
    "spikingjelly": "snnc.compiler.frontends.torch.spikingjelly",
}
"""By a framework's top-level package: our module that registers its converters when imported."""

_converters: dict[str | type, Converter] = {}
_catch_alls: set[str | type] = set()
_loaded: set[str] = set()


def converts(*classes: str | type, catch_all: bool = False) -> Callable[[Converter], Converter]:
    """Decorator: the function converts calls of these classes (qualified names or classes).

    Args:
        catch_all: it also counts for subclasses that redefine the dynamics (to refuse them).
    """

    def decorate(converter: Converter) -> Converter:
        for name in classes:
            _converters[name] = converter
            if catch_all:
                _catch_alls.add(name)
        return converter

    return decorate


OVERRIDES = frozenset((
    "forward", "single_step_forward", "multi_step_forward", "neuronal_charge", "neuronal_fire",
    "neuronal_reset", "single_step_functional_forward", "multi_step_functional_forward",
))  # fmt: skip
"""Methods that, redefined by a subclass, make it another neuron than its base."""


def find(module: object) -> Converter | None:
    """The converter for a module: of its class or of the nearest base class, or None.

    A base class's converter does not count for a subclass that redefines its dynamics.
    """
    changed = False
    for cls in type(module).__mro__:
        _load(cls.__module__.partition(".")[0])
        for key in (cls, f"{cls.__module__}.{cls.__qualname__}"):
            converter = _converters.get(key)
            if converter is not None and (not changed or key in _catch_alls):
                return converter
        changed = changed or not OVERRIDES.isdisjoint(vars(cls))
    return None


def _load(package: str) -> None:
    if package in FAMILIES and package not in _loaded:
        _loaded.add(package)
        importlib.import_module(FAMILIES[package])
