"""What schemas say beside validity: names of unmapped rules, annotations, both forms, portable patterns."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from google.protobuf.descriptor import Descriptor

from server.conformance.ecma import EcmaValidator, compiled
from server.conformance.instances import TEXTS
from server.conformance.law import accepted
from server.contract.own import own_modules
from server.contract.patterns import NotPortable, literal, portable
from tests.contract.test_schema_law import contract_of, own_messages, torture_messages
from tests.gen.torture.v1 import torture_pb2

UNMAPPED: dict[str, tuple[str, Any]] = {
    "cel": ("cel:unmapped.field", 1),
    "number": ("cel:this < 50", 50),
    "max_bytes": ("string.max_bytes", "éé\U0001f600"),
    "min_bytes": ("string.min_bytes", "a"),
    "len_bytes": ("string.len_bytes", "éa"),
    "flagged": ("string.pattern", "abd"),
    "letters": ("string.pattern", "1"),
    "uri": ("string.uri", "http://["),
    "uri_ref": ("string.uri_ref", "//["),
    "host_and_port": ("string.host_and_port", "-:80"),
    "ip_prefix": ("string.ip_prefix", "1.2.3.4/8"),
    "ipv4_prefix": ("string.ipv4_prefix", "1.2.3.4/8"),
    "ipv6_prefix": ("string.ipv6_prefix", "::1/8"),
    "prefix": ("bytes.prefix", "Yg=="),
    "suffix": ("bytes.suffix", "Yg=="),
    "contains": ("bytes.contains", "Yg=="),
    "pattern": ("bytes.pattern", "Yg=="),
    "unique_wide": ("repeated.unique", [1, "1"]),
    "unique_floats": ("repeated.unique", [16777216, 16777217]),
    "past": ("timestamp.lt_now", "9999-01-01T00:00:00Z"),
    "after": ("timestamp.gte", "1970-01-01T00:00:00Z"),
    "near": ("timestamp.within", "1970-01-01T00:00:00Z"),
    "fraction": ("duration.lte", "1s"),
    "shouted": ("string.[torture.v1.shouted]", "a"),
    "exact": ("timestamp.const", "1970-01-01T00:00:00Z"),
    "unique_colours": ("repeated.unique", ["COLOUR_RED", "COLOUR_CRIMSON"]),
}


def test_rules_that_cannot_be_mapped_are_listed_by_name() -> None:
    """Exactly the rules of the message made for it are unmapped, and no rule of any other torture message."""
    expected = {f"torture.v1.Unmapped.{field}: {rule}" for field, (rule, _) in UNMAPPED.items()}
    expected.add("torture.v1.Unmapped: cel:unmapped.message")
    found = {name for message in torture_messages() for name in contract_of(message).schema.unmapped}
    assert found == expected


@pytest.mark.parametrize("field", UNMAPPED)
def test_an_unmapped_rule_is_still_enforced(field: str) -> None:
    """What the schema lets through because of an unmapped rule, and marks on the field, parsing refuses."""
    contract = contract_of(torture_pb2.Unmapped.DESCRIPTOR)
    rule, value = UNMAPPED[field]
    assert contract.schema.bundled["properties"][field]["x-patchbay-unmapped-rules"] == [rule]
    instance = {"cel": 4, field: value}
    assert EcmaValidator(contract.schema.bundled).is_valid(instance)
    assert not accepted(contract, instance)


COMPARISONS = {
    "patchbay.modules.scheduling.v1.Window: cel:window.order",
    "patchbay.modules.scheduling.v1.Window: cel:window.length",
    "patchbay.modules.scheduling.v1.SearchWindow: cel:search_window.order",
    "patchbay.modules.scheduling.v1.SearchWindow: cel:search_window.length",
}


def test_own_modules_have_no_unmapped_rules() -> None:
    """Every rule of every module of the repository is in its schemas, but those that compare two fields.

    JSON Schema has no words for them.
    """
    contracts = [one for module in own_modules() for action in module.actions for one in (action.input, action.output)]
    assert {name for contract in contracts for name in contract.schema.unmapped} == COMPARISONS


@pytest.mark.parametrize("message", [*torture_messages(), *own_messages()], ids=lambda message: message.full_name)
def test_documents_are_valid_draft_2020_12(message: Descriptor) -> None:
    """Both forms are valid schemas, the inlined one without references, and the hash is that of the bundled text."""
    schema = contract_of(message).schema
    for document in (schema.bundled, schema.inlined):
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(document)
    assert '"$ref"' not in schema.inlined_json
    assert json.loads(schema.bundled_json) == schema.bundled
    assert schema.hash == hashlib.sha256(schema.bundled_json.encode()).hexdigest()


def test_recursion_is_cut_in_the_inlined_form_only() -> None:
    """The bundled form follows recursion for ever; the inlined one accepts any object at the second level."""
    schema = contract_of(torture_pb2.Tree.DESCRIPTOR).schema
    deep = {"name": "a", "children": [{"name": "b", "children": [{"name": ""}]}]}
    assert not EcmaValidator(schema.bundled).is_valid(deep)
    assert EcmaValidator(schema.inlined).is_valid(deep)
    cut = {"type": "object", "x-patchbay-truncated": "torture.v1.Tree"}
    assert schema.inlined["properties"]["children"]["items"] == cut
    assert schema.inlined["properties"]["hedge"]["properties"]["tree"].items() >= cut.items()


def test_annotations_tell_designers_everything() -> None:
    """Titles, descriptions, defaults, secrets, pickers in both vocabularies and order are in the input's schema."""
    module = next(module for module in own_modules() if module.provider == "tacticalrmm")
    action = next(action for action in module.actions if action.id == "tacticalrmm.agents.run_script")
    properties = action.input.schema.bundled["properties"]
    agent = properties["agent_id"]
    assert (agent["title"], properties["timeout"]["x-patchbay-order"]) == ("Agent", 1)
    assert agent["x-patchbay-picker"]["items_path"] == "agents"
    assert agent["x-workflow-picker-kind"] == "tacticalrmm.agents.find"
    assert agent["x-workflow-picker-dependencies"] == []
    assert agent["x-workflow-editor"]["kind"] == "picker"
    assert properties["timeout"]["default"] == 90
    assert properties["env_vars"]["writeOnly"] is True
    assert properties["env_vars"]["x-patchbay-widget"] == "secret"
    assert list(properties)[:5] == ["agent_id", "script_id", "args", "env_vars", "timeout"]
    command = next(one for one in module.actions if one.id == "tacticalrmm.agents.run_command").input.schema.bundled
    assert command["properties"]["command"]["x-workflow-editor"]["dialog"] == {"mode": "large-text"}
    curated = command["properties"]["shell"]["x-workflow-editor"]["softEnum"]["curatedValues"]
    assert curated[:2] == ["powershell", "cmd"]


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)a",
        "(?s).",
        r"\pL",
        r"\P{Greek}",
        r"\Qa.b\E",
        r"\C",
        r"[\D]",
        r"[\W-]",
        r"\1",
        r"(?=a)",
        r"[[:^alpha:]]",
        "a\\",
    ],
)
def test_what_differs_between_dialects_is_refused(pattern: str) -> None:
    """Flags, Unicode classes, quotes, look-around and negated sets inside classes are reported, not guessed."""
    with pytest.raises(NotPortable):
        portable(pattern)


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (r"^\d+\.\w$", r"^[0-9]+\.[0-9A-Za-z_]$"),
        (r"\s\S\D", r"[\t\n\f\r ][^\t\n\f\r ][^0-9]"),
        (r"a.b", r"a[^\n]b"),
        (r"[]a-]", r"[\]a\-]"),
        (r"[\w.-]", r"[0-9A-Za-z_.\-]"),
        (r"[+--]", r"[+-\-]"),
        (r"(?P<x>a)(?<y>b)(?:c)(d)", r"(?:a)(?:b)(?:c)(d)"),
        (r"a{2,3}b{c}", r"a{2,3}b\{c\}"),
        (r"\A\x{1F600}\x41\z", "^\U0001f600A$"),
        (r"[a&&~b]", r"[a\x26\x26\x7eb]"),
        (r"\@\-\/\"", r'@-\/"'),
        (r"[[:alpha:]_]", r"[A-Za-z_]"),
        (r"\a\t", r"\x07\t"),
    ],
)
def test_patterns_are_rewritten_where_that_is_exact(pattern: str, written: str) -> None:
    """What dialects write differently is written so that they agree."""
    assert portable(pattern) == written


