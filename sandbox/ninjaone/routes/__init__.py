"""The instance's endpoints, a file a theme."""

from sandbox.ninjaone.routes import activities, alerts, devices, power, scripts, sign_in
from sandbox.ninjaone.routing import Endpoint

ENDPOINTS: list[Endpoint] = [
    endpoint for theme in (devices, scripts, power, alerts, activities) for endpoint in theme.ENDPOINTS
]
PAGES: list[Endpoint] = sign_in.PAGES
