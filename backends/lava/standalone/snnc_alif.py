"""lava-dl's adaptive LIF as a Lava process, which neither Lava nor netx has.

Standalone: NumPy and lava-nc 0.10.0 only (on Python 3.11 and newer call ``lava_import.prepare()``
first), Python 3.10 syntax.  Bit-accurate, tagged ``fixed_pt``; equal to
``lava.lib.dl.slayer.neuron.alif`` 0.6.0, whose currents and potentials no register bounds: here
they clip at 32 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

ACT_SHIFT = 6
DECAY_BITS = 12
LIMIT = 1 << 31


class ALIF(AbstractProcess):
    """Adaptive LIF neurons.  In every step, tz(x, d) = x (4096 - d) / 4096 rounded toward zero::

        u = clip(tz(u, du) + ((a_in + bias) << 6))
        v = clip(tz(v, dv) + u)
        r = tz(r, dref)
        th = tz(th, dth)                        what the threshold has risen above vth << 6
        s_out = v >= (vth << 6) + th + r
        r += 2 ((vth << 6) + th), th += vth_step << 6 where s_out

    Parameters are integers, one or one per neuron: decays 0 to 4096, as a ``.net`` file has them
    (iDecay, vDecay, refDecay, thDecay), ``vth`` and ``vth_step`` (vThMant, vThStep) not negative.
    With a ``reset_interval`` all states are set to zero in the steps that Lava's LIFReset takes:
    where time_step % reset_interval == reset_offset % reset_interval, before anything else.
    """

    def __init__(
        self,
        *,
        shape: tuple,
        du: Any,
        dv: Any,
        dth: Any,
        dref: Any,
        vth: Any,
        vth_step: Any,
        bias: Any = 0,
        reset_interval: int = 0,
        reset_offset: int = 0,
        name: str = "",
    ) -> None:
        super().__init__(
            shape=shape,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            name=name or None,
        )
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        for state in ("u", "v", "th", "r"):
            setattr(self, state, Var(shape=shape, init=0))
        parameters = {
            "du": du, "dv": dv, "dth": dth, "dref": dref, "vth": vth, "vth_step": vth_step,
            "bias": bias,
        }  # fmt: skip
        for label, value in parameters.items():
            values = np.asarray(value)
            if values.dtype.kind not in "iu":
                raise ValueError(f"{label} must be integers")
            setattr(self, label, Var(shape=shape, init=np.broadcast_to(values, shape).copy()))


@implements(proc=ALIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyALIF(PyLoihiProcessModel):
    """``ALIF`` in NumPy."""

    a_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    u: Any = LavaPyType(np.ndarray, np.int64)
    v: Any = LavaPyType(np.ndarray, np.int64)
    th: Any = LavaPyType(np.ndarray, np.int64)
    r: Any = LavaPyType(np.ndarray, np.int64)
    du: Any = LavaPyType(np.ndarray, np.int64)
    dv: Any = LavaPyType(np.ndarray, np.int64)
    dth: Any = LavaPyType(np.ndarray, np.int64)
    dref: Any = LavaPyType(np.ndarray, np.int64)
    vth: Any = LavaPyType(np.ndarray, np.int64)
    vth_step: Any = LavaPyType(np.ndarray, np.int64)
    bias: Any = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.interval = proc_params["reset_interval"]
        self.offset = proc_params["reset_offset"]

    def run_spk(self) -> None:
        a = self.a_in.recv().astype(np.int64)
        if self.interval and self.time_step % self.interval == self.offset % self.interval:
            for state in (self.u, self.v, self.th, self.r):
                state[:] = 0
        drive = (a + self.bias) << ACT_SHIFT
        self.u[:] = np.clip(decayed(self.u, self.du) + drive, -LIMIT, LIMIT - 1)
        self.v[:] = np.clip(decayed(self.v, self.dv) + self.u, -LIMIT, LIMIT - 1)
        self.r[:] = decayed(self.r, self.dref)
        self.th[:] = decayed(self.th, self.dth)
        threshold = (self.vth << ACT_SHIFT) + self.th
        fires = self.v >= threshold + self.r
        self.r[:] += 2 * threshold * fires
        self.th[:] += (self.vth_step << ACT_SHIFT) * fires
        self.s_out.send(fires.astype(np.int32))


def decayed(x: Any, decay: Any) -> Any:
    """``x (4096 - decay) / 4096`` rounded toward zero."""
    product = x * ((1 << DECAY_BITS) - decay)
    return np.sign(product) * (np.abs(product) >> DECAY_BITS)
