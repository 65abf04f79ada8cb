"""The README and the guide keep their promises: two commands for a newcomer, and only commands that exist."""

import re
from pathlib import Path

import pytest
from experiment_files import load

from jaxnn.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs/guide.md").read_text()


def test_quick_start_is_one_block_of_exactly_two_commands():
    section = README.split("## Quick start")[1].split("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    first, second = block.strip().split("\n")
    assert "pip install" in first
    assert first.endswith("jaxnn train lenet5")
    assert "[test]" in second
    assert second.endswith("pytest")


def test_every_command_is_shown_and_every_command_shown_exists():
    shown = set(re.findall(r"^jaxnn ([\w-]+)", GUIDE, re.MULTILINE))
    assert shown == COMMANDS.keys()


def test_the_readme_is_one_look():
    assert len(README.splitlines()) <= 120


def test_tables_are_what_verify_and_the_benchmarks_recorded():
    front_page = load("front_page")
    assert front_page.with_tables(README) == README, "run python experiments/front_page.py"
    rows = front_page.speed(front_page.RESULTS.read_text()).splitlines()
    assert {row.split(" | ")[0].lstrip("| ") for row in rows[2:]} == set(front_page.NETWORKS.values())


def test_a_table_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="must have the marks"):
        load("front_page").fill("no marks", "speed", "")
