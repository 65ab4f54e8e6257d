"""Data models of snnc: ``Network``, ``IntegerNetwork``, ``Deployment``; they decide nothing."""
