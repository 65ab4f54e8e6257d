"""The ``snnc`` command."""
