"""What people give: JSON, files, secrets in the wrong place, wrong usage."""

import io
import subprocess
import sys

import pytest

from server.cli.exits import MEANING, ExitCode
from server.cli.problems import Problem
from server.cli.reading import read_json_object


@pytest.mark.parametrize(
    ("text", "place", "caret"),
    [
        ('{"a": 1,}', "line 1, column 9", 8),
        ('{"a" 1}', "line 1, column 6", 5),
        ("", "line 1, column 1", 0),
        ('{\n  "a": tru\n}', "line 2, column 8", 7),
        ('{"a": "' + "x" * 300 + '" 1}', "line 1, column 310", 50),
        ('{"a": 1', "line 1, column 8", 7),
    ],
)
def test_malformed_json_is_located(text: str, place: str, caret: int) -> None:
    """A mistake is told with line and column, the line itself and a caret below the spot, long lines cut."""
    with pytest.raises(Problem, match=place) as caught:
        read_json_object(text, "--input")
    assert caught.value.code == ExitCode.BAD_INPUT
    line, pointer = caught.value.detail.split("\n")
    assert pointer == " " * caret + "^"
    assert len(line) <= 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "is a list"),
        ('"x"', "is a text"),
        ("null", "is null"),
        ("3", "is a number"),
        ("true", "is a boolean"),
        ('{"a": NaN}', "NaN is not a JSON value"),
        ('{"a": {"b": 1, "b": 2}}', "'b' stands twice"),
        ("@missing.json", "No such file"),
    ],
)
def test_json_that_is_no_input(text: str, words: str) -> None:
    """Everything but one plain JSON object is refused with the reason."""
    with pytest.raises(Problem, match=words):
        read_json_object(text, "--input")


def test_endless_nesting() -> None:
    """Nesting that no parser follows is refused, not a crash."""
    with pytest.raises(Problem):
        read_json_object('{"a":' * 100_000, "--input")


def test_json_from_file_and_stdin(tmp_path, monkeypatch) -> None:
    """The same object can come from a file or from standard input."""
    file = tmp_path / "input.json"
    file.write_text('{"name": "ü"}', encoding="utf-8")
    assert read_json_object(f"@{file}", "--input") == {"name": "ü"}
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"name": "stdin"}'))
    assert read_json_object("-", "--input") == {"name": "stdin"}
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(Problem, match="UTF-8"):
        read_json_object(f"@{file}", "--input")


@pytest.mark.parametrize(
    "arguments",
    [
        ("catalog", "--api-key", "planted"),
        ("catalog", "--api-key=planted"),
        ("connections", "connect", "tacticalrmm", "--password=planted"),
        ("connections", "connect", "tacticalrmm", "--totp-secret", "planted"),
        ("connections", "connect", "tacticalrmm", "--set", "api_key=planted"),
        ("connections", "connect", "tacticalrmm", "--set", "login.password=planted"),
        ("connections", "connect", "tacticalrmm", "--settings", '{"api_key": "planted"}'),
        ("keys", "revoke", "planted" + "x" * 80),
        ("catalog", "-token", "planted"),
    ],
)
@pytest.mark.parametrize("machine", [False, True])
def test_secrets_in_arguments_are_refused(patchbay, arguments, machine) -> None:
    """A secret in an argument is refused before anything is sent, and not repeated in the message."""
    ended = patchbay(*arguments, *(["--json"] if machine else []))
    assert ended.code == ExitCode.BAD_INPUT
    assert "planted" not in ended.out + ended.err
    assert ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("unheard-of",),
        ("execute",),
        ("execute", "a.b", "--input", "{"),
        ("execute", "a.b", "--run", "r"),
        ("execute", "a.b", "--timeout", "0"),
        ("executions", "show"),
        ("executions", "show", "id", "--key", "k"),
        ("executions", "list", "--state", "lost"),
        ("executions", "resolve", "id", "--verdict", "nothing-happened", "--reason", "r", "--output", "{}"),
        ("catalog", "--api-key-file", "missing-file"),
        ("catalog", "--ca-file", "missing-file"),
        ("catalog", "--ca-file", "pyproject.toml"),
        ("catalog", "--client-key", "missing-file"),
        ("connections", "connect", "x", "--set", "novalue"),
    ],
)
def test_wrong_usage(patchbay, arguments) -> None:
    """Wrong usage ends with 2 and one JSON line on standard error, nothing on standard output."""
    ended = patchbay(*arguments, "--json")
    assert ended.code == ExitCode.BAD_INPUT
    assert ended.out == ""
    [line] = ended.lines
    assert line["error"]["exit_code"] == 2
    assert line["error"]["message"]


def test_help_has_the_exit_codes(patchbay) -> None:
    """Every exit code and its meaning stand in `patchbay --help`."""
    ended = patchbay("--help")
    assert ended.code == 0
    assert set(MEANING) == set(ExitCode)
    for code, meaning in MEANING.items():
        assert f"{code:d} {meaning.replace('`', '')}" in ended.out


def test_every_command_has_help_and_json(patchbay) -> None:
    """Each command explains itself and takes the shared options."""
    commands = ["demo", "up", "serve", "migrate", "catalog", "describe", "execute", "secrets rotate"]
    commands += [f"executions {name}" for name in ("list", "show", "resolve", "cancel")]
    commands += [f"connections {name}" for name in ("list", "providers", "connect", "test", "disconnect")]
    commands += ["keys create", "keys list", "keys revoke", "tenants create", "tenants list"]
    for command in commands:
        ended = patchbay(*command.split(), "--help")
        assert ended.code == 0, command
        for option in ("--json", "--server", "--tenant", "--api-key-file"):
            assert option in ended.out, command


def test_base_installation_is_enough() -> None:
    """Importing the command line loads nothing that only a server needs."""
    code = (
        "import sys, server.cli\n"
        "loaded = set(sys.modules)\n"
        "tops = {name.partition('.')[0] for name in loaded}\n"
        "assert not tops & {'google', 'asyncpg', 'aiohttp', 'httpx', 'structlog', 'sandbox', 'uvicorn'}, tops\n"
        "rooms = {name for name in loaded if name.startswith('server.')}\n"
        "assert all(name.startswith(('server.cli', 'server.errors')) for name in rooms), rooms\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
