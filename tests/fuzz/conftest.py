"""Every operation that schemathesis tries is a test with a name of its own."""

import pytest
from schemathesis.pytest.plugin import SchemathesisFunction


def pytest_itemcollected(item: pytest.Item) -> None:
    # Since pytest 9.2 an id is made of the function's name, in which schemathesis' operation is not. Workers are told
    # by id what to run: of sixty tests with one id they would run one.
    if isinstance(item, SchemathesisFunction):
        item._id = item.parent.id.child(item.name)
