"""Documents say what is there: links, snippets, tables and the list of decisions are compared with the files."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.settings import Settings
from tests.house import tracked
from tests.support.paths import ROOT

README_LINES, DECISION_LINES = 150, 70

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCED = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DECISIONS = ROOT / "docs" / "decisions"


def _documents() -> list[Path]:
    return [path for path in tracked.files() if path.suffix == ".md"]


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "code", _FENCED.sub("", text))


def _anchor(heading: str) -> str:
    """Returns the anchor that a heading gets when it is shown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _anchors(text: str) -> set[str]:
    return {_anchor(heading) for heading in _HEADING.findall(_FENCED.sub("", text))}


def _broken(document: Path) -> Iterator[str]:
    for link in _LINK.findall(_without_code(document.read_text(encoding="utf-8"))):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists():
            yield f"{tracked.named(document)}: {link} leads nowhere"
        elif anchor and anchor not in _anchors(target.read_text(encoding="utf-8")):
            yield f"{tracked.named(document)}: {link} has no such heading"


def _rows(text: str) -> list[list[str]]:
    """Returns the cells of every table row, headings included."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _codes(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", _FENCED.sub("", text)))


def _section(text: str, heading: str) -> str:
    _, _, rest = text.partition(f"## {heading}\n")
    assert rest, f"there is no section {heading}"
    return rest.partition("\n## ")[0]


def test_every_link_leads_somewhere() -> None:
    """Links between documents name files and headings that exist."""
    assert [found for document in _documents() for found in _broken(document)] == []


def test_the_readme_is_short() -> None:
    """README.md has fewer than 150 lines."""
    assert len(_read("README.md").splitlines()) < README_LINES


def test_the_readme_begins_with_what_to_type() -> None:
    """The first commands of README.md are demo, test and up, and the Makefile has them."""
    first = _FENCED.findall(_read("README.md"))[0][2]
    targets = re.findall(r"^make (\w+)", first, re.MULTILINE)
    assert targets == ["demo", "test", "up"]
    assert all(f"\n{target}:" in _read("Makefile") for target in targets)


def test_the_readme_has_every_setting() -> None:
    """The table of README.md names every setting, and nothing that is none."""
    rows = _rows(_section(_read("README.md"), "Configuration"))
    told = {name for cells in rows[1:] for name in _codes(cells[0])}
    assert told == {field.name.upper() for field in dataclasses.fields(Settings)} | {"MASTER_KEY"}


def test_the_readme_has_the_defaults_of_settings() -> None:
    """Numbers and words that README.md gives as defaults are the ones in the code."""
    rows = _rows(_section(_read("README.md"), "Configuration"))
    defaults = {field.name.upper(): field.default for field in dataclasses.fields(Settings)}
    wrong = []
    for names, told, _ in rows[1:]:
        listed = sorted(_codes(names), key=names.index)
        values = [value.strip().strip("`") for value in told.split(",")]
        for name, value in zip(listed, values * len(listed) if len(values) == 1 else values, strict=False):
            if name in defaults and value != _shown(defaults[name]):
                wrong.append(f"{name}: {value}, not {_shown(defaults[name])}")
    assert wrong == []


def _shown(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int) and default >= 1 << 20:
        return f"{default >> 20} MiB"
    return f"{default:g}" if isinstance(default, int | float) else str(default)


@pytest.mark.parametrize("name", ["docs/adding-a-module.md"])
def test_snippets_are_parts_of_the_files_they_name(name: str) -> None:
    """A fenced block with a file name is a run of whole lines of that file; every block but shell has one."""
    blocks = _FENCED.findall(_read(name))
    assert len(blocks) > 10
    for language, source, block in blocks:
        if language == "sh":
            continue
        assert source, f"a block of {language} names no file: {block[:60]}"
        assert f"\n{block}" in f"\n{_read(source)}\n", f"{source} has no such lines:\n{block}"


def test_every_decision_is_listed_once() -> None:
    """docs/decisions/README.md lists every decision by number and title, in order, without a gap."""
    pages = sorted(path for path in _DECISIONS.glob("*.md") if path.name != "README.md")
    wanted = []
    for number, page in enumerate(pages, 1):
        heading = page.read_text(encoding="utf-8").splitlines()[0]
        assert page.name.startswith(f"{number:04}-"), f"{page.name} is not number {number}"
        assert heading.startswith(f"# {number}. "), f"{page.name} begins with {heading}"
        wanted.append([f"[{number:04}]({page.name})", heading.partition(". ")[2]])
    assert _rows((_DECISIONS / "README.md").read_text(encoding="utf-8"))[1:] == wanted


def test_a_decision_is_one_page() -> None:
    """Every decision has at most 70 lines and says what was decided."""
    pages = list(_DECISIONS.glob("0*.md"))
    long = [page.name for page in pages if len(page.read_text(encoding="utf-8").splitlines()) > DECISION_LINES]
    assert long == []
    assert all("\n## Decision\n" in page.read_text(encoding="utf-8") for page in pages)


def test_every_dependency_has_its_reason() -> None:
    """Each requirement in pyproject.toml and the client's stands in the table of decision 11."""
    table = _read("docs/decisions/0011-dependencies.md")
    told = {name for cells in _rows(table) for name in re.split(r",\s*", cells[0])}
    missing = []
    for file in ("pyproject.toml", "clients/python/pyproject.toml"):
        project = tomllib.loads(_read(file))["project"]
        extras = [one for group in project.get("optional-dependencies", {}).values() for one in group]
        for requirement in [*project["dependencies"], *extras]:
            name = re.split(r"[<>=!~; ]", requirement)[0]
            if name not in told and not name.startswith("patchbay"):
                missing.append(f"{file}: {name}")
    assert missing == []


