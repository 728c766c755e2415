"""The README's printed digits, and its two commands, as a reader would copy them."""

import doctest
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("page", [README, README.parent / "docs" / "running.md"], ids=lambda path: path.name)
def test_a_page_prints_what_it_says(page: Path) -> None:
    done = doctest.testfile(str(page), module_relative=False)
    assert done.attempted > 10
    assert done.failed == 0


def test_each_command_is_one_line_from_nothing_to_its_end() -> None:
    commands = re.findall(r"```sh\n(.*)\n```", README.read_text(encoding="utf-8"))
    ends = [c.rsplit("&& ", 1)[1] for c in commands]
    assert ends == [".venv/bin/micrograd-xor study", ".venv/bin/python -m pytest -n auto"]
    assert all(c.startswith("python3 -m venv .venv && .venv/bin/pip install ") for c in commands)
