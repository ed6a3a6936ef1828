"""Fixtures of the tests of whole networks."""

from tests.support.netns import hosts as hosts
