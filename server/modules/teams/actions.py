"""What a tenant can do with Microsoft Teams."""

from collections.abc import Iterable, Sequence
from typing import Final

from server.gen.patchbay.modules.teams.v1 import teams_pb2 as pb
from server.modules.teams import messages
from server.modules.teams.bot import THREAD
from server.modules.teams.reaching import Context, addresses_for, deliver, object_id, placed, team_name
from server.sdk import MICROSOFT, Account, AccountIdInvalid, ActionFailure
from server.sdk.paging import Row
from server.sdk.reading import filled, text

_GENERAL: Final = "General"


async def notify_user(request: pb.NotifyUserRequest, ctx: Context) -> pb.NotifyUserResponse:
    """Puts a notice into a person's feed, in the chain that belongs to the key."""
    client = ctx.client
    client.demand("activity_notifications")
    account = await _recipient(request, ctx)
    chain = messages.chain_of(ctx.tenant, account.account_id, ctx.idempotency_key)
    notice = messages.notice(request, client.settings, chain)
    try:
        request_id = await client.graph.notify(account.account_id, notice)
    except ActionFailure as failure:
        raise _about(failure, request.WhichOneof("recipient") or "") from None
    return pb.NotifyUserResponse(
        delivered=True,
        user_id=account.user_id or None,
        microsoft_user_id=account.account_id,
        activity_type=notice["activityType"],
        chain_id=str(chain),
        request_id=request_id,
    )


async def send_dm(request: pb.SendDmRequest, ctx: Context) -> pb.SendDmResponse:
    """Sends a message into the chat with a person, which is opened where none is known."""
    client = ctx.client
    client.demand("personal_bot")
    body = messages.activity(request, client.settings)
    account = await _recipient(request, ctx)
    body["recipient"] = {"aadObjectId": account.account_id}
    if request.alert:
        body["channelData"]["notification"] = {"alert": True}
    sent = await deliver(account.account_id, body, ctx)
    return pb.SendDmResponse(
        sent=True,
        user_id=account.user_id or None,
        microsoft_user_id=account.account_id,
        conversation_id=sent.conversation_id or "",
        activity_id=sent.activity_id,
    )


async def post_to_channel(request: pb.PostToChannelRequest, ctx: Context) -> pb.PostToChannelResponse:
    """Posts to a channel, or answers in one of its threads."""
    client, channel = ctx.client, request.channel_id
    client.demand("channel_posts")
    addresses = await addresses_for(ctx, conversation_id=channel)
    mentioned = [await client.bot.member(addresses, channel, one) for one in dict.fromkeys(request.mentions)]
    body = messages.activity(request, client.settings, mentioned)
    if request.thread_id:
        thread = f"{channel};messageid={request.thread_id}"
        body = placed(body, thread, "channel", ctx) | {"replyToId": request.thread_id}
        sent = await client.bot.send(addresses, thread, body, THREAD)
    else:
        sent = await client.bot.begin_thread(addresses, channel, body)
    return pb.PostToChannelResponse(
        posted=True,
        channel_id=channel,
        conversation_id=sent.conversation_id,
        thread_id=request.thread_id or sent.activity_id,
        activity_id=sent.activity_id,
    )


async def link_user(request: pb.LinkUserRequest, ctx: Context) -> pb.LinkUserResponse:
    """Links a user to a person whom Microsoft knows, by the id that never changes."""
    try:
        person = await ctx.client.graph.person(request.microsoft_user)
    except ActionFailure as failure:
        raise _about(failure, "microsoft_user") from None
    account = Account(user_id=request.user_id, account_id=person.account_id, email=person.email, name=person.name)
    try:
        await ctx.accounts.link(MICROSOFT, account)
    except AccountIdInvalid:
        raise ActionFailure(
            "VENDOR_ANSWER_INVALID", "Microsoft told an id of the person that is no object id."
        ) from None
    return pb.LinkUserResponse(user=_person(account))


