"""JSON instances made from a schema: mostly valid, with one member at a time near the edge of validity or beyond it."""

import json
from typing import Any

from hypothesis import strategies as st

from server.conformance.ecma import EcmaValidator, compiled

JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 2, 1.5, 3.0, -0.0, 2**31, 2**53 - 1, 2**53, -(2**53), 2**63, 1e308, 5e-324, 1e-46,
    3.5e38, "", "x", "0", "-0", "00", "1.0", "NaN", "Infinity", "true", "null", "a\n", [], {}, [None], [[]], {"": 0},
    {"a": None}, ["x", "x"], [1, 1.0], [0, -0.0, False], "COLOUR_RED", "COLOUR_PUCE", "colour_red",
]  # fmt: skip
TEXTS = [
    "", " ", "a", "A", "ab", "aab", "abb", "é", "ab\n", "\n", "a b", "a.b", "a.+(", "x)$", "[x]", "[x]y*", "=", "a=b",
    "\u0660", "\u2028", "\U0001f600", "A" * 64, "0", "-1", "+1", "01", "18446744073709551615", "18446744073709551616",
    "9223372036854775807", "-9223372036854775808", "-9223372036854775809", "9007199254740999", "-9007199254740995",
    "true", "false", "True", "a@b", "a@b.c", "a@-b", "@b", "a@" + "b" * 63, "a@" + "b" * 64, "a@b.", "a b@c",
    "a.example", "example.test.", ".", "a..b", "-a", "a-", "a.1", "1.a", "a.1a", "a.1-", "b" * 63, "b" * 64,
    ".".join(["b" * 62] * 4) + ".x", ".".join(["b" * 62] * 4) + ".xy", ".".join(["b" * 62] * 4) + ".x.", "a 12xc",
    "a\t12xc", "a\x0b12xc", "a\xa012xc", "a12\nc", "a12\rc", "a1\u0662xc", "a12x&", "a12x-", "\xe912xc", "9x",
    "1:2:3:4:5::1.2.3.4", "1:2:3:4::1.2.3.4", "1:2:3:4:5:6::1.2.3.4", "1:2:3:4::7:8", "1:2:3:4:5::8",
    "1:2:3:4:5:6::8", "1.2.3.4", "1.2.3", "1.2.3.04", "256.1.1.1", "1.2.3.4.", "::", "::1", "1::", "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:1.2.3.4", "::1.2.3.4",
    "::ffff:1.2.3.04", "fe80::1%eth0", "fe80::1%", "fe80::1%a%b", "fe80::1%\x00", "12345::", ":1", "1:", ":::",
    "1::2::3", "[::1]", "::%1", "1.2.3.4%a", "1.2.3.4/0", "1.2.3.4/32", "1.2.3.4/33", "1.2.3.4/01", "1.2.3.4/",
    "10.0.0.0/8", "::/0", "::/128", "::/129", "::1%a/64", "fe80::/010", "123e4567-e89b-12d3-a456-426614174000",
    "123e4567e89b12d3a456426614174000", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "81ARZ3NDEKTSV4RRFFQ69G5FAV",
    "01ARZ3NDEKTSV4RRFFQ69G5FAI", "a.b.C_1", ".a.b", "a.1b", ":path", "x-a", "x a", "a\tb", "a\x00b", "a\x7fb",
    "a\rb", "http://example.test/a?b#c", "//example.test", "http:", "a b:", "%zz", "%41", "example.test:80",
    "[::1]:80", "example.test:65536", "example.test:080", "YQ==", "YR==", "YWI=", "YWJj", "YWJjZA==", "YWJjZGU=",
    "YWJjZGVm", "YQ", "Y Q==", "YQ==\n", "_-__", "+/==", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAA==",
    "2026-01-31T12:00:00Z", "2026-02-29T12:00:00Z", "2024-02-29T12:00:00Z", "2000-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-01:00", "2026-01-31T24:00:00Z", "2026-01-31T23:59:60Z",
    "2026-01-31t12:00:00z", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00", "2026-01-31T12:00:00.1234567890Z",
    "2026-01-31T12:00:00.Z", "2026-04-31T12:00:00Z", "2026-13-01T00:00:00Z", "2026-01-31T12:00:00+24:00",
    "2026-01-31T12:00:00+23:59", "2026-01-31T12:00Z", "2026-01-31T12:00:00Z\n", "\u0662026-01-31T12:00:00Z", "0s",
    "-0s", "-0.0s", "1s", "1.0s", "01s", "1", "1.s", ".5s", "-1s", "-.5s", "1e3s", "10s", "9s", "9.999999999s",
    "290s", "290.000000001s", "290.0s", "291s", "2s", "5s", "5.0s", "5.000000001s", "1.5s", "1.500s", "-2.25s",
    "-2.250000000s", "-3s", "-2.999999999s", "12s", "11.999999999s", "0.5s", "0.50s", "0.000000001s", "-0.000000001s",
    "0.0000000001s", "99999999999s", "100000000000s", "-99999999999.999999999s", "1.0000000000s", "a,b.c", "a,b.c.d",
    "a,,b", "a,", "b", "b.c", "b.c.d", "b.cd", "b,b.c", "aB", "c", "ax", "abcde", "aaaaa", "€€", "abc", "ABC", "é€",
    "\u0100" * 4,
]  # fmt: skip


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Returns instances for a schema: near-misses come one at a time, so that what is accepted is told apart."""
    return _Maker(schema).value(schema, wild=True)


class _Maker:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._made: dict[tuple[str, bool], st.SearchStrategy[Any]] = {}

    def value(self, schema: dict[str, Any], *, wild: bool) -> st.SearchStrategy[Any]:
        """Returns valid values, or with `wild` also others."""
        key = json.dumps(schema), wild
        if key not in self._made:
            self._made[key] = self._value(schema, wild=wild)
        return self._made[key]

    def _value(self, schema: dict[str, Any], *, wild: bool) -> st.SearchStrategy[Any]:
        tame = self._tame(schema)
        if not wild:
            return tame
        if "properties" in self._resolved(schema):
            return st.one_of(tame, self._wild_object(self._resolved(schema)))
        return st.one_of(tame, self._near(schema), self._near(schema), st.sampled_from(JUNK))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        reference = schema.get("$ref")
        if reference is None:
            return schema
        return self._root if reference == "#" else self._root["$defs"][reference.removeprefix("#/$defs/")]

    def _tame(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        resolved = self._resolved(schema)
        if "properties" in resolved:
            return st.deferred(lambda: self._object(resolved, None))
        validator = EcmaValidator({**resolved, "$defs": self._root.get("$defs", {})})
        if "items" in resolved:
            least, most = resolved.get("minItems", 0), min(resolved.get("maxItems", 3), 4)
            items = self.value(resolved["items"], wild=False)
            return st.lists(items, min_size=least, max_size=most).filter(validator.is_valid)
        if "additionalProperties" in resolved:
            names = self.value(resolved.get("propertyNames", {"type": "string"}), wild=False)
            least, values = resolved.get("minProperties", 0), self.value(resolved["additionalProperties"], wild=False)
            return st.dictionaries(names, values, min_size=least, max_size=3).filter(validator.is_valid)
        return self._near(resolved).filter(validator.is_valid)

    def _wild_object(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        members = list(schema["properties"])
        unknown = st.sampled_from(["unknown", "", *(_camel(name) for name in members)])
        added = st.tuples(self._object(schema, None), unknown, st.sampled_from(JUNK)).map(
            lambda drawn: {**drawn[0], drawn[1]: drawn[2]}
        )
        if not members:
            return added
        removed = st.tuples(self._object(schema, None), st.sampled_from(members)).map(
            lambda drawn: {name: value for name, value in drawn[0].items() if name != drawn[1]}
        )
        spoiled = st.sampled_from(members).flatmap(lambda name: self._object(schema, name))
        return st.one_of(spoiled, spoiled, spoiled, removed, added, self._crowded(schema))

    def _object(self, schema: dict[str, Any], spoiled: str | None) -> st.SearchStrategy[Any]:
        """Returns objects with a valid set of members; the value of the spoiled one may be anything."""
        properties = schema["properties"]
        groups = [group for group in _alternatives(schema) if len(group) > 1 or group[0] in properties]

        def build(drawn: tuple[list[str], list[int]]) -> st.SearchStrategy[Any]:
            chosen = {name for name in drawn[0] if not any(name in group for group in groups)}
            chosen |= {group[pick % len(group)] for group, pick in zip(groups, drawn[1], strict=True)}
            chosen |= set(schema.get("required", []))
            if spoiled is not None:
                chosen -= {name for group in groups if spoiled in group for name in group}
                chosen.add(spoiled)
            return st.fixed_dictionaries(
                {name: self.value(properties[name], wild=name == spoiled) for name in properties if name in chosen}
            )

        optional = [name for name in properties if not self._is_deep(properties[name])] or [""]
        picks = st.tuples(
            st.lists(st.sampled_from(optional), max_size=4, unique=True),
            st.tuples(*(st.integers(0, len(group) - 1) for group in groups)).map(list),
        )
        return st.deferred(lambda: picks.flatmap(build))

    def _is_deep(self, schema: dict[str, Any]) -> bool:
        """Tells whether following the member leads back to where messages nest without end."""
        return any("$ref" in one for one in (schema, schema.get("items", {}), schema.get("additionalProperties", {})))

    def _crowded(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        properties = schema["properties"]
        names = [name for name in properties if not self._is_deep(properties[name])] or list(properties)
        return st.lists(st.sampled_from(names), min_size=1, max_size=6, unique=True).flatmap(
            lambda chosen: st.fixed_dictionaries({name: self.value(properties[name], wild=False) for name in chosen})
        )

    def _near(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        schema = self._resolved(schema)
        branches = [self._near({**schema, "anyOf": [], **branch}) for branch in schema.get("anyOf", [])]
        if branches:
            return st.one_of(*branches)
        listed = [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]
        listed += schema.get("not", {}).get("enum", [])
        if listed:
            return st.one_of(st.sampled_from(listed), self._by_type({**schema, "enum": []}))
        return self._by_type(schema)

    def _by_type(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        kind = schema.get("type")
        if kind in ("integer", "number"):
            return _numbers(schema)
        if kind == "array":
            items = self.value(schema["items"], wild=True) if "items" in schema else st.sampled_from(JUNK)
            tame = self.value(schema["items"], wild=False) if "items" in schema else items
            most = min(schema.get("maxItems", 3) + 1, 4)
            return st.one_of(st.lists(tame, max_size=most), st.lists(st.one_of(tame, items), max_size=most))
        if kind == "object" and "properties" in schema:
            return self.value(schema, wild=False)
        if kind == "object":
            return self._map(schema)
        if kind == "string":
            return _texts(schema)
        plain: dict[str, list[Any]] = {"boolean": [True, False], "null": [None]}
        return st.sampled_from(plain.get(str(kind), JUNK))

    def _map(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        values = schema.get("additionalProperties")
        tame = self.value(values, wild=False) if values else st.sampled_from(JUNK)
        wild = self.value(values, wild=True) if values else tame
        names = schema.get("propertyNames", {"type": "string"})
        good, near = self.value(names, wild=False), self.value({"type": "string", **names}, wild=True)
        wild_names = near.filter(lambda name: isinstance(name, str))
        return st.one_of(
            st.dictionaries(good, tame, max_size=3),
            st.dictionaries(wild_names, tame, max_size=2),
            st.dictionaries(good, wild, max_size=2),
        )


def _alternatives(schema: dict[str, Any]) -> list[list[str]]:
    """Returns the groups of members of which at most one may be set."""
    choices = [part["oneOf"] for part in [schema, *schema.get("allOf", [])] if "oneOf" in part]
    return [[branch["required"][0] for branch in choice if "required" in branch] for choice in choices]


def _numbers(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    edges = [
        schema[name] for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if name in schema
    ] or [0]
    near = [edge + step for edge in edges for step in (0, 1, -1, 0.5, -0.5)]
    near += [edge * factor for edge in edges for factor in (1 + 2**-52, 1 - 2**-52)]
    # A JSON number is a double: others are outside of what the law speaks of.
    exact = [number for number in near if abs(number) < 1.8e308 and float(number) == number]
    exact += [float(number) for number in exact]
    inside = st.integers(-20, 20)
    if schema["type"] == "number":
        return st.one_of(st.sampled_from(exact), inside, st.floats(-2, 2), st.floats(width=32, allow_nan=False))
    return st.one_of(st.sampled_from(exact), inside)


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    made = [st.sampled_from(TEXTS), st.text("aA0.-\n", max_size=6)]
    patterns = [part["pattern"] for part in [schema, *schema.get("allOf", [])] if "pattern" in part]
    for pattern in patterns:
        matching = st.from_regex(compiled(pattern))
        made += [matching, matching, st.tuples(matching, st.integers(0, 40)).map(lambda drawn: _drop(*drawn))]
    edges = [schema[name] for name in ("minLength", "maxLength") if schema.get(name, 99) < 20]
    made += [st.sampled_from(["a" * edge, "é" * edge, "\U0001f600" * edge]) for edge in edges]
    made += [st.just("a" * (edge + step)) for edge in edges for step in (1, -1)]
    return st.one_of(*made)


def _drop(text: str, at: int) -> str:
    at = at % len(text) if text else 0
    return text[:at] + text[at + 1 :]


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
