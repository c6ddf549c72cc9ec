"""How hard the property tests try: `default`, or `thorough` with `HYPOTHESIS_PROFILE=thorough`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

slow_is_fine = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=slow_is_fine)
settings.register_profile(
    "thorough", max_examples=1500, deadline=None, suppress_health_check=slow_is_fine, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
