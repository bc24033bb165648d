"""Where bots can talk: what Teams told, by bot, never across tenants."""

from dataclasses import replace
from uuid import uuid4

import pytest

from server.sdk.conversations import ConversationReference
from server.store.conversations import Conversations
from server.store.database import Database
from server.store.tenants import Tenants

pytestmark = pytest.mark.anyio

BOT, DANA, DIRECTORY = str(uuid4()), str(uuid4()), str(uuid4())
CHAT = ConversationReference(
    conversation_id="a:1",
    bot_app_id=BOT,
    conversation_type="personal",
    service_url="https://smba.trafficmanager.net/emea/",
    entra_tenant_id=DIRECTORY,
    microsoft_user_id=DANA,
    user_channel_id="29:1",
)
CHANNEL = replace(
    CHAT,
    conversation_id="19:c@thread.tacv2",
    conversation_type="channel",
    microsoft_user_id=None,
    user_channel_id=None,
    team_id="19:t@thread.tacv2",
    team_name="Desk",
)


@pytest.fixture
async def books(database: Database) -> tuple[Conversations, Conversations]:
    """The books of two tenants."""
    rows = [await Tenants(database).create(slug) for slug in ("alpha", "beta")]
    return Conversations(database, rows[0].id), Conversations(database, rows[1].id)


async def test_a_conversation_comes_back_as_it_was_told(books: tuple[Conversations, Conversations]) -> None:
    """Every attribute survives; ids of apps, people and directories count in any case."""
    book, _ = books
    shouted = replace(CHAT, bot_app_id=BOT.upper(), microsoft_user_id=DANA.upper(), entra_tenant_id=DIRECTORY.upper())
    for told, kept in ((shouted, CHAT), (CHANNEL, CHANNEL)):
        await book.remember(told)
        found = await book.get(BOT.upper(), told.conversation_id)
        assert found is not None
        assert found.last_activity_at is not None
        assert replace(found, last_activity_at=None) == kept
    assert await book.get(BOT, "a:2") is None


async def test_what_is_not_told_keeps_its_last_value(books: tuple[Conversations, Conversations]) -> None:
    """An event without the person deletes nothing; a new address takes the place of the old one."""
    book, _ = books
    await book.remember(CHAT)
    moved = "https://smba.trafficmanager.net/fr/"
    await book.remember(replace(CHAT, microsoft_user_id=None, user_channel_id=None, service_url=moved))
    found = await book.personal(BOT, DANA)
    assert found is not None
    assert (found.user_channel_id, found.service_url) == ("29:1", moved)


async def test_the_newest_chat_and_place_count(books: tuple[Conversations, Conversations]) -> None:
    """Of several chats with a person, and of several channels of a team, the one told last is returned."""
    book, _ = books
    for one in (CHAT, replace(CHAT, conversation_id="a:2"), CHAT):
        await book.remember(one)
    chat = await book.personal(BOT, DANA)
    assert chat is not None
    assert chat.conversation_id == "a:1"
    for id in ("19:1", "19:2"):
        await book.remember(replace(CHANNEL, conversation_id=id))
    assert [one.conversation_id for one in await book.teams(BOT)] == ["19:2"]
    await book.remember(CHAT)
    newest, of_team = await book.newest(BOT), await book.newest(BOT, CHANNEL.team_id or "")
    assert newest is not None
    assert of_team is not None
    assert (newest.conversation_id, of_team.conversation_id) == ("a:1", "19:2")


async def test_forgetting_says_what_was_there(books: tuple[Conversations, Conversations]) -> None:
    """A chat leaves alone, a team with all of its channels."""
    book, _ = books
    for one in (CHAT, CHANNEL, replace(CHANNEL, conversation_id="19:2")):
        await book.remember(one)
    assert await book.forget_team(BOT, CHANNEL.team_id or "") == 2
    assert await book.teams(BOT) == []
    assert await book.forget(BOT, "a:1")
    assert not await book.forget(BOT, "a:1")


async def test_books_of_other_tenants_and_bots_are_apart(books: tuple[Conversations, Conversations]) -> None:
    """Equal ids elsewhere are neither seen nor removed."""
    book, theirs = books
    await theirs.remember(CHAT)
    await book.remember(replace(CHAT, bot_app_id=str(uuid4())))
    assert await book.personal(BOT, DANA) is None
    assert not await book.forget(BOT, "a:1")
    assert await theirs.personal(BOT, DANA) is not None


async def test_texts_that_postgresql_cannot_hold_are_stored_all_the_same(
    books: tuple[Conversations, Conversations],
) -> None:
    """Zero bytes and halves of characters are replaced, and asked for in the same way."""
    book, _ = books
    await book.remember(replace(CHANNEL, conversation_id="a\0", team_name="b\ud800"))
    found = await book.get(BOT, "a\0")
    assert found is not None
    assert found.team_name == "b?"
