"""Group partition: a network larger than the machine becomes phases that take turns on it.

``phase`` decides cut and order (``plan``), maps every phase as a network of its own, and
``finish`` makes the checked ``PhasedDeployment`` with its report.
"""

from snnc.compiler.phases.build import PhasedMapping, check_target, finish, phase
from snnc.compiler.phases.sizes import Machine

__all__ = ["Machine", "PhasedMapping", "check_target", "finish", "phase"]
