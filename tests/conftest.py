"""Hypothesis profiles: random by day, the same examples every time under CI."""

import os

from hypothesis import settings

settings.register_profile("day", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "day")
