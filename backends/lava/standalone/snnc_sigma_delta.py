"""Lava's sigma-delta processes with the reset interval that Lava gives only to its LIF.

Standalone: NumPy and lava-nc 0.10.0 only (on Python 3.11 and newer call ``lava_import.prepare()``
first), Python 3.10 syntax.  Parameters and arithmetic are those of ``lava.proc.sdn``, whose
fixed-point models are inherited; in the steps that Lava's LIFReset takes, where
time_step % reset_interval == reset_offset % reset_interval, all states are zero before anything
else.  (Lava's Reset process would do it from outside, but writes 64-bit states, whose sums no
longer wrap as Lava's do.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.sdn.models import PyDeltaModelFixed, PySigmaDeltaModelFixed, PySigmaModelFixed
from lava.proc.sdn.process import ActivationMode, Delta, Sigma, SigmaDelta

STATES = ("sigma", "act", "residue", "error")


def _with_reset(process: Any, interval: int, offset: int, name: str) -> None:
    """Hand the interval to the model; Lava's own constructors pass on neither it nor a name."""
    process.proc_params["reset_interval"] = interval
    process.proc_params["reset_offset"] = offset
    if name:
        process.name = name


class SigmaDeltaReset(SigmaDelta):
    """``lava.proc.sdn.SigmaDelta`` that begins anew at intervals; ``relu`` or the sum itself."""

    def __init__(
        self,
        *,
        reset_interval: int,
        reset_offset: int = 0,
        relu: bool = True,
        name: str = "",
        **parameters: Any,
    ) -> None:
        mode = ActivationMode.RELU if relu else ActivationMode.UNIT
        super().__init__(act_mode=mode, **parameters)
        _with_reset(self, reset_interval, reset_offset, name)


class DeltaReset(Delta):
    """``lava.proc.sdn.Delta`` that begins anew at intervals."""

    def __init__(
        self, *, reset_interval: int, reset_offset: int = 0, name: str = "", **parameters: Any
    ) -> None:
        super().__init__(**parameters)
        _with_reset(self, reset_interval, reset_offset, name)


class SigmaReset(Sigma):
    """``lava.proc.sdn.Sigma`` that begins anew at intervals."""

    def __init__(
        self, *, reset_interval: int, reset_offset: int = 0, name: str = "", **parameters: Any
    ) -> None:
        super().__init__(**parameters)
        _with_reset(self, reset_interval, reset_offset, name)


class _Resets:
    """Set the states to zero, in their own type, before a step that begins an interval."""

    def run_spk(self: Any) -> None:
        interval, offset = (self.proc_params[f"reset_{part}"] for part in ("interval", "offset"))
        if self.time_step % interval == offset % interval:
            for state in STATES:
                if isinstance(getattr(self, state, None), np.ndarray):
                    setattr(self, state, np.zeros_like(getattr(self, state)))
        super().run_spk()  # type: ignore[misc]


@implements(proc=SigmaDeltaReset, protocol=LoihiProtocol)
class PySigmaDeltaReset(_Resets, PySigmaDeltaModelFixed):
    """Lava's fixed-point model with resets; resources and tag are inherited."""

    implements_process = None  # or Lava would take it for a second model of SigmaDelta


@implements(proc=DeltaReset, protocol=LoihiProtocol)
class PyDeltaReset(_Resets, PyDeltaModelFixed):
    """Lava's fixed-point model with resets."""

    implements_process = None


@implements(proc=SigmaReset, protocol=LoihiProtocol)
class PySigmaReset(_Resets, PySigmaModelFixed):
    """Lava's fixed-point model with resets."""

    implements_process = None
