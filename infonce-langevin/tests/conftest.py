"""What several test files share."""

import jaxtyping
import pytest
import torch


@pytest.fixture
def unchecked(monkeypatch):
    """As for a user: nothing checks shapes and types before our own messages do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """As cells run; small tensors are slower on more threads."""
    torch.set_num_threads(1)
