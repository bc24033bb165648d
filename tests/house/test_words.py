"""The project speaks of itself alone. What is searched for is put together here, so that this file holds none of it."""

import re

import pytest

from tests.house import tracked

HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("python" + "hosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("crates", "io"),
    )
]
FOLDERS = [f"/{name}/" for name in ("work", "home", "root", "tmp", "Users", "workspace")]
WRITERS = ["anth" + "ropic", "cla" + "ude", "chat" + "gpt", "co" + "pilot", "sub" + "agent", "co-authored" + "-by"]
WORKPLACE = [".." + "/shared", "PATCHBAY_" + "SHARED=", "issues" + " show"]

_BEFORE = r"(?<![\w.~}])"  # a path begins here: not a part of an address or of a longer path


def _found(pattern: str) -> list[str]:
    wanted = re.compile(pattern, re.IGNORECASE)
    return [
        f"{tracked.named(path)}:{number}: {line.strip()[:120]}"
        for path, text in tracked.texts()
        for number, line in enumerate(text.splitlines(), 1)
        if wanted.search(line)
    ]


@pytest.mark.parametrize("host", HOSTS)
def test_no_file_names_a_package_registry(host: str) -> None:
    """No tracked file holds the host name of a package registry."""
    assert _found(re.escape(host)) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_names_a_folder_of_a_machine(folder: str) -> None:
    """No tracked file holds an absolute path of somebody's machine."""
    assert _found(_BEFORE + re.escape(folder)) == []


@pytest.mark.parametrize("word", WRITERS + WORKPLACE)
def test_no_file_speaks_of_who_wrote_it_where(word: str) -> None:
    """No tracked file names tools that write code, or the place where it was written."""
    assert _found(re.escape(word)) == []


def test_no_file_is_marked_as_unfinished() -> None:
    """No tracked file holds a note that something is left to do."""
    notes = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X"))
    assert [line for line in _found(rf"\b({notes})\b") if not line.startswith("LICENSE")] == []


def test_the_search_finds_what_it_looks_for() -> None:
    """Words that are here are found, with file and line."""
    assert any(line.startswith("LICENSE:") for line in _found("Apache License"))
