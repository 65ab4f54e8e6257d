"""Import lava-nc 0.10.0 on Python 3.11 and newer, and with NumPy 2.4 and newer.

Standalone: standard library and NumPy only, Python 3.10 syntax.  Call ``prepare()`` before the
first ``import lava``.  Two things stop an unchanged Lava there:

* ``magma/compiler/var_model.py`` gives dataclass fields mutable defaults, which Python 3.11 refuses
  because such classes are unhashable.  While Lava is imported, dataclasses keep a hash.
* ``port.reshape()`` calls ``np.reshape(newshape=...)``, a keyword NumPy 2.4 no longer has.

And one stops its convolution: it keeps strides and paddings as 8-bit integers, which NumPy 2
refuses to add to more than 127 pixels; ``prepare_conv()`` hands them over as plain numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import sys
import types
from typing import Any

import numpy as np

LAVA_VERSION = "0.10.0"
_PORTS = "lava.magma.core.process.ports.ports"


def prepare() -> None:
    """Make ``import lava`` work in this interpreter; harmless where it works already.

    Raises:
        ImportError: Lava, or something it needs, is not installed.
    """
    if _PORTS in sys.modules:
        return
    original = dataclasses.dataclass
    if sys.version_info >= (3, 11):
        dataclasses.dataclass = _hashable(original)
    try:
        importlib.import_module("lava.magma.compiler.var_model")
        ports: Any = importlib.import_module(_PORTS)
    finally:
        dataclasses.dataclass = original
    ports.np = _numpy_with_newshape()


def prepare_conv() -> None:
    """Make Lava's Conv work on large images; call before its process runs."""
    utils: Any = importlib.import_module("lava.proc.conv.utils")
    original = utils.conv
    if getattr(original, "plain_numbers", False):
        return

    @functools.wraps(original)
    def conv(image: Any, weight: Any, *window: Any) -> Any:
        *pairs, groups = window
        plain = [tuple(int(number) for number in pair) for pair in pairs]
        return original(image, weight, *plain, int(groups))

    conv.plain_numbers = True  # type: ignore[attr-defined]
    utils.conv = conv


def _hashable(original: Any) -> Any:
    """``dataclass`` whose classes compare by value and stay hashable, by identity."""

    @functools.wraps(original)
    def decorate(cls: Any = None, /, **options: Any) -> Any:
        if cls is None:
            return functools.partial(decorate, **options)
        result = original(cls, **options)
        if result.__hash__ is None:
            result.__hash__ = object.__hash__
        return result

    return decorate


def _numpy_with_newshape() -> Any:
    """NumPy's names, with the old keyword of ``reshape``."""
    proxy = types.ModuleType("numpy_with_newshape")
    proxy.__dict__.update(np.__dict__)
    proxy.__dict__["reshape"] = _reshape
    return proxy


def _reshape(array: Any, newshape: Any) -> Any:
    return np.asarray(array).reshape(newshape)
