"""One request, and the shape in which Graph refuses."""

import json
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse

from sandbox.control.wire import Refused
from sandbox.microsoft import Asked
from sandbox.microsoft365calendar.world import World


def graph_error(status: int, code: str, message: str, **more: Any) -> Refused:
    """Graph's envelope; see https://learn.microsoft.com/graph/errors."""
    inner = {"date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()), "request-id": str(uuid4())}
    return Refused(JSONResponse({"error": {"code": code, "message": message, **more, "innerError": inner}}, status))


@dataclass(slots=True, kw_only=True)
class Call(Asked):
    """One request, and the client secret that is good."""

    world: World
    secret: str = field(repr=False)

    def json(self) -> dict[str, Any]:
        """The body's object. Raises the 400 of anything else."""
        try:
            body = json.loads(self.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise graph_error(400, "BadRequest", "Unable to read JSON request payload.")
        return body
