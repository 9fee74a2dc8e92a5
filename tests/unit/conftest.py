"""Settings of the property tests."""

from hypothesis import HealthCheck, settings

# No deadline for one example: what these tests check does not depend on the machine's speed.
settings.register_profile(
    "unit", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60
)
settings.load_profile("unit")
