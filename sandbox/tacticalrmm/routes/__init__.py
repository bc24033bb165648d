"""The server's endpoints, a file a theme."""

from sandbox.tacticalrmm.routes import (
    agents,
    auth,
    beta,
    bulk,
    core,
    history,
    monitoring,
    power,
    run,
    scripts,
    services,
    software,
)
from sandbox.tacticalrmm.routing import Endpoint

ENDPOINTS: list[Endpoint] = [
    endpoint
    for theme in (
        run,
        agents,
        history,
        power,
        scripts,
        services,
        monitoring,
        software,
        bulk,
        auth,
        core,
        beta,
    )
    for endpoint in theme.ENDPOINTS
]
"""Those asked most come first; the first that matches a path answers."""
