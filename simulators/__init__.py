"""Executions of an integer network: reference (the definition), functional (fast), cycle-level."""
