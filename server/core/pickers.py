"""Choices of one input field: fixed ones, or what a READ action lists for the same caller.

An answer without choices always says why: a failure of the listing action, or the filter that left nothing.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from typing import Any, Protocol

from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct, Value

from server.contract.definitions import ActionDefinition
from server.contract.payload import to_json
from server.core.caller import Caller
from server.core.calls import Call
from server.core.refusals import FieldViolation, Refusal
from server.core.registry import RegisteredAction, Registry
from server.gen.patchbay.v1 import catalog_pb2, executor_pb2, failure_pb2, options_pb2
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure

_DEFAULT_PAGE = 50
_MOST_ROWS = 1_000
_MARGIN = 0.2
_MOST_SKIPPED = 100_000
_STEP = re.compile(r"[^.\[]+")


class Executor(Protocol):
    """Executes the listing action through the same pipeline as every other call."""

    async def execute(self, call: Call) -> executor_pb2.Execution:
        """Returns the execution; raises Refusal when the call is not processed."""


@dataclass(frozen=True, slots=True)
class _Choice:
    value: Any
    label: str
    detail: str
    searched: str


class Pickers:
    """Answers ListFieldOptions."""

    def __init__(self, registry: Registry, executor: Executor) -> None:
        self._registry = registry
        self._executor = executor

    async def list_options(
        self,
        request: catalog_pb2.ListFieldOptionsRequest,
        caller: Caller,
        tenant: str,
        deadline: Deadline | None = None,
    ) -> catalog_pb2.ListFieldOptionsResponse:
        """Returns one page of choices.

        Raises:
            Refusal: ACTION_UNKNOWN, FIELD_UNKNOWN, FIELD_WITHOUT_PICKER; PERMISSION_DENIED when the caller
                may not run the listing action; INPUT_INVALID for a foreign page token, and for a query or an
                input that the listing action does not accept.
        """
        action = self._registry.action(request.action, request.version).definition
        picker = _picker(action, request.field)
        if picker.choices:
            page = _Page.of(request, tenant, action, b"")
            found = _matching(_fixed(picker), request.query)
            none = f"None of the {len(picker.choices)} choices contains `{request.query}`."
            return page.answer(found, none)
        source = self._registry.action(picker.action)
        caller.demand(source.definition.permission)
        if missing := _missing(picker, request):
            return catalog_pb2.ListFieldOptionsResponse(empty_reason=_asks_for(missing))
        return await self._listed(_Listing(request, picker, source), action, caller, tenant, deadline)

    async def _listed(
        self,
        listing: "_Listing",
        action: ActionDefinition,
        caller: Caller,
        tenant: str,
        deadline: Deadline | None,
    ) -> catalog_pb2.ListFieldOptionsResponse:
        inputs = listing.inputs()
        page = _Page.of(listing.request, tenant, action, inputs.SerializeToString(deterministic=True))
        listing.limit(inputs, page)
        source = listing.source.definition
        call = Call(
            caller=caller,
            tenant=tenant,
            action=source.id,
            version=source.version,
            input=executor_pb2.Payload(json=inputs),
            deadline=_earlier(deadline),
            typed=True,
        )
        try:
            execution = await self._executor.execute(call)
        except Refusal as refusal:
            raise listing.translated(refusal) from None
        if execution.state != executor_pb2.EXECUTION_STATE_SUCCEEDED:
            return catalog_pb2.ListFieldOptionsResponse(failure=_why_not(execution, source.label))
        return listing.answer(execution.output, page)


@dataclass(frozen=True, slots=True)
class _Listing:
    """One use of a listing action."""

    request: catalog_pb2.ListFieldOptionsRequest
    picker: options_pb2.Picker
    source: RegisteredAction

    @property
    def filters_here(self) -> bool:
        return bool(self.request.query) and not self.picker.search_field

    def inputs(self) -> Struct:
        """The listing action's input, its limit excepted."""
        inputs = Struct()
        if self.picker.fixed_input_json:
            inputs.update(json.loads(self.picker.fixed_input_json))
        given = _siblings(self.request)
        for name in self.picker.depends_on:
            inputs.fields[name].CopyFrom(given.fields[name])
        if self.request.query and self.picker.search_field:
            inputs.fields[self.picker.search_field].string_value = self.request.query
        return inputs

    def limit(self, inputs: Struct, page: "_Page") -> None:
        """Asks for one row more than the page ends with, or for all where the filter is ours."""
        if not self.picker.limit_field:
            return
        wanted = _MOST_ROWS if self.filters_here else page.offset + page.size + 1
        inputs.fields[self.picker.limit_field].number_value = min(wanted, self._highest_limit())

    def _highest_limit(self) -> int:
        schema = json.loads(self.source.definition.input.schema.inlined_json)
        return int(schema["properties"][self.picker.limit_field].get("maximum", _MOST_ROWS))

    def answer(self, output: executor_pb2.Payload, page: "_Page") -> catalog_pb2.ListFieldOptionsResponse:
        """The page of the rows that the action listed."""
        message = self.source.definition.output.message_class.FromString(output.proto)
        rows = _at(to_json(message), self.picker.items_path) or []
        choices = _choices(self.picker, rows)
        found = _matching(choices, self.request.query) if self.filters_here else choices
        return page.answer(found, self._why_empty(len(rows), len(choices)))

    def _why_empty(self, rows: int, choices: int) -> str:
        label, query = self.source.definition.label, self.request.query
        if rows and not choices:
            return f"None of the {rows} rows of `{label}` has a `{self.picker.value_path}`."
        if choices and self.filters_here:
            return f"None of the {rows} rows of `{label}` contains `{query}`."
        filters = [f"the query `{query}`"] if query else []
        filters += [f"the given `{name}`" for name in self.picker.depends_on]
        return f"`{label}` found nothing" + (f" for {' and '.join(filters)}." if filters else ".")

    def translated(self, refusal: Refusal) -> Refusal:
        """Names the fields of our request where the listing action's input was at fault."""
        if refusal.reason != "INPUT_INVALID":
            return refusal
        violations = [
            FieldViolation(self._own_path(fault.field), fault.message, fault.rule) for fault in refusal.violations
        ]
        told = Refusal(refusal.reason, refusal.message, violations=violations)
        told.details.update(refusal.details)
        return told

    def _own_path(self, path: str) -> str:
        inside = path.removeprefix("input.")
        name = (_STEP.match(inside) or [""])[0]
        if name == self.picker.search_field:
            return "query"
        parent = self.request.field.rpartition(".")[0]
        return ".".join(filter(None, ["inputs", parent, inside])) if name in self.picker.depends_on else path


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a page begins. Its token is bound to the question, so that it cannot continue another one."""

    offset: int
    size: int
    question: str

    @classmethod
    def of(
        cls,
        request: catalog_pb2.ListFieldOptionsRequest,
        tenant: str,
        action: ActionDefinition,
        inputs: bytes,
    ) -> "_Page":
        asked = repr((tenant, action.key, request.field, request.query, inputs))
        question = sha256(asked.encode()).hexdigest()[:16]
        size = request.page_size or _DEFAULT_PAGE
        return cls(_offset(request.page_token, question) if request.page_token else 0, size, question)

    def answer(self, choices: Sequence[_Choice], why_empty: str) -> catalog_pb2.ListFieldOptionsResponse:
        end = self.offset + self.size
        options = [_option(choice) for choice in choices[self.offset : end]]
        if not options:
            reason = "There are no further choices." if self.offset else why_empty
            return catalog_pb2.ListFieldOptionsResponse(empty_reason=reason)
        token = _token(end, self.question) if len(choices) > end else ""
        return catalog_pb2.ListFieldOptionsResponse(options=options, next_page_token=token)


def _earlier(deadline: Deadline | None) -> Deadline | None:
    # A little before the caller stops waiting, so that it is told why there are no choices.
    if deadline is None:
        return None
    left = deadline.remaining()
    return Deadline.after(left - min(_MARGIN, left * 0.1))


def _token(offset: int, question: str) -> str:
    return urlsafe_b64encode(f"{question}.{offset}".encode()).decode()


def _offset(token: str, question: str) -> int:
    try:
        asked, _, offset = urlsafe_b64decode(token).decode().partition(".")
        if asked == question and 0 < int(offset) <= _MOST_SKIPPED:
            return int(offset)
    except ValueError:
        pass
    wrong = FieldViolation("page_token", "is not a token of this question; leave it empty for the first page")
    raise Refusal("INPUT_INVALID", "The page token belongs to another question.", violations=[wrong])


def _picker(action: ActionDefinition, field: str) -> options_pb2.Picker:
    if picker := action.pickers.get(field):
        return picker
    if _exists(action.input.descriptor, field):
        raise Refusal("FIELD_WITHOUT_PICKER", f"The field `{field}` of `{action.id}` has no list of choices.")
    close = get_close_matches(field, {*action.input.fields, *action.pickers}, n=1)
    suggestion = f" Did you mean `{close[0]}`?" if close else ""
    raise Refusal("FIELD_UNKNOWN", f"`{action.id}` has no input field `{field}`.{suggestion}")


def _exists(descriptor: Descriptor, path: str) -> bool:
    name, _, rest = path.partition(".")
    field = descriptor.fields_by_name.get(name)
    if field is None or not rest:
        return field is not None
    return field.message_type is not None and _exists(field.message_type, rest)


def _siblings(request: catalog_pb2.ListFieldOptionsRequest) -> Struct:
    """The inputs beside the field: those of its own message, as far as they are filled in."""
    inputs = request.inputs
    for name in request.field.split(".")[:-1]:
        inputs = inputs.fields[name].struct_value if name in inputs.fields else Struct()
    return inputs


def _missing(picker: options_pb2.Picker, request: catalog_pb2.ListFieldOptionsRequest) -> list[str]:
    given = _siblings(request)
    return [name for name in picker.depends_on if not _filled(given.fields.get(name))]


def _filled(value: Value | None) -> bool:
    if value is None:
        return False
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return bool(value.string_value)
    if kind == "list_value":
        return bool(value.list_value.values)
    return kind not in (None, "null_value")


def _asks_for(missing: Sequence[str]) -> str:
    names = " and ".join(f"`{name}`" for name in missing)
    return f"Fill in {names} first: the choices depend on {'it' if len(missing) == 1 else 'them'}."


def _why_not(execution: executor_pb2.Execution, label: str) -> failure_pb2.Failure:
    if execution.HasField("failure"):
        return execution.failure
    return ActionFailure("TIMED_OUT", f"`{label}` did not answer in time.").failure


def _fixed(picker: options_pb2.Picker) -> list[_Choice]:
    return [
        _Choice(choice.value, choice.label or choice.value, "", f"{choice.label}\n{choice.value}")
        for choice in picker.choices
    ]


def _choices(picker: options_pb2.Picker, rows: Iterable[Any]) -> list[_Choice]:
    choices = []
    for row in rows:
        value = _at(row, picker.value_path)
        if value is None or value == "":
            continue  # nothing that could be put into the field
        label = _text(_at(row, picker.label_path)) or _text(value)
        detail = _text(_at(row, picker.detail_path)) if picker.detail_path else ""
        choices.append(_Choice(value, label, detail, f"{label}\n{detail}"))
    return choices


def _matching(choices: list[_Choice], query: str) -> list[_Choice]:
    wanted = query.casefold()
    return [choice for choice in choices if wanted in choice.searched.casefold()]


def _at(value: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _option(choice: _Choice) -> catalog_pb2.FieldOption:
    value = ParseDict(choice.value, Value())
    return catalog_pb2.FieldOption(value=value, label=choice.label, detail=choice.detail)
