"""The helpers here compare, and say what differed as a test does."""

import pytest

pytest.register_assert_rewrite("tests.sim.exact", "tests.sim.books", "tests.sim.crowd")
