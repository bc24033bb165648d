"""The record of one execution, as the store keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from google.protobuf.json_format import MessageToDict, ParseDict

from server.gen.patchbay.v1 import executor_pb2, failure_pb2, options_pb2

EffectClass = options_pb2.EffectClass
REPEATABLE = frozenset({EffectClass.EFFECT_CLASS_READ, EffectClass.EFFECT_CLASS_IDEMPOTENT})


class State(StrEnum):
    """Where an execution stands."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an execution came to. `claimable`: the same key may be claimed again (rule 5)."""

    state: State
    output: Mapping[str, object] | None = None
    failure: failure_pb2.Failure | None = None
    warnings: tuple[executor_pb2.Warning, ...] = ()
    claimable: bool = False
    budget_wait: float = 0.0
    evidence: Mapping[str, str] = field(default_factory=dict)
    completed_at: datetime | None = None
    """When it was recorded. None: it was not, or the store tells the time beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClaim:
    """What a claim wants to record. `sent`: claim and send mark in one statement."""

    tenant: str
    id: str
    key: str
    action: str
    version: int
    effect_class: int
    owner: str
    fingerprint: bytes
    algorithm: str
    connection_id: str | None
    input: Mapping[str, object]
    run_id: str
    step_path: str
    engine_attempt: int
    caller: str
    actor: str
    peer: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim that was granted: who may complete it."""

    tenant: str
    id: str
    owner: str
    fence: int
    attempt: int
    created_at: datetime
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row. `owner_alive` and `now` are by the database's clock at the time of reading."""

    tenant: str
    id: str
    key: str | None
    action: str
    version: int
    effect_class: int
    state: State
    attempt: int
    fence: int
    owner: str | None
    owner_alive: bool
    sent_at: datetime | None
    first_sent_at: datetime | None
    claimable: bool
    fingerprint: bytes | None
    algorithm: str | None
    connection_id: str | None
    input: Mapping[str, object] | None
    output: Mapping[str, object] | None
    failure: Mapping[str, object] | None
    warnings: tuple[Mapping[str, object], ...]
    evidence: Mapping[str, str]
    resolution: Mapping[str, object] | None
    budget_wait: float
    run_id: str
    step_path: str
    engine_attempt: int
    caller: str
    actor: str
    probes: int
    payload_dropped: bool
    created_at: datetime
    started_at: datetime
    completed_at: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRecord:
    """A READ execution that is over: recorded for audit, without its output."""

    tenant: str
    id: str
    action: str
    version: int
    state: State
    connection_id: str | None
    input: Mapping[str, object]
    failure: failure_pb2.Failure | None
    run_id: str
    step_path: str
    engine_attempt: int
    caller: str
    actor: str
    budget_wait: float
    started_at: datetime
    completed_at: datetime


class Origin(NamedTuple):
    """The execution that changes something of ours, as the audit row of the change names it."""

    caller: str
    actor: str
    peer: str
    action: str
    version: int
    execution_id: str
    run_id: str
    step_path: str


def failure_to_json(failure: failure_pb2.Failure) -> dict[str, object]:
    """Returns the stored form of a failure."""
    return MessageToDict(failure, preserving_proto_field_name=True)


def failure_from_json(stored: Mapping[str, object]) -> failure_pb2.Failure:
    """Returns the failure that was stored."""
    return ParseDict(dict(stored), failure_pb2.Failure(), ignore_unknown_fields=True)


def repeatable(effect_class: int, window: float | None, first_sent_at: datetime | None, now: datetime) -> bool:
    """Says whether a request that may have arrived can be sent again.

    READ and IDEMPOTENT always; VENDOR_KEYED while the vendor remembers the key; others never.
    """
    if effect_class in REPEATABLE:
        return True
    if effect_class != EffectClass.EFFECT_CLASS_VENDOR_KEYED or window is None:
        return False
    return first_sent_at is None or (now - first_sent_at).total_seconds() < window
