"""The control plane every simulator shares: faults, effects, received requests, state."""

from sandbox.control.app import Sandbox
from sandbox.control.effects import EffectLog
from sandbox.control.seeded import Seeded, SeededWorld, seed_of
from sandbox.control.simulator import JsonObject, Simulator, StateError

__all__ = [
    "EffectLog",
    "JsonObject",
    "Sandbox",
    "Seeded",
    "SeededWorld",
    "Simulator",
    "StateError",
    "seed_of",
]
