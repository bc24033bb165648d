"""Messages into a conversation that is known: sent, answered, replaced, taken back."""

from starlette.responses import JSONResponse, Response

from sandbox.teams.connector.counting import count_write
from sandbox.teams.connector.places import Place, check_reach, no_message, place
from sandbox.teams.connector.reading import Activity, activity, body, check_mentions
from sandbox.teams.models import Message
from sandbox.teams.routing import Routes
from sandbox.teams.wire import Call, connector_error


def send(call: Call) -> Response:
    """A message into a chat, a new post of a channel, or an answer in a thread."""
    given = activity(call, body(call))
    return _accepted(call, place(call, call.params[1]), given)


def reply(call: Call) -> Response:
    """The same, the message that is answered named in the path."""
    given, where = activity(call, body(call)), place(call, call.params[1])
    known = _message(call, where, call.params[2])
    if where.channel is not None:
        where = place(call, f"{where.id};messageid={known.root or known.id}")
    return _accepted(call, where, given)


def update(call: Call) -> Response:
    """Replaces a message of this bot."""
    given, where = activity(call, body(call)), place(call, call.params[1])
    known = _own(call, where)
    check_mentions(call, given.given, where)
    count_write(call, "send", where.id, where.directory, given.cost)
    known.activity = dict(given.given)
    call.world.effects.record("update_message", where.id, _detail(call, known))
    return JSONResponse({"id": known.id})


def delete(call: Call) -> Response:
    """Takes a message of this bot back."""
    where = place(call, call.params[1])
    known = _own(call, where)
    known.deleted = True
    call.world.effects.record("delete_message", where.id, _detail(call, known))
    return Response(status_code=200)


def deliver(call: Call, where: Place, given: Activity) -> list[Message]:
    """Lets people see an activity, as so many messages as it has parts. Raises what keeps it away."""
    check_reach(call, where)
    check_mentions(call, given.given, where)
    count_write(call, "send", where.id, where.directory, given.cost)
    return store(call, where, given)


def store(call: Call, where: Place, given: Activity) -> list[Message]:
    """Writes the messages of an activity down."""
    made = []
    for part in given.parts:
        message = Message(
            id=call.world.next_id(), conversation=where.id, root=where.root, bot=call.bot.app_id, activity=part
        )
        call.world.messages[message.id] = message
        call.world.effects.record("send_message", where.id, _detail(call, message))
        made.append(message)
    return made


def _accepted(call: Call, where: Place, given: Activity) -> Response:
    made = deliver(call, where, given)
    if len(made) != 1 or call.world.settings.send_answer == "accepted":
        return Response(status_code=202)
    return JSONResponse({"id": made[0].id}, 201)


def _message(call: Call, where: Place, wanted: str) -> Message:
    found = call.world.messages.get(wanted)
    if found is None or found.deleted or found.conversation != where.id:
        raise no_message()
    if where.root and where.root not in {found.root, found.id}:
        raise no_message()
    return found


def _own(call: Call, where: Place) -> Message:
    check_reach(call, where)
    found = _message(call, where, call.params[2])
    if found.bot != call.bot.app_id:
        raise connector_error(403, "NotEnoughPermissions", "The message belongs to somebody else.")
    return found


def _detail(call: Call, message: Message) -> dict[str, object]:
    shown = message.activity
    cards = [one.get("contentType") for one in shown.get("attachments") or []]
    facts = {"text": shown.get("text"), "summary": shown.get("summary"), "attachments": cards}
    return {"id": message.id, "root": message.root, "bot": call.bot.app_id, **facts}


ROUTES: Routes = {
    ("POST", "*/v3/conversations/*/activities"): send,
    ("POST", "*/v3/conversations/*/activities/*"): reply,
    ("PUT", "*/v3/conversations/*/activities/*"): update,
    ("DELETE", "*/v3/conversations/*/activities/*"): delete,
}
