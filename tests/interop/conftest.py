"""Fixtures of the tests with other people's programs."""

from tests.support.netns import hosts as hosts