def test_literals_match_themselves_only() -> None:
    """A literal text as a pattern finds exactly itself."""
    for text in TEXTS:
        assert compiled(f"^{literal(text)}$").search(text)
    assert not compiled(literal("a.b")).search("axb")


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for part in schema.values():
            yield from _patterns(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _patterns(part)


def test_patterns_mean_the_same_in_a_real_ecma_engine(tmp_path: Path) -> None:
    """Node, where there is one, compiles every pattern in Unicode mode and gives the verdicts of the law's tests."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node to ask")
    found = {
        one
        for message in [*torture_messages(), *own_messages()]
        for one in _patterns(contract_of(message).schema.bundled)
    }
    verdicts = [[pattern, [bool(compiled(pattern).search(text)) for text in TEXTS]] for pattern in sorted(found)]
    (tmp_path / "facts.json").write_text(json.dumps({"texts": TEXTS, "verdicts": verdicts}))
    script = (
        "const f=JSON.parse(require('fs').readFileSync(process.argv[1]));"
        "for(const [p,v] of f.verdicts){const r=new RegExp(p,'u');"
        "f.texts.forEach((t,i)=>{if(r.test(t)!==v[i])console.log(p,JSON.stringify(t))})}"
    )
    done = subprocess.run(
        [node, "-e", script, str(tmp_path / "facts.json")], check=True, capture_output=True, text=True
    )
    assert done.stdout == ""
    assert len(verdicts) > 40
