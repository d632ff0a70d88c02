"""Settings for every test."""

import pytest
import torch

# Many threads on tiny tensors only get in each other's way: minutes instead of seconds.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """A cache for the tests alone, so that they neither find nor leave anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
