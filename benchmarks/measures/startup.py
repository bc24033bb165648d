"""From the start of the process until the health service says SERVING."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import median
from time import monotonic, sleep

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.figures import Figure
from benchmarks.processes import ROOT
from benchmarks.rounds import MeasurementInvalid
from benchmarks.stage import Stage

_LIMIT = 60.0
_POLL = 0.003
_SERVING = health_pb2.HealthCheckResponse.SERVING


def measure(stage: Stage, starts: int) -> Sequence[Figure]:
    """Starts in turns: a bare gRPC server, ours on a running PostgreSQL, ours with its own (first and later)."""
    dsn = stage.create_database("bench_start")
    times: dict[str, list[float]] = {"bare": [], "running": [], "first": [], "later": []}
    for number in range(starts):
        port = _free_port()
        times["bare"].append(_timed([*_python("benchmarks.bare"), json.dumps({"listen": _at(port)})], port, {}))
        given = {"PATCHBAY_DATABASE_URL": dsn, "PATCHBAY_DATA_DIR": str(stage.folder / "start")}
        times["running"].append(_started(given))
        embedded = {"PATCHBAY_DATA_DIR": str(stage.folder / f"start-{number}")}
        times["first"].append(_started(embedded))
        times["later"].append(_started(embedded))
    told = {
        "running": "Start on a PostgreSQL that runs",
        "later": "Start with the embedded PostgreSQL",
        "first": "First start with the embedded PostgreSQL",
    }
    return [_figure(name, times[key], times["bare"]) for key, name in told.items()]


def _figure(name: str, ours: list[float], bare: list[float]) -> Figure:
    ratios = [one / floor for one, floor in zip(ours, bare, strict=True)]
    return Figure(
        name=name,
        unit="s",
        floor=median(bare),
        ours=median(ours),
        ratio=median(ratios),
        spread=(min(ratios), max(ratios)),
        added=median(ours) - median(bare),
        better="lower",
        note="floor: a gRPC server with nothing but the health service",
    )


def _started(environment: Mapping[str, str]) -> float:
    port = _free_port()
    return _timed([*_python("server.cli"), "serve", "--listen", _at(port)], port, environment)


def _timed(command: Sequence[str], port: int, environment: Mapping[str, str]) -> float:
    """Returns the seconds until SERVING, and ends the process."""
    began = monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={**_without_ours(), **environment},
    )
    try:
        while not _serving(port):
            if process.poll() is not None or monotonic() - began > _LIMIT:
                raise MeasurementInvalid(f"{' '.join(command[:4])} did not start")
            sleep(_POLL)
        return monotonic() - began
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.communicate()


def _serving(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        with grpc.insecure_channel(_at(port)) as channel, suppress(grpc.RpcError):
            check = health_pb2_grpc.HealthStub(channel).Check
            return bool(check(health_pb2.HealthCheckRequest(), timeout=5.0).status == _SERVING)
    return False


def _without_ours() -> dict[str, str]:
    """Returns the environment without settings of a server that the caller may run."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PATCHBAY_")}


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _at(port: int) -> str:
    return f"127.0.0.1:{port}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
