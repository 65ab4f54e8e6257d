"""Lava (lava-nc 0.10.0) as a backend: an ``IntegerNetwork`` as Lava processes, run in a worker.

The worker and the processes Lava lacks are in ``standalone/``, which imports nothing of snnc.
"""

from snnc.backends.lava.errors import LavaError
from snnc.backends.lava.launch import LavaOptions, LavaRun, run_on_lava
from snnc.backends.lava.lower import lower

__all__ = ["LavaError", "LavaOptions", "LavaRun", "lower", "run_on_lava"]
