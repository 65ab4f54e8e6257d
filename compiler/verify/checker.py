"""All rules over one deployment."""

from __future__ import annotations

from snnc.compiler.verify.capacities import check_capacity, check_delay, check_weights
from snnc.compiler.verify.deadlock import check_deadlock
from snnc.compiler.verify.fanout import Fanout
from snnc.compiler.verify.function import check_function, compare
from snnc.compiler.verify.kernels import stored_kernels
from snnc.compiler.verify.keys import check_keys
from snnc.compiler.verify.layers import check_layers
from snnc.compiler.verify.nets import check_delivery, check_routes
from snnc.compiler.verify.neurons import check_neurons
from snnc.compiler.verify.pins import check_pins
from snnc.compiler.verify.placing import check_location, check_placement
from snnc.compiler.verify.report import RULES, Findings, VerifyReport
from snnc.compiler.verify.structure import check_structure
from snnc.compiler.verify.subject import Subject
from snnc.compiler.verify.timing import check_offsets, check_schedule
from snnc.compiler.verify.wires import check_wires
from snnc.ir.deployment import Deployment
from snnc.ir.errors import VerificationError
from snnc.ir.expand import expand_outline

SHOWN = 8


def verify(deployment: Deployment) -> VerifyReport:
    """Check every rule of ``RULES``.

    Returns:
        What was checked and what nobody can check.

    Raises:
        VerificationError: at least one rule is broken; the first violations are listed.
        UnsupportedError: the network holds an operator that no core computes.
    """
    return require(examine(deployment), deployment.network.name)


def require(report: VerifyReport, name: str) -> VerifyReport:
    """The report, unless it found something; raises as ``verify``."""
    if report.ok:
        return report
    total = sum(report.broken.values())
    shown = [str(violation) for violation in report.violations[:SHOWN]]
    if total > len(shown):
        shown.append(f"and {total - len(shown)} more")
    raise VerificationError(
        f"the deployment breaks {total} fact(s) of {len(report.broken)} rule(s)",
        where=name,
        found="\n    ".join(["", *shown]),
        allowed="; ".join(RULES[rule] for rule in report.broken),
        remedy="a compiled file that was not altered never breaks a rule: report it as a bug",
    )


def examine(deployment: Deployment) -> VerifyReport:
    """Check every rule and report the violations instead of raising.

    Rules that index freely run only when the tables' structure and offsets hold.
    """
    subject, findings = Subject(deployment), Findings()
    check_structure(subject, findings)
    if "structure" in findings.broken:
        return findings.report()
    check_placement(subject, findings)
    check_location(subject, findings)
    check_pins(subject, findings)
    check_offsets(subject, findings)
    fanout = Fanout(deployment.network)
    if not deployment.target.core.stores_kernels:
        check_capacity(subject, findings)
    elif "schedule" not in findings.broken:  # delays tell which projection an axon is of
        check_capacity(subject, findings, stored_kernels(subject, fanout.links, findings))
    check_weights(subject, findings)
    check_delay(subject, findings)
    check_layers(subject, findings)
    check_routes(subject, findings)
    check_delivery(subject, findings)
    check_keys(subject, findings)
    check_deadlock(subject, findings)
    if "schedule" in findings.broken:
        return findings.report()
    readout = expand_outline(deployment.network).readout
    check_schedule(subject, findings, fanout.links, readout)
    check_wires(subject, findings, fanout.links)
    compared = compare(subject, fanout)
    check_neurons(subject, findings, fanout.links, compared.drive)
    check_function(compared, findings)
    return findings.report()
