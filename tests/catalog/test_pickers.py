"""Choices of fields, through the real executor. An answer without choices says why."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from server.core.caller import Caller
from server.core.refusals import Refusal
from server.gen.patchbay.v1 import catalog_pb2
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure
from tests.catalog.support import message

pytestmark = pytest.mark.anyio

CALLER = Caller(name="key:designer", tenants=frozenset({"t"}), permissions=("catalog", "zeta.*"))


@pytest.fixture(autouse=True)
def _connected(integrations):
    """Tenant `t` has connected the fixture's app."""
    integrations.connect("t", "zeta")


@pytest.fixture
def boards(vendor) -> list[dict[str, Any]]:
    """The boards that the vendor has; a test may change them."""
    rows: list[dict[str, Any]] = [
        {"id": "b1", "name": "Ärger", "owner": {"name": "Mona"}},
        {"id": "b2", "name": "Wishes", "owner": {"name": "Otto"}},
        {"id": "b3", "name": "Done"},
    ]
    vendor.answers["ListBoards"] = lambda _request: message("ListBoardsResponse")(boards=rows)
    return rows


@pytest.fixture
def tags(vendor) -> list[str]:
    """The tags that the vendor has."""
    found = [f"tag{number}" for number in range(1, 9)]

    def answer(request):
        return message("ListTagsResponse")(tags=found[: request.limit or 5])

    vendor.answers["ListTags"] = answer
    return found


@pytest.fixture
def options(pickers):
    """Asks for the choices of a field of `zeta.cards.create`."""

    async def ask(field, query="", *, caller=CALLER, deadline=None, inputs=None, **more):
        request = catalog_pb2.ListFieldOptionsRequest(
            **{"action": "zeta.cards.create", "field": field, "query": query, **more}
        )
        request.inputs.update(inputs or {})
        return await pickers.list_options(request, caller, "t", deadline)

    return ask


def told(answer: catalog_pb2.ListFieldOptionsResponse) -> list[tuple[Any, str, str]]:
    """Value, label and detail of each choice."""
    return [(MessageToDict(option.value), option.label, option.detail) for option in answer.options]


def values(answer: catalog_pb2.ListFieldOptionsResponse) -> list[Any]:
    """The value of each choice."""
    return [value for value, _, _ in told(answer)]


async def test_fixed_choices(options):
    """Fixed choices are told with their labels; one without a label shows its value."""
    answer = await options("color")
    assert told(answer) == [("r", "Red", ""), ("g", "Green", ""), ("blue", "blue", "")]
    assert not answer.next_page_token
    assert not answer.empty_reason


@pytest.mark.parametrize(("query", "found"), [("RE", ["r", "g"]), ("blu", ["blue"]), ("g", ["g"])])
async def test_fixed_choices_are_searched(options, query, found):
    """The query is found in label and value, in any case."""
    assert values(await options("color", query)) == found


async def test_fixed_choices_need_nothing(options, integrations):
    """Fixed choices are told without a connection and without the permission of any action."""
    integrations.connect("t")
    answer = await options("color", caller=Caller(name="x", tenants=None, permissions=("catalog",)))
    assert len(answer.options) == 3


async def test_choices_of_a_listing_action(options, boards, vendor, reads):
    """Rows become choices by their paths; the action gets fixed inputs and the fields it depends on."""
    answer = await options("board", inputs={"site": "berlin", "title": "unused"})
    assert told(answer) == [("b1", "Ärger", "Mona"), ("b2", "Wishes", "Otto"), ("b3", "Done", "")]
    assert (vendor.requests[-1].site, vendor.requests[-1].archived) == ("berlin", True)
    assert [(read.action, read.caller) for read in reads] == [("zeta.boards.list", "key:designer")]


@pytest.mark.parametrize(("query", "found"), [("ärg", ["b1"]), ("OTTO", ["b2"]), ("o", ["b1", "b2", "b3"])])
async def test_our_side_searches_label_and_detail(options, boards, query, found):
    """Without a search field the query is found in label and detail, in any case, and not in the value."""
    assert values(await options("board", query, inputs={"site": "berlin"})) == found
    assert not (await options("board", "b1", inputs={"site": "berlin"})).options


async def test_a_row_without_a_label_shows_its_value(options, boards):
    """A row that has a value but no label can be picked; a row without a value cannot."""
    boards[:] = [{"id": "b7"}, {"name": "no id"}]
    assert told(await options("board", inputs={"site": "x"})) == [("b7", "b7", "")]


