"""Fixtures of the tests of whole networks."""

import os

from tests.support.netns import hosts as hosts

# seven to fifteen processes that wait for each other: for a machine that has nothing else to do
collect_ignore = [] if os.environ.get("SEEDKEEP_FEDERATION") else ["test_federation.py"]
