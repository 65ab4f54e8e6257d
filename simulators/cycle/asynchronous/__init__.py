"""Machines without time steps: every packet is worked on when it arrives.

``snnc.simulators.reference.event_order`` defines the order; here are the kernel, the run and the
report.
"""
