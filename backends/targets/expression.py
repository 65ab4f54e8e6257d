"""Arithmetic written in target files: a whitelisted expression language over integers.

Allowed are numbers, variable names, ``+ - * // %``, comparisons, ``a if c else b`` and the
functions ``ceil_div(a, b)``, ``max``, ``min``, ``ceil_log2(n)``, ``pow2_ceil(n)``.  Everything else
is refused before anything runs, so that a target file from the internet can at worst be wrong.
Variables may be NumPy arrays; then every operation is elementwise (and both branches of a
conditional are computed).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from typing import Any

import numpy as np

from snnc.ir.errors import TargetError

Value = Any
MAX_LENGTH = 500
MAX_NODES = 200
LIMIT = 2**62
_REMEDY = "see the expression language in docs/targets.md"


def _ceil_div(a: Value, b: Value) -> Value:
    return -(_divide(-a, b))


def _ceil_log2(n: Value) -> Value:
    """Smallest k with 2^k >= n (0 for n <= 1); exact for n <= 2^53."""
    if not isinstance(n, np.ndarray):
        return max(int(n) - 1, 0).bit_length()
    return np.frexp(np.maximum(n, 1) - 1)[1].astype(np.int64)


def _pow2_ceil(n: Value) -> Value:
    """Smallest power of two that is at least n; exact for n <= 2^53."""
    if isinstance(n, np.ndarray):
        return np.left_shift(np.int64(1), _ceil_log2(n))
    return 1 << _ceil_log2(n)


def _largest(*values: Value) -> Value:
    return reduce(np.maximum, values) if _vector(*values) else max(values)


def _smallest(*values: Value) -> Value:
    return reduce(np.minimum, values) if _vector(*values) else min(values)


def _divide(a: Value, b: Value) -> Value:
    if np.any(b == 0):
        raise TargetError("division by zero in a target expression")
    return a // b


def _modulo(a: Value, b: Value) -> Value:
    if np.any(b == 0):
        raise TargetError("division by zero in a target expression")
    return a % b


def _multiply(a: Value, b: Value) -> Value:
    if _size(a) * _size(b) > LIMIT:
        raise TargetError("a product in a target expression exceeds 62 bits", allowed="< 2^62")
    return a * b


def _size(value: Value) -> int:
    if isinstance(value, np.ndarray):
        return int(np.abs(value).max(initial=0))
    return abs(int(value))


def _vector(*values: Value) -> bool:
    return any(isinstance(value, np.ndarray) for value in values)


_FUNCTIONS: dict[str, tuple[Callable[..., Value], tuple[int, int]]] = {
    "ceil_div": (_ceil_div, (2, 2)),
    "ceil_log2": (_ceil_log2, (1, 1)),
    "pow2_ceil": (_pow2_ceil, (1, 1)),
    "max": (_largest, (2, 8)),
    "min": (_smallest, (2, 8)),
}
_OPERATORS: dict[type[ast.AST], Callable[[Value, Value], Value]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: _multiply,
    ast.FloorDiv: _divide,
    ast.Mod: _modulo,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}


def evaluate(text: str, variables: Mapping[str, Value]) -> Value:
    """Value of an expression.

    Args:
        text: the expression.
        variables: integers, or int64 arrays that broadcast together.

    Returns:
        An int (or float, if a variable is one), or an array of the broadcast shape.

    Raises:
        TargetError: the text is not of the language, a name is unknown, or a value leaves 62 bits.
    """
    tree = parse(text)
    missing = sorted(names_in(text) - set(variables))
    if missing:
        raise TargetError(
            "unknown name in a target expression",
            where=text,
            found=", ".join(missing),
            allowed=", ".join(sorted(variables)),
            remedy=_REMEDY,
        )
    return _value(tree, variables)


@lru_cache(maxsize=512)
def names_in(text: str) -> frozenset[str]:
    """Variables an expression uses."""
    called = {id(n.func) for n in ast.walk(parse(text)) if isinstance(n, ast.Call)}
    return frozenset(
        n.id for n in ast.walk(parse(text)) if isinstance(n, ast.Name) and id(n) not in called
    )


@lru_cache(maxsize=512)
def parse(text: str) -> ast.expr:
    """Check that a text belongs to the language; raises ``TargetError``."""
    if len(text) > MAX_LENGTH:
        raise _refused(text[:60] + "...", f"{len(text)} characters", f"{MAX_LENGTH}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refused(text, type(error).__name__, "one expression") from error
    nodes = list(ast.walk(tree))
    if len(nodes) > MAX_NODES:
        raise _refused(text[:60] + "...", f"{len(nodes)} terms", f"{MAX_NODES}")
    for node in nodes:
        problem = _problem(node)
        if problem:
            raise _refused(text, problem, "numbers, names, + - * // %, comparisons, if-else, calls")
    return tree


def _refused(text: str, found: str, allowed: str) -> TargetError:
    return TargetError(
        "not a valid target expression", where=text, found=found, allowed=allowed, remedy=_REMEDY
    )


def _problem(node: ast.AST) -> str:
    """Why a syntax node is outside the language; empty when it is inside."""
    if isinstance(node, ast.Constant):
        number = type(node.value) in (int, float)
        if number and abs(node.value) <= LIMIT:  # type: ignore[arg-type]
            return ""
        return f"the constant {str(node.value)[:40]!r}"
    if isinstance(node, ast.Call):
        return _call_problem(node)
    if isinstance(node, ast.Compare):
        return "a chain of comparisons" if len(node.ops) > 1 else ""
    inside = ast.Name | ast.Load | ast.BinOp | ast.UnaryOp | ast.USub | ast.IfExp
    if isinstance(node, inside) or type(node) in _OPERATORS:
        return ""
    return type(node).__name__


def _call_problem(node: ast.Call) -> str:
    if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
        return f"a call of {ast.unparse(node.func)[:40]}"
    low, high = _FUNCTIONS[node.func.id][1]
    if node.keywords or not low <= len(node.args) <= high:
        return f"{node.func.id} with {len(node.args) + len(node.keywords)} arguments"
    return ""


def _value(node: ast.expr, variables: Mapping[str, Value]) -> Value:
    result = _compute(node, variables)
    if _size(result) > LIMIT:
        raise TargetError("a target expression exceeds 62 bits", where=ast.unparse(node))
    return result


def _compute(node: ast.expr, variables: Mapping[str, Value]) -> Value:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return variables[node.id]
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, variables)
    if isinstance(node, ast.BinOp):
        operator = _OPERATORS[type(node.op)]
        return operator(_value(node.left, variables), _value(node.right, variables))
    if isinstance(node, ast.Compare):
        operator = _OPERATORS[type(node.ops[0])]
        # As integers, because NumPy booleans do not subtract.
        return 1 * operator(_value(node.left, variables), _value(node.comparators[0], variables))
    if isinstance(node, ast.IfExp):
        return _conditional(node, variables)
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    function = _FUNCTIONS[node.func.id][0]
    return function(*(_value(argument, variables) for argument in node.args))


def _conditional(node: ast.IfExp, variables: Mapping[str, Value]) -> Value:
    test = _value(node.test, variables)
    if isinstance(test, np.ndarray):
        return np.where(test != 0, _value(node.body, variables), _value(node.orelse, variables))
    return _value(node.body if test else node.orelse, variables)