async def test_a_nested_field(options, boards, vendor):
    """A picker inside a message takes what it depends on from the same message."""
    answer = await options("follows.board", inputs={"site": "outer", "follows": {"site": "inner"}})
    assert values(answer) == ["b1", "b2", "b3"]
    assert vendor.requests[-1].site == "inner"
    missing = await options("follows.board", inputs={"site": "outer"})
    assert "`site`" in missing.empty_reason


async def test_pages(options, boards):
    """Pages follow each other without a gap, and the last one has no token."""
    first = await options("board", inputs={"site": "x"}, page_size=2)
    second = await options("board", inputs={"site": "x"}, page_size=2, page_token=first.next_page_token)
    assert values(first) + values(second) == ["b1", "b2", "b3"]
    assert first.next_page_token
    assert not second.next_page_token


async def test_pages_of_fixed_choices(options):
    """Fixed choices have pages too."""
    first = await options("color", page_size=2)
    second = await options("color", page_size=2, page_token=first.next_page_token)
    assert values(first) + values(second) == ["r", "g", "blue"]


async def test_the_default_page(options, boards):
    """Without a page size there are fifty rows on a page."""
    boards[:] = [{"id": str(number)} for number in range(51)]
    first = await options("board", inputs={"site": "x"})
    assert len(first.options) == 50
    second = await options("board", inputs={"site": "x"}, page_token=first.next_page_token)
    assert values(second) == ["50"]


async def test_a_list_that_shrank_between_pages(options, boards):
    """A page past the end of a list that has shrunk says so."""
    first = await options("board", inputs={"site": "x"}, page_size=2)
    del boards[1:]
    second = await options("board", inputs={"site": "x"}, page_size=2, page_token=first.next_page_token)
    assert (len(second.options), second.empty_reason) == (0, "There are no further choices.")


@pytest.mark.parametrize(
    "changed",
    [{"query": "o"}, {"inputs": {"site": "y"}}, {"page_token": "bm9uc2Vuc2U="}, {"page_token": "?"}],
    ids=["query", "input", "no token", "no base64"],
)
async def test_a_token_of_another_question_is_refused(options, boards, changed):
    """A token continues exactly the question that it was given for."""
    first = await options("board", inputs={"site": "x"}, page_size=1)
    asked = {"inputs": {"site": "x"}, "page_size": 1, "page_token": first.next_page_token, **changed}
    with pytest.raises(Refusal) as refused:
        await options("board", **asked)
    assert refused.value.reason == "INPUT_INVALID"
    assert [violation.field for violation in refused.value.violations] == ["page_token"]


async def test_a_listing_of_plain_values_with_a_limit(options, tags, vendor):
    """Plain rows are value and label at once; one row more than the page is asked for."""
    first = await options("tag", page_size=2)
    assert told(first) == [("tag1", "tag1", ""), ("tag2", "tag2", "")]
    assert vendor.requests[-1].limit == 3
    assert first.next_page_token


async def test_the_limit_stays_within_the_actions_own(options, tags, vendor):
    """Never more rows are asked for than the listing action allows: neither for a page nor for a search."""
    answer = await options("tag")
    assert len(answer.options) == 5
    assert vendor.requests[-1].limit == 5
    assert values(await options("tag", "5", page_size=1)) == ["tag5"]
    assert vendor.requests[-1].limit == 5


@pytest.mark.parametrize("given", [{}, {"site": None}, {"site": ""}], ids=["absent", "null", "empty"])
async def test_a_missing_input_is_named(options, boards, vendor, given):
    """Without the input that the choices depend on, the answer names it and nothing is asked."""
    answer = await options("board", inputs=given)
    assert answer.empty_reason == "Fill in `site` first: the choices depend on it."
    assert vendor.requests == []


async def test_an_unconnected_app_is_a_failure(options, boards, integrations, vendor):
    """Without a connection the answer carries the failure and its remedy, and the vendor is not asked."""
    integrations.connect("t")
    answer = await options("board", inputs={"site": "x"})
    assert answer.failure.reason == "NOT_CONNECTED"
    assert answer.failure.remedy.text
    assert vendor.requests == []


async def test_the_vendors_failure_is_told(options, vendor):
    """What the vendor refused comes back as the typed failure with its own words."""

    def refuse(request):
        raise ActionFailure("RATE_LIMITED", "zeta wants a pause.", retry_after=3, vendor_message="slow down")

    vendor.answers["ListBoards"] = refuse
    answer = await options("board", inputs={"site": "x"})
    assert (answer.failure.reason, answer.failure.vendor_message) == ("RATE_LIMITED", "slow down")
    assert answer.failure.retry_after.ToSeconds() == 3
    assert answer.failure.retryable
    assert not answer.empty_reason


