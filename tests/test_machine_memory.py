"""How much memory there is: a number of bytes, a container's where it has a limit."""

import os

import pytest

from jaxnn import machine_memory
from jaxnn.machine_memory import available_memory, total_memory


def test_there_is_some_memory_and_no_more_is_free_than_there_is():
    assert 2**26 < available_memory() <= total_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(("limit", "expected"), [("1048576\n", 2**20), ("max\n", None)])
def test_a_containers_limit_counts(limit, expected, tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(machine_memory, "_LIMITS", (str(tmp_path / "nothing"), str(tmp_path / "memory.max")))
    assert total_memory() == (expected or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    assert available_memory() <= total_memory()


def test_a_system_that_tells_nothing_has_no_limit(monkeypatch):
    monkeypatch.setattr(machine_memory, "_LIMITS", ())
    monkeypatch.setattr(os, "sysconf", lambda name: int("no such name"))
    assert total_memory() == 2**63 - 1
