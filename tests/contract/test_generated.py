"""Generated files are what the generator makes of the protos, and the checks of the protos find what they should."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import check_contract, documents
from scripts.generate import OUTPUTS, write_image
from server.contract.comments import own_comments
from server.contract.definitions import ModuleDefinition
from server.contract.failures_page import failures_page
from server.contract.golden import golden
from server.contract.own import own_modules

ROOT = Path(__file__).resolve().parents[2]
LIBRARY_NOISE = {"__pycache__"}


def _tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and not LIBRARY_NOISE & set(path.parts)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_generated_files_are_up_to_date(tmp_path: Path) -> None:
    """Generating anew gives exactly the files that are committed."""
    command = [sys.executable, str(ROOT / "scripts" / "generate.py"), "--into", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=170)
    for output in OUTPUTS:
        new, committed = _tree(tmp_path / output), _tree(ROOT / output)
        left = sorted(name for name in committed.keys() - new.keys() if "_pb2.py" in name)
        assert not left, f"no proto makes these any more: {output} {left}"
        # The other way round other files are welcome: packages hold hand-written ones too.
        stale = sorted(name for name in new if committed.get(name) != new[name])
        assert not stale, f"run `python scripts/generate.py`: {output} differs in {stale}"


def test_the_page_of_failures_is_up_to_date() -> None:
    """docs/failures.md says what the contract says."""
    page = failures_page(own_modules(), own_comments())
    assert (ROOT / documents.FAILURES).read_text() == page, "run `python scripts/documents.py`"


@pytest.mark.parametrize("module", own_modules(), ids=lambda module: module.provider)
def test_golden_catalog_is_up_to_date(module: ModuleDefinition) -> None:
    """What can be observed of a module is what was reviewed."""
    path = ROOT / documents.GOLDEN / f"{module.provider}.json"
    assert path.exists(), "run `python scripts/documents.py --golden`"
    assert path.read_text() == golden(module), "look at the change, then run `python scripts/documents.py --golden`"


def test_no_golden_catalog_is_left_over() -> None:
    """Every golden catalog belongs to a module that exists."""
    found = {path.stem for path in (ROOT / documents.GOLDEN).glob("*.json")}
    assert found == {module.provider for module in own_modules()}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of the present protos."""
    path = tmp_path_factory.mktemp("image") / "image.binpb"
    write_image(path, ROOT / "proto")
    return path


def test_protos_are_in_order(image: Path) -> None:
    """buf lint and buf format find nothing in the repository's protos."""
    assert check_contract.lint(image) == []
    assert check_contract.formatting(ROOT / "proto") == []


PLANTED = """syntax = "proto3";

package patchbay.planted.v1;

message planted {
  string Name = 1;
}
"""


def test_lint_finds_what_is_planted(tmp_path: Path) -> None:
    """Missing comments and wrong names are found, so the configuration from buf.yaml is in force."""
    folder = tmp_path / "proto" / "patchbay" / "planted" / "v1"
    folder.mkdir(parents=True)
    (folder / "planted.proto").write_text(PLANTED)
    planted = tmp_path / "image.binpb"
    write_image(planted, tmp_path / "proto")
    text = "\n".join(check_contract.lint(planted))
    assert "planted.proto" in text
    assert "comment" in text
    assert "Name" in text


def test_format_finds_what_is_planted(tmp_path: Path) -> None:
    """A file that is not formatted is found."""
    (tmp_path / "planted.proto").write_text(PLANTED.replace("  string", "string"))
    assert check_contract.formatting(tmp_path)


def test_breaking_finds_what_is_planted(tmp_path: Path) -> None:
    """A removed field is found by buf breaking; an unchanged state is clean."""
    images = {}
    for name, text in (("old", PLANTED), ("new", PLANTED.replace("  string Name = 1;\n", ""))):
        folder = tmp_path / name / "patchbay" / "planted" / "v1"
        folder.mkdir(parents=True)
        (folder / "planted.proto").write_text(text)
        images[name] = tmp_path / f"{name}.binpb"
        write_image(images[name], tmp_path / name)
    assert any("Name" in line for line in check_contract.breaking(images["new"], images["old"]))
    assert check_contract.breaking(images["old"], images["old"]) == []


def test_buf_is_configured_by_its_own_file() -> None:
    """The sections of buf.yaml are read without a YAML library, comments left out."""
    lint = check_contract.section("lint")
    assert lint["use"] == ["STANDARD", "COMMENTS"]
    assert "SERVICE_SUFFIX" in lint["except"]
    assert check_contract.section("breaking") == {"use": ["FILE"]}