async def test_a_listing_that_takes_too_long_is_a_failure(vendor, options):
    """The caller is told TIMED_OUT before its own deadline ends."""
    deadline = Deadline.after(2.0)
    vendor.hangs.add("ListBoards")
    answer = await options("board", inputs={"site": "x"}, deadline=deadline)
    assert answer.failure.reason == "TIMED_OUT"
    assert deadline.remaining()


@pytest.mark.parametrize(
    ("rows", "query", "said"),
    [
        ([], "", "`List boards` found nothing for the given `site`."),
        ([], "abc", "`List boards` found nothing for the query `abc` and the given `site`."),
        ([{"id": "1", "name": "x"}], "abc", "None of the 1 rows of `List boards` contains `abc`."),
        ([{"name": "x"}, {"name": "y"}], "", "None of the 2 rows of `List boards` has a `id`."),
    ],
)
async def test_an_empty_list_says_which_filter_left_nothing(options, boards, rows, query, said):
    """The reason names the query, the given inputs, or what the rows lack."""
    boards[:] = rows
    answer = await options("board", query, inputs={"site": "x"})
    assert answer.empty_reason == said
    assert not answer.HasField("failure")


async def test_an_empty_list_of_fixed_choices(options):
    """A query that no fixed choice contains is named."""
    assert (await options("color", "violet")).empty_reason == "None of the 3 choices contains `violet`."


async def test_an_input_that_the_listing_refuses_is_named_as_ours(options, boards):
    """A given input that breaks the listing action's rule is refused under the path of our request."""
    with pytest.raises(Refusal) as refused:
        await options("board", inputs={"site": "Not Lower"})
    assert refused.value.reason == "INPUT_INVALID"
    assert [violation.field for violation in refused.value.violations] == ["inputs.site"]
    with pytest.raises(Refusal) as nested:
        await options("follows.board", inputs={"follows": {"site": "Not Lower"}})
    assert [violation.field for violation in nested.value.violations] == ["inputs.follows.site"]


async def test_a_query_that_the_listing_refuses_is_named_as_ours(pickers, integrations):
    """A query longer than the listing action's search field takes is refused as `query`."""
    request = catalog_pb2.ListFieldOptionsRequest(action="tacticalrmm.agents.get", field="agent_id", query="x" * 201)
    everything = Caller(name="local", tenants=None, permissions=("*",))
    with pytest.raises(Refusal) as refused:
        await pickers.list_options(request, everything, "t")
    assert [violation.field for violation in refused.value.violations] == ["query"]


async def test_the_listing_actions_permission_is_needed(options, boards, vendor):
    """`catalog` alone does not open a listing action that the caller may not run."""
    bare = Caller(name="key:bare", tenants=None, permissions=("catalog", "zeta.cards.*"))
    for inputs in ({"site": "x"}, {}):  # also before it is told which input is missing
        with pytest.raises(Refusal) as refused:
            await options("board", inputs=inputs, caller=bare)
        assert refused.value.reason == "PERMISSION_DENIED"
        assert "zeta.boards.read" in refused.value.message
    assert vendor.requests == []


@pytest.mark.parametrize(
    ("asked", "reason", "said"),
    [
        ({"field": "bord"}, "FIELD_UNKNOWN", "Did you mean `board`?"),
        ({"field": "xyz"}, "FIELD_UNKNOWN", "no input field `xyz`."),
        ({"field": "follows.nothing"}, "FIELD_UNKNOWN", "no input field `follows.nothing`"),
        ({"field": "title.board"}, "FIELD_UNKNOWN", "no input field `title.board`"),
        ({"field": "title"}, "FIELD_WITHOUT_PICKER", "has no list of choices"),
        ({"field": "follows"}, "FIELD_WITHOUT_PICKER", "has no list of choices"),
        ({"field": "follows.site"}, "FIELD_WITHOUT_PICKER", "has no list of choices"),
        ({"field": "board", "action": "zeta.card.create"}, "ACTION_UNKNOWN", "zeta.cards.create"),
        ({"field": "board", "version": 9}, "ACTION_UNKNOWN", "it has 1"),
    ],
)
async def test_what_does_not_exist_is_refused(options, asked, reason, said):
    """Unknown actions, versions and fields, and fields without choices, are refused each with its reason."""
    with pytest.raises(Refusal) as refused:
        await options(**asked)
    assert refused.value.reason == reason
    assert said in refused.value.message
