"""No error ends without a next step."""

from __future__ import annotations

import inspect

import pytest

from snnc.ir import errors
from snnc.ir.errors import SnncError

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, SnncError) and kind is not SnncError
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.code)
def test_every_error_class_says_what_to_do_next(kind: type[SnncError]) -> None:
    assert "default_remedy" in vars(kind)
    error = kind("something is wrong", where="file.x")
    assert f"what to do: {kind.default_remedy}" in str(error)
    assert error.as_dict()["remedy"] == kind.default_remedy
    assert kind("wrong", remedy="do this").remedy == "do this"


def test_codes_are_distinct() -> None:
    assert len({kind.code for kind in CLASSES}) == len(CLASSES) >= 12
