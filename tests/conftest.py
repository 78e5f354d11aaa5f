"""Settings for all tests that must be made before torch is imported."""

import pytest

from seallm.base.runtime import calm_threads

calm_threads()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: where files are shared out among processes, none is left for the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
