"""What simulators share whose world begins as a seed says: they start over, and change it whole or not at all."""

import asyncio
import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from sandbox.control.effects import EffectLog
from sandbox.control.simulator import JsonObject, StateError

_VENDORS = Path(__file__).parent.parent


def seed_of(vendor: str, given: Path | JsonObject | None = None) -> JsonObject:
    """The content of a seed.

    Args:
        vendor: The simulator's package.
        given: A seed file or its content; the vendor's demo world when None.
    """
    if isinstance(given, dict):
        return given
    path = given or _VENDORS / vendor / "seeds" / "demo.json"
    seed: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    return seed


class SeededWorld(ABC):
    """The state of one simulated vendor.

    Args:
        effects: Where changes are counted.

    Attributes:
        editable: Names of the attributes that `change` may touch.
        tasks: What goes on in the background.
    """

    editable: ClassVar[tuple[str, ...]] = ("settings", "tables")

    def __init__(self, effects: EffectLog) -> None:
        self.effects = effects
        self.tasks: set[asyncio.Task[None]] = set()

    def background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Does something in the background, until the world ends."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def end(self) -> None:
        """Forgets whatever still runs."""
        for task in self.tasks:
            task.cancel()

    @abstractmethod
    def snapshot(self) -> JsonObject:
        """The world as JSON, without any credential."""

    @abstractmethod
    def change(self, wish: JsonObject) -> None:
        """Carries a wish out, part by part. Raises `StateError` at the first that cannot be."""


_W = TypeVar("_W", bound=SeededWorld)


class Seeded(Generic[_W]):
    """The part of a `Simulator` that has to do with its world.

    Args:
        create: Makes the world as the seed says; it counts its effects in the log.

    Attributes:
        world: The world as it is.
        effects: What clients changed in it.
    """

    def __init__(self, create: Callable[[EffectLog], _W]) -> None:
        self._create = create
        self.effects = EffectLog()
        self.world = create(self.effects)

    def reset(self) -> None:
        """Returns to the seed; credentials that the simulator made stay valid."""
        self.world.end()
        self.world = self._create(self.effects)

    def snapshot(self) -> JsonObject:
        """The world without credentials."""
        return self.world.snapshot()

    def patch(self, changes: JsonObject) -> None:
        """Changes the world, whole or not at all; its `change` tells what can be wished."""
        before = copy.deepcopy({name: getattr(self.world, name) for name in self.world.editable})
        try:
            self.world.change(changes)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            for name, value in before.items():
                setattr(self.world, name, value)
            raise StateError(f"nothing changed: {error}") from None
