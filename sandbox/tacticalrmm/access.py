"""Who calls, and what a role lets them do."""

import time
from collections.abc import Callable

from sandbox.tacticalrmm.models import Agent, Role, User
from sandbox.tacticalrmm.wire import Call, Refused, detail, missing
from sandbox.tacticalrmm.world import World

Permission = Callable[[Call], bool]


def _unauthorized(text: str) -> Refused:
    refused = detail(401, text)
    refused.answer.headers.append((b"www-authenticate", b"Token"))
    return refused


def session_token(call: Call) -> str | None:
    """The token of an `Authorization: Token ...` header; None for any other scheme."""
    scheme, _, value = (call.text_header(b"authorization") or "").partition(" ")
    if scheme.lower() != "token":
        return None
    if not value.strip():
        raise _unauthorized("Invalid token header. No credentials provided.")
    return value.strip()


def _by_token(call: Call, value: str) -> User:
    token = call.world.sessions.use(value)
    if token is None:
        raise _unauthorized("Invalid token.")
    return _active(call.world, token.user)


def _by_key(call: Call, value: str) -> User:
    world = call.world
    key = world.keys.get(world.vault.key_named(value) or "")
    if key is None:
        raise _unauthorized("Invalid token.")
    if key.expiry is not None and key.expiry < time.time():
        raise _unauthorized("The token has expired.")
    return _active(world, key.user)


def _active(world: World, name: str) -> User:
    user = world.users.get(name)
    if user is None or not user.active:
        raise _unauthorized("User inactive or deleted.")
    return user


def authenticate(call: Call) -> User | None:
    """The caller; None when there is no credential. A session token is tried before an API key.

    Raises:
        Refused: 401, when a credential is given and not valid.
    """
    token = session_token(call)
    if token is not None:
        return _by_token(call, token)
    key = call.text_header(b"x-api-key")
    return None if key is None else _by_key(call, key)


def role_of(call: Call) -> Role | None:
    """The caller's role, if any."""
    if call.user is None or call.user.role is None:
        return None
    return call.world.roles.get(call.user.role)


def in_scope(call: Call, agent: Agent) -> bool:
    """Whether the caller's role may see this agent."""
    role = role_of(call)
    if role is None:
        return False
    if role.superuser or not (role.clients or role.sites):
        return True
    return agent.site in role.sites or call.world.site_of(agent).client in role.clients


def anyone(_call: Call) -> bool:
    """No login needed."""
    return True


def logged_in(call: Call) -> bool:
    """Any valid login will do."""
    return call.user is not None


def may(flag: str) -> Permission:
    """The role has the flag."""

    def allowed(call: Call) -> bool:
        role = role_of(call)
        return role is not None and (role.superuser or flag in role.permissions)

    return allowed


def may_on_agent(flag: str) -> Permission:
    """The role has the flag, and the agent of the path is within its clients and sites."""
    flagged = may(flag)

    def allowed(call: Call) -> bool:
        if not flagged(call):
            return False
        agent = call.world.agents.get(call.params["agent_id"])
        if agent is None:
            raise missing("Agent")
        return in_scope(call, agent)

    return allowed


def check(call: Call, permission: Permission) -> None:
    """Authenticate and authorize. Raises the 401 or 403 the server answers."""
    call.user = authenticate(call)
    if permission is anyone:
        return
    if call.user is None:
        raise _unauthorized("Authentication credentials were not provided.")
    if not permission(call):
        raise detail(403, "You do not have permission to perform this action.")
