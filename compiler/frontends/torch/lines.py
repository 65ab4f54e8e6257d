"""Whose code runs or failed: the model's, torch's or ours."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import torch

_OURS, _TORCH = Path(__file__).parent, Path(torch.__file__).parent


def user_line() -> str:
    """The innermost line outside of torch and snnc that is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if _is_users(path):
            return f"{path.name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def is_ours(error: Exception) -> bool:
    """Whether snnc itself raised: a defect here, not in the model."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        trace is not None
        and _OURS.resolve() in Path(trace.tb_frame.f_code.co_filename).resolve().parents
    )


def error_line(error: Exception) -> str:
    """The innermost line of the user's code in an error's trace."""
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