async def list_users(request: pb.ListUsersRequest, ctx: Context) -> pb.ListUsersResponse:
    """Lists linked people and the members of a team, by name."""
    linked = await ctx.accounts.listed(MICROSOFT, limit=10_000)
    people = {one.account_id: _person(one) for one in linked}
    team = request.team_id or ctx.client.settings.team_id
    for row in await ctx.client.bot.members(await addresses_for(ctx, team), team) if team else ():
        if id := object_id(row):
            known = people.setdefault(id, pb.Person(microsoft_user_id=id))
            known.MergeFrom(filled(pb.Person, row))
    shown = _chosen(people.values(), request.query, request.limit)
    return pb.ListUsersResponse(users=shown, count=len(shown))


async def list_channels(request: pb.ListChannelsRequest, ctx: Context) -> pb.ListChannelsResponse:
    """Lists the channels of a team, by name."""
    team = request.team_id or ctx.client.settings.team_id
    rows: Sequence[Row] = await ctx.client.bot.channels(await addresses_for(ctx, team), team) if team else []
    channels = [
        pb.Channel(channel_id=id, name=text(row.get("name")) or _GENERAL, channel_type=text(row.get("channelType")))
        for row in rows
        if (id := text(row.get("id")))
    ]
    query = request.query.casefold()
    found = sorted((one for one in channels if query in one.name.casefold()), key=lambda one: one.name.casefold())
    return pb.ListChannelsResponse(channels=found[: request.limit], count=len(found[: request.limit]))


async def list_teams(request: pb.ListTeamsRequest, ctx: Context) -> pb.ListTeamsResponse:
    """Lists the teams from which the bot has heard and the connection's own, by name."""
    heard = await ctx.conversations.teams(ctx.client.settings.bot_app_id)
    names = {one.team_id: await team_name(one, ctx) for one in heard if one.team_id}
    own = ctx.client.settings.team_id
    if own and names.get(own) is None:
        names[own] = text((await ctx.client.bot.team(await addresses_for(ctx, own), own)).get("name"))
    teams = [pb.Team(team_id=id, name=name or id) for id, name in names.items() if name is not None or id == own]
    query = request.query.casefold()
    found = [one for one in teams if query in f"{one.name} {one.team_id}".casefold()]
    shown = sorted(found, key=lambda one: (one.name.casefold(), one.team_id))[: request.limit]
    return pb.ListTeamsResponse(teams=shown, count=len(shown))


async def _recipient(request: pb.NotifyUserRequest | pb.SendDmRequest, ctx: Context) -> Account:
    """Returns who is meant; `user_id` is empty for people who were not named by it."""
    if request.microsoft_user_id:
        return Account(user_id="", account_id=request.microsoft_user_id)
    if request.user_id:
        account = await ctx.accounts.of_user(MICROSOFT, request.user_id)
        if account is None:
            message = f"No Microsoft account is linked to the user `{request.user_id}`."
            raise ActionFailure("USER_NOT_LINKED", message, field="user_id")
        return account
    try:
        return await ctx.client.graph.person(request.email)
    except ActionFailure as failure:
        raise _about(failure, "email") from None


def _about(failure: ActionFailure, field: str) -> ActionFailure:
    """Names the input that names a person whom Microsoft does not know."""
    if failure.failure.reason == "NOT_FOUND":
        failure.failure.field = field
    return failure


def _person(account: Account) -> pb.Person:
    return pb.Person(
        microsoft_user_id=account.account_id, user_id=account.user_id, name=account.name, email=account.email
    )


def _chosen(people: Iterable[pb.Person], query: str, limit: int) -> list[pb.Person]:
    found = [one for one in people if query.casefold() in _words(one)]
    return sorted(found, key=lambda one: (one.name.casefold(), one.microsoft_user_id))[:limit]


def _words(person: pb.Person) -> str:
    return f"{person.name} {person.email} {person.user_id} {person.microsoft_user_id}".casefold()
