"""Secrets: vendors repeat them, nothing of ours does."""

from collections.abc import Mapping
from typing import Any

from server.conformance.canaries import Search, core, forms
from server.conformance.cases import Cases
from server.conformance.judging import is_read
from server.conformance.scene import Scene, Trace
from server.conformance.stage import Stage
from server.conformance.world import World
from server.core.registry import RegisteredAction, RegisteredModule
from server.gen.patchbay.v1 import connections_pb2

_SHORTEST = 8

_TABLES = """
    SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.columns
    WHERE column_name = 'tenant' AND table_schema NOT IN ('pg_catalog', 'information_schema')
"""


class SecretCases(Cases):
    """No secret of a connection shows anywhere, whatever the vendor says."""

    def test_secrets_of_the_connection_never_show(
        self, action: RegisteredAction, undisturbed: Trace, scene: Scene
    ) -> None:
        """A success, and errors and bodies that repeat every secret: not in answers, stored rows or log lines."""
        definition, control = action.definition, scene.world.control
        begun = len(scene.stage.log())
        heard = {"a success": scene.execute(definition, "plain").SerializeToString()}
        for name, (kind, facts) in _leaks(forms(scene.connection_secrets)).items():
            control.add_fault(kind, times=0, **undisturbed.match, **facts)
            execution = scene.execute(definition, f"key {name}")
            again = execution if is_read(definition) else scene.recorded(f"key {name}")
            heard[name] = execution.SerializeToString() + again.SerializeToString()
            control.clear_faults()
        assert _search(scene)({**heard, **_rows(scene), "log": scene.stage.log()[begun:]}) == []

    def test_refused_credentials_are_neither_stored_nor_told(
        self, stage: Stage, module: RegisteredModule, world: World
    ) -> None:
        """A vendor that refuses the credentials and repeats them: a failure of the connection, and nothing is kept."""
        scene = Scene(stage, module, world)
        begun, settings = len(stage.log()), world.settings()
        scene.know(settings)
        world.control.add_fault("status", times=0, status=401, body={"detail": forms(scene.connection_secrets)})
        answer = scene.try_to_connect(settings)
        assert answer.failure.reason in ("CREDENTIALS_REFUSED", "CREDENTIALS_EXPIRED"), answer.failure
        assert answer.failure.remedy.text
        assert not answer.HasField("connection")
        request = connections_pb2.ListConnectionsRequest(tenant=scene.tenant)
        listed = stage.caller.call("Connections/ListConnections", request, connections_pb2.ListConnectionsResponse)
        assert not listed.connections
        heard = {"answer": answer.SerializeToString(), **_rows(scene), "log": stage.log()[begun:]}
        assert _search(scene)(heard) == []


def _leaks(told: str) -> Mapping[str, tuple[str, dict[str, Any]]]:
    page = f"<html><head><title>{told}</title></head><body>{told}</body></html>"
    return {
        "400": ("status", {"status": 400, "body": {"detail": told, "errors": [{"message": told}]}}),
        "401": ("status", {"status": 401, "body": {"error": told, "error_description": told}}),
        "403 as a page": ("status", {"status": 403, "body": page}),
        "429": ("status", {"status": 429, "headers": {"Retry-After": "3600"}, "body": told}),
        "500": ("status", {"status": 500, "body": {"message": told, "resultCode": told}}),
        "another body": ("garbage", {"body": f'{{"detail": {told}'}),
    }


def _search(scene: Scene) -> Search:
    short = [secret for secret in scene.secrets if len(core(secret)) < _SHORTEST]
    assert not short, f"{len(short)} secrets of the bench have no {_SHORTEST} letters or digits in a row"
    return Search({f"secret {number}": secret for number, secret in enumerate(sorted(scene.secrets))})


def _rows(scene: Scene) -> dict[str, bytes]:
    found = {}
    for table in [row["name"] for row in scene.stage.rows(_TABLES)]:
        statement = f"SELECT t::text FROM {table} t WHERE tenant::text = $1"  # noqa: S608 - the catalog quotes it
        rows = scene.stage.rows(statement, scene.tenant)
        found[f"table {table}"] = "\n".join(str(row[0]) for row in rows).encode()
    return found
