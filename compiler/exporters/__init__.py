"""Networks to model files that other tools read."""
