"""The server's endpoints, a file a theme."""

from sandbox.tacticalrmm.routes import agents, auth, core, history, power, run, scripts
from sandbox.tacticalrmm.routing import Endpoint

ENDPOINTS: list[Endpoint] = [
    *run.ENDPOINTS,
    *agents.ENDPOINTS,
    *history.ENDPOINTS,
    *power.ENDPOINTS,
    *scripts.ENDPOINTS,
    *auth.ENDPOINTS,
    *core.ENDPOINTS,
]