def test_the_changelog_keeps_its_form() -> None:
    """CHANGELOG.md has Unreleased first, then versions downwards, the newest ours, with known kinds of change."""
    headings = re.findall(r"^## (.+)$", _read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    versions = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\]( - \d{4}-\d{2}-\d{2})?", heading) for heading in headings[1:]]
    assert all(versions), headings
    numbers = [tuple(map(int, found.groups()[:3])) for found in versions if found]
    assert numbers == sorted(numbers, reverse=True)
    kinds = set(re.findall(r"^### (.+)$", _read("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert ".".join(map(str, numbers[0])) == tomllib.loads(_read("pyproject.toml"))["project"]["version"]


def test_the_architecture_names_every_table() -> None:
    """The table of docs/architecture.md lists exactly the tables that the migrations make, and files that exist."""
    rows = _rows(_section(_read("docs/architecture.md"), "Storage"))
    told = {name for cells in rows[1:] for name in _codes(cells[0])}
    sql = "".join(path.read_text() for path in (ROOT / "server/store/migrations").glob("*.sql"))
    made = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", sql)) | {"patchbay_schema_version"}
    assert told == made
    files = {name for cells in rows[1:] for name in _codes(cells[2])}
    assert [name for name in files if not (ROOT / "server" / name).is_file()] == []


def test_the_architecture_names_every_room() -> None:
    """The tree of docs/architecture.md has every room and file of `server/` and every folder of the repository."""
    tree = _section(_read("docs/architecture.md"), "The tree")
    named = set(re.findall(r"[\w./-]+", tree))
    inner = {path.relative_to(ROOT / "server").parts[0] for path in tracked.files() if "server" in path.parts[-3:]}
    inner |= {path.name for path in (ROOT / "server").iterdir() if path.is_dir() and path.name != "__pycache__"}
    missing = [name for name in sorted(inner) if not {name, f"{name}/"} & named and name != "__init__.py"]
    assert missing == []
    outer = {path.relative_to(ROOT).parts[0] for path in tracked.files() if len(path.relative_to(ROOT).parts) > 1}
    assert [name for name in sorted(outer - {"docs", ".ci"}) if not any(f"{name}/" in one for one in named)] == []


def test_the_architecture_names_files_that_exist() -> None:
    """Every Python file that docs/architecture.md names is below `server/` or the repository."""
    named = {name for name in _codes(_read("docs/architecture.md")) if re.fullmatch(r"[\w/]+\.py", name)}
    assert len(named) > 20
    homes = [ROOT, ROOT / "server", ROOT / "server" / "sdk" / "http"]
    assert [name for name in sorted(named) if not any((home / name).is_file() for home in homes)] == []


def test_the_architecture_has_the_layers_that_are_checked() -> None:
    """The stack in docs/architecture.md is that of the import contract."""
    layers = tomllib.loads(_read("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]["layers"]
    wanted = [set(re.findall(r"server\.(\w+)", layer)) for layer in layers]
    block = _FENCED.findall(_section(_read("docs/architecture.md"), "Layers"))[0][2]
    told = [set(re.findall(r"[a-z_]+", line.partition("        ")[0])) for line in block.splitlines()]
    assert told == wanted
