"""What every exported project starts with."""
