"""The independent checker: a deployment obeys its target and is exactly its network.

It recounts everything from the deployment's tables and shares no code with the mapper.
"""

from snnc.compiler.verify.checker import examine, verify
from snnc.compiler.verify.phased import examine_phased, verify_phased
from snnc.compiler.verify.report import RULES, VerifyReport, Violation

__all__ = [
    "RULES",
    "VerifyReport",
    "Violation",
    "examine",
    "examine_phased",
    "verify",
    "verify_phased",
]
