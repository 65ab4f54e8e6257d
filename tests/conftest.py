"""Settings for every test."""

from hypothesis import settings

# A busy machine is slow at random moments; correctness tests do not measure time.
settings.register_profile("snnc", deadline=None)
settings.load_profile("snnc")
