"""The functions behind ``torch.nn`` layers: convolution, normalisation, upsampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.handlers import Handler, per_axis, refuse
from snnc.compiler.frontends.torch.layout import Value
from snnc.compiler.frontends.torch.linear import (
    batched,
    convolution,
    dense,
    window_padding,
)
from snnc.compiler.frontends.torch.moves import gathered
from snnc.compiler.frontends.torch.tensor import numpy_of
from snnc.ir.errors import ModelError


def linear(builder: Builder, x: Value, weight: Any, bias: Any = None) -> Value:
    """``F.linear``."""
    return dense(builder, x, _constant(builder, weight), _optional(builder, bias))


def addmm(builder: Builder, bias: Any, x: Value, weight: Any, *, beta: Any = 1, alpha: Any = 1,
          ) -> Value:  # fmt: skip
    """``bias + x W``."""
    if beta != 1 or alpha != 1:
        raise refuse(builder, "addmm with factors", (beta, alpha))
    return dense(builder, x, _constant(builder, weight).T, _optional(builder, bias))


def conv(builder: Builder, x: Value, weight: Any, bias: Any = None, stride: Any = 1,
         padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Value:  # fmt: skip
    """``F.conv1d``, ``conv2d``, ``conv3d``."""
    kernel = _constant(builder, weight)
    axes = kernel.ndim - 2
    strides, dilations = per_axis(stride, axes), per_axis(dilation, axes)
    if not isinstance(padding, str):
        padding = per_axis(padding, axes)
    pads = window_padding(builder, x.shape[2:], kernel.shape[2:], strides, dilations, padding)
    offset = _optional(builder, bias)
    return convolution(builder, x, kernel, offset, strides, pads, dilations, int(groups))


def conv_transpose(builder: Builder, x: Value, weight: Any, bias: Any = None, stride: Any = 1,
                   padding: Any = 0, output_padding: Any = 0, groups: int = 1,
                   dilation: Any = 1) -> Value:  # fmt: skip
    """``F.conv_transpose*``: zeros between the inputs, then a convolution with the kernel turned.

    See Dumoulin and Visin, "A guide to convolution arithmetic", arXiv:1603.07285, section 4.
    """
    kernel = _constant(builder, weight)
    axes = kernel.ndim - 2
    stride, padding = per_axis(stride, axes), per_axis(padding, axes)
    more, dilation = per_axis(output_padding, axes), per_axis(dilation, axes)
    batched(builder, x, axes)
    spread = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], stride, strict=True)]
    reach = [d * (k - 1) - p for k, p, d in zip(kernel.shape[2:], padding, dilation, strict=True)]
    if min(reach) < 0:
        raise refuse(builder, "a transposed convolution padded beyond its kernel", padding)
    wide = [r + n + r + m for r, n, m in zip(reach, spread, more, strict=True)]

    def stuffed(ids: Any) -> Any:
        result = torch.full((*ids.shape[:2], *wide), -1, dtype=ids.dtype)
        places = tuple(slice(r, r + n, s) for r, n, s in zip(reach, spread, stride, strict=True))
        result[(slice(None), slice(None), *places)] = ids
        return result

    grouped = kernel.reshape(groups, kernel.shape[0] // groups, *kernel.shape[1:])
    turned = np.flip(np.swapaxes(grouped, 1, 2), tuple(range(3, 3 + axes)))
    turned = np.ascontiguousarray(turned).reshape(-1, kernel.shape[0] // groups, *kernel.shape[2:])
    once, none = (1,) * axes, ((0, 0),) * axes
    offset = _optional(builder, bias)
    source = gathered(builder, x, stuffed)
    return convolution(builder, source, turned, offset, once, none, dilation, int(groups))


def batch_norm(builder: Builder, x: Value, running_mean: Any, running_var: Any,
               weight: Any = None, bias: Any = None, training: bool = False,
               momentum: Any = 0.1, eps: float = 1e-5) -> Value:  # fmt: skip
    """``F.batch_norm`` with running statistics, over axis 1."""
    del momentum
    if training or running_mean is None or running_var is None:
        raise ModelError(
            "a batch normalisation that uses the statistics of its batch",
            where=builder.where(),
            remedy="call model.eval(), and train with track_running_stats=True",
        )
    mean, variance = _constant(builder, running_mean), _constant(builder, running_var)
    if (variance + eps <= 0).any():
        raise ModelError("a running variance is negative", where=builder.where())
    factor = 1.0 / np.sqrt(variance + eps)
    if weight is not None:
        factor = factor * _constant(builder, weight)
    offset = -mean * factor
    if bias is not None:
        offset = offset + _constant(builder, bias)
    shape = (-1, *(1,) * (len(x.dims) - 2))
    return builder.bias(builder.scale(x, factor.reshape(shape)), offset.reshape(shape))


def dropout(builder: Builder, x: Value, p: float = 0.5, training: bool = False,
            inplace: bool = False) -> Value:  # fmt: skip
    """``F.dropout`` in evaluation mode."""
    del inplace
    if training and p:
        raise ModelError(
            "a dropout in training mode", where=builder.where(), remedy="call model.eval()"
        )
    return x


# -- upsampling -----------------------------------------------------------------------------------


def interpolate(builder: Builder, x: Value, size: Any = None, scale_factor: Any = None,
                mode: str = "nearest", align_corners: Any = None,
                recompute_scale_factor: Any = None, antialias: bool = False) -> Value:  # fmt: skip
    """``F.interpolate`` to the nearest neighbour."""
    del align_corners, recompute_scale_factor, antialias
    if mode not in ("nearest", "nearest-exact"):
        raise refuse(builder, "an interpolation other than nearest", mode)

    def enlarged(ids: Any) -> Any:
        wide = torch.nn.functional.interpolate(ids.double(), size, scale_factor, mode)
        return wide.long()

    return gathered(builder, x, enlarged)


def upsample_nearest(builder: Builder, x: Value, output_size: Any, *factors: Any) -> Value:
    """``aten.upsample_nearest*``."""
    factor = next((f for f in factors if f is not None), None)
    return interpolate(builder, x, output_size, None if output_size is not None else factor)


def _constant(builder: Builder, parameter: Any) -> Any:
    if isinstance(parameter, Value):
        raise refuse(builder, "weights that depend on the input")
    array = numpy_of(parameter)
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise ModelError(
            "the values must be finite",
            where=builder.where(),
            found=f"{bad} of {array.size} values are NaN or infinite",
            remedy="repair the checkpoint; a diverged training run is the usual cause",
        )
    return array


def _optional(builder: Builder, parameter: Any) -> Any:
    return None if parameter is None else _constant(builder, parameter)


TABLE: dict[str, Handler] = {
    "linear": linear, "addmm": addmm, "conv1d": conv, "conv2d": conv, "conv3d": conv,
    "conv_transpose1d": conv_transpose, "conv_transpose2d": conv_transpose,
    "conv_transpose3d": conv_transpose, "batch_norm": batch_norm, "dropout": dropout,
    "dropout1d": dropout, "dropout2d": dropout, "dropout3d": dropout, "feature_dropout": dropout,
    "alpha_dropout": dropout, "interpolate": interpolate,
    **{f"upsample_nearest{k}d": upsample_nearest for k in (1, 2, 3)},
}  # fmt: skip
