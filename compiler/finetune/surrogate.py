"""Steps that a gradient passes: spikes with an arctangent's slope, rounding with slope one."""

from __future__ import annotations

import math
from typing import Any

import torch

STEEPNESS = 2.0


class _Fire(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
    """``[x >= 0]`` or ``[x > 0]``; backward the derivative of ``arctan(pi/2 alpha x) / pi``.

    The surrogate of Fang et al. (Science Advances, 2023), with their alpha = 2.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, strict: bool) -> Any:
        ctx.save_for_backward(x)
        return (x > 0 if strict else x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (x,) = ctx.saved_tensors
        slope = STEEPNESS / 2 / (1 + (math.pi / 2 * STEEPNESS * x) ** 2)
        return grads[0] * slope, None


def fire(x: Any, strict: bool) -> Any:
    """Whether the distance from a threshold, in thresholds, is positive (or zero if not strict)."""
    return _Fire.apply(x, strict)


def on_grid(weights: Any, step: Any, largest: int) -> Any:
    """Weights rounded and clipped to a grid; the gradient passes where nothing is clipped.

    The straight-through estimator of Bengio et al. (arXiv:1308.3432).
    """
    inside = torch.clamp(weights / step, -largest, largest)
    rounded = inside + (torch.round(inside) - inside).detach()
    return rounded * step
