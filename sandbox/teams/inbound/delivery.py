"""From a wish to requests at the bot. Also what the wish changes in the world."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from sandbox.control import JsonObject, StateError
from sandbox.control.records import build
from sandbox.teams.inbound.activities import Scene, made
from sandbox.teams.inbound.signing import signed
from sandbox.teams.inbound.wishes import SigningWish, Wish
from sandbox.teams.models import Bot, User
from sandbox.teams.world import World

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SECONDS = 20.0


class Delivery:
    """Sends to bots.

    Args:
        world: Tells the world of now.
    """

    def __init__(self, world: Callable[[], World]) -> None:
        self._world = world

    async def send(self, base: str, given: JsonObject) -> JsonObject:
        """Sends the activities of a wish.

        Args:
            base: Address of the simulator.
            given: A `Wish`.

        Returns:
            `{"sent": [{"activity", "status", "body"}]}`, in order; instead of status and body an `error` where no
            answer came.

        Raises:
            StateError: The wish names something that does not exist, or a bot elsewhere than on loopback.
        """
        wish = build(Wish, given)
        _check_address(wish.bot_url)
        scene = _scene(self._world(), wish, base)
        _happen(scene, wish)
        ring = scene.world.vault.ring
        signs = [
            (one, signed(ring, scene.bot.app_id, scene.service_url, scene.directory.cloud, wish.token))
            for one in made(scene, wish)
        ]
        async with httpx.AsyncClient(trust_env=False, timeout=_SECONDS) as client:
            pairs = [pair for _ in range(wish.times) for pair in signs]
            return {"sent": [await _posted(client, wish, activity, token) for activity, token in pairs]}

    async def sign(self, _base: str, given: JsonObject) -> JsonObject:
        """A token alone, for a test that sends itself: `{"token": value}`. `given` is a `SigningWish`."""
        wish, world = build(SigningWish, given), self._world()
        bot = _bot(world, wish.app_id)
        return {"token": signed(world.vault.ring, bot.app_id, wish.service_url, wish.cloud, wish.token)}


async def _posted(client: httpx.AsyncClient, wish: Wish, activity: JsonObject, token: str) -> JsonObject:
    headers = {"Authorization": f"Bearer {token}"} if wish.token.header else {}
    try:
        answer = await client.post(wish.bot_url, json=activity, headers=headers)
    except httpx.TransportError as error:
        return {"activity": activity, "error": f"{type(error).__name__}: {error}"}
    return {"activity": activity, "status": answer.status_code, "body": answer.text}


def _check_address(url: str) -> None:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if host not in _LOOPBACK:
        raise StateError(f"bot_url must be an address on loopback, not {url!r}")


def _scene(world: World, wish: Wish, base: str) -> Scene:
    bot, user = _bot(world, wish.app_id), _user(world, wish.user)
    directory = world.directories[user.directory]
    team = _named(world.teams, wish.team, "teams") if wish.team else None
    channel = _named(world.channels, wish.channel or wish.team, "channels") if team is not None else None
    own = f"{base}/connector/{directory.region}/"
    return Scene(world, bot, user, directory, team, channel, wish.service_url or own)


def _bot(world: World, app_id: str) -> Bot:
    found: Bot = _named(world.bots, app_id or next(iter(world.bots)), "bots")
    return found


def _user(world: World, name: str) -> User:
    found = world.user(name or next(iter(world.tables["users"])))
    if found is None:
        raise StateError(f"users has no {name!r}")
    return found


def _named(table: dict[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise StateError(f"{what} has no {name!r}")
    return table[name]


def _happen(scene: Scene, wish: Wish) -> None:
    """Changes the world as the event says."""
    world, bot = scene.world, scene.bot.app_id
    owner = {"team": scene.team.id} if scene.team is not None else {"user": scene.user.id}
    if wish.event == "install":
        for app in [one for one in world.apps.values() if one.bot == bot]:
            world.install(app, **owner)
    elif wish.event == "uninstall":
        for gone in list(world.installed(bot, **owner)):
            del world.tables["installations"][gone.id]
    elif wish.event == "message" and scene.team is None:
        world.open(bot, scene.user).blocked = False
