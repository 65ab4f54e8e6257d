"""The commands: each parses its options, calls the function of the same name, shows the result.

What only one command takes stands in its module; what several take, in ``snnc.cli.options``.
"""
