"""Every endpoint of the simulated API. There is no list of runs, and there are no organisations and no folders."""

from sandbox.levelio.routes import alerts, automations, devices, fields, groups, tags
from sandbox.levelio.routing import Routes

ROUTES: Routes = {
    **devices.ROUTES,
    **groups.ROUTES,
    **tags.ROUTES,
    **fields.ROUTES,
    **alerts.ROUTES,
    **automations.ROUTES,
}
