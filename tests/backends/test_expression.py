"""The arithmetic of target files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnc.backends.targets.expression import evaluate, names_in
from snnc.ir.errors import TargetError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("-a + 1", -6),
        ("a // 2", 3),
        ("a % 4", 3),
        ("ceil_div(a, 2)", 4),
        ("ceil_log2(a)", 3),
        ("ceil_log2(8)", 3),
        ("ceil_log2(0)", 0),
        ("max(a, 3, 9)", 9),
        ("min(a, 3)", 3),
        ("1 if a > 6 else 2", 1),
        ("a if a == 0 else a - 7", 0),
        ("(a > 1) + (a > 100)", 1),
    ],
)
def test_the_language_computes(text: str, value: int) -> None:
    assert evaluate(text, {"a": 7}) == value


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(1, 99))
def test_arrays_compute_elementwise_like_scalars(values: list[int], b: int) -> None:
    text = "ceil_div(a, b) + (a % b if a % b else 3) + ceil_log2(a) * max(a, b) - min(a, b)"
    vector = evaluate(text, {"a": np.array(values), "b": b})
    assert vector.tolist() == [evaluate(text, {"a": a, "b": b}) for a in values]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "a.__class__",
        "2**9999",
        "[x for x in (1, 2)]",
        "(lambda: 1)()",
        "open('f')",
        "'text'",
        "a[0]",
        "True",
        "1 < a < 3",
        "a and 1",
        "a @ a",
        "a / 2",
        "max(a)",
        "ceil_div(a, b=2)",
        "ceil_div(*a)",
        "f'{a}'",
        "(b := 3)",
        "1; 2",
        "",
        "1 +",
        "9" * 40,
        "1e999",
        "+".join(["a"] * 400),
        "(" * 300 + "a" + ")" * 300,
        "-" * 450 + "a",
        "\x00",
    ],
)
def test_everything_outside_the_language_is_refused(text: str) -> None:
    with pytest.raises(TargetError, match="not a valid target expression"):
        evaluate(text, {"a": 1})


def test_huge_products_are_refused_before_they_grow() -> None:
    text = "*".join(["4611686018427387904"] * 20)
    with pytest.raises(TargetError, match="62 bits"):
        evaluate(text, {})
    with pytest.raises(TargetError, match="62 bits"):
        evaluate("a * a", {"a": np.array([2**40])})


def test_division_by_zero_names_itself() -> None:
    for text in ("1 // a", "1 % a", "ceil_div(1, a)"):
        with pytest.raises(TargetError, match="division by zero"):
            evaluate(text, {"a": 0})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TargetError, match=r"found: n_neuron\n  allowed: a, n_neurons"):
        evaluate("n_neuron * 2", {"n_neurons": 1, "a": 2})


def test_names_exclude_functions() -> None:
    assert names_in("max(a, ceil_div(b, 2))") == {"a", "b"}
