"""Files that run where Lava is: they import the standard library, NumPy and Lava, never snnc."""
