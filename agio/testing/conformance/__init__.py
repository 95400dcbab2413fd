"""The conformance suite for stores: what every adapter of `agio.storage.port` must do, as pytest classes.

To run it over a store of your own, name your database in a `conftest.py` and import the suite beside it
(pytest-asyncio in its `auto` mode, hypothesis)::

    # conftest.py
    from agio.testing.conformance.backend import Backend
    from agio.testing.conformance.fixtures import *  # the suite's own fixtures

    @pytest.fixture
    def backend(tmp_path):
        return Backend(name="mine", hint_source="none", store_factory=..., age_worker=..., lose_hold=..., slow=..., ...)

    # test_mine.py
    from agio.testing.conformance.suite import *

Each test wants a database with nothing in it. What a backend cannot do it declares in `Backend.cannot`;
those tests are expected to fail, and a pass is then an error.
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.suite", f"{__name__}.records")
