"""Every parameter against the width Lava documents for it, before anything is started.

Lava 0.10.0 checks none of them: it truncates floats, clips weights, wraps biases, and an error
inside a process usually hangs the run.  Sources: the docstrings of ``proc/lif/models.py`` (u12
decays, s13 bias mantissa, u3 exponent, u17 threshold), ``proc/sdn/models.py`` (24 bits, u3
exponents), ``utils/weightutils.py`` (weights),
``proc/dense/models.py`` (delays), ``proc/conv/models.py`` (8-bit window parameters).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from snnc.backends.lava.errors import LavaError
from snnc.backends.lava.plan import Process
from snnc.ir.arrays import AnyArray

_U12, _U17 = (0, 4095), (0, (1 << 17) - 1)
_INT8, _INT32 = (0, 127), (-(2**31), 2**31 - 1)
_RESET = {"reset_interval": (1, _INT32[1]), "reset_offset": (0, _INT32[1])}
LIMITS: dict[str, dict[str, tuple[int, int]]] = {
    "Source": {"data": _INT32},
    "LIF": {
        "du": _U12, "dv": _U12, "vth": _U17, "bias_mant": (-4096, 4095), "bias_exp": (0, 7),
        **_RESET,
    },
    "TernaryLIF": {
        "du": _U12, "dv": _U12, "vth_hi": _U17, "vth_lo": (-_U17[1], 0),
        "bias_mant": (-4096, 4095), "bias_exp": (0, 7),
    },
    "SigmaDelta": {
        "vth": (0, (1 << 24) - 1), "bias": (-(1 << 15), (1 << 15) - 1), "spike_exp": (0, 7),
        "state_exp": (0, 7), **_RESET,
    },
    "Delta": {"vth": (0, (1 << 24) - 1), "spike_exp": (0, 7), "state_exp": (0, 7), **_RESET},
    "Sigma": _RESET,
    "ALIF": {
        **dict.fromkeys(("du", "dv", "dth", "dref"), (0, 4096)), "vth": (0, _INT32[1] >> 6),
        "vth_step": (0, _INT32[1] >> 6), **_RESET,
    },
    "Conv": {
        "weight": (-256, 255), "padding": _INT8, "stride": _INT8, "dilation": _INT8,
        "groups": _INT8, "num_message_bits": (0, 32),
    },
    **{kind: {
        "weights": (-256, 255), "weight_exp": (-24, 24), "num_weight_bits": (1, 8),
        "num_message_bits": (0, 32), "delays": (0, 63),
    } for kind in ("Dense", "Sparse", "DelayDense")},
}  # fmt: skip
_SIGNS = {"MIXED": (-256, 255), "EXCITATORY": (0, 255), "INHIBITORY": (-255, 0)}


def check(processes: Iterable[Process]) -> None:
    """Raise unless every parameter of Lava's own processes is an integer within its width.

    Raises:
        LavaError: naming process, parameter, value and width.
    """
    for process in processes:
        values = {**process.parameters, **process.arrays}
        values |= {label: matrix.data for label, matrix in process.matrices.items()}
        for label, limits in LIMITS.get(process.kind, {}).items():
            if label in values:
                _check(process, label, np.asarray(values[label]), limits)
        if "sign_mode" in values:
            _check_sign(process, str(values["sign_mode"]), np.asarray(values["weights"]))


def _check(process: Process, label: str, values: AnyArray, limits: tuple[int, int]) -> None:
    where = f"{process.name}.{label} ({process.kind})"
    if values.dtype.kind not in "iub":
        raise LavaError(
            "Lava's fixed-point models take integers, and hang or truncate otherwise",
            where=where,
            found=values.dtype,
            allowed=f"integers {limits[0]} to {limits[1]}",
            remedy="compile the network: `snnc compile` makes integers of it",
        )
    if values.size and not limits[0] <= int(values.min()) <= int(values.max()) <= limits[1]:
        raise LavaError(
            "a value beyond the width Lava documents, where it clips or wraps in silence",
            where=where,
            found=f"{int(values.min())} to {int(values.max())}",
            allowed=f"{limits[0]} to {limits[1]}",
            remedy="compile the network again, or run it on another backend",
        )


def _check_sign(process: Process, mode: str, weights: AnyArray) -> None:
    _check(process, "weights", weights, _SIGNS[mode])
    if mode == "MIXED" and (weights & 1).any():
        raise LavaError(
            "odd weights of mixed sign, whose last bit Lava cuts off",
            where=f"{process.name}.weights ({process.kind})",
            allowed="even numbers -256 to 254",
            remedy="double the weights and lower weight_exp by one",
        )
