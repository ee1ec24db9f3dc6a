"""Files of weights in a study folder, which may come from somebody else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from protocol.errors import InputError
from runners.models.state_file import arrays_of, read_state


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    state = {"weight": torch.zeros(200, 300), "steps": torch.tensor(3)}
    np.savez(tmp_path / "w.npz", allow_pickle=False, **arrays_of(state))
    again = read_state(tmp_path / "w.npz", "weights")
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


def test_compressed_zeros_and_a_link_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", weight=np.zeros(2**22, np.float32))
    with pytest.raises(InputError, match="weights are not compressed"):
        read_state(tmp_path / "w.npz", "weights")
    (tmp_path / "link.npz").symlink_to(tmp_path / "w.npz")
    with pytest.raises(InputError, match="a link"):
        read_state(tmp_path / "link.npz", "weights")
