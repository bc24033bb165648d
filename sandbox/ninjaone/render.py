"""Rows as the instance tells them (the vendor's OpenAPI document, 2.0.9-draft)."""

from typing import Any

from sandbox.ninjaone.models import Activity, Alert, Device, Script


def device_row(device: Device) -> dict[str, Any]:
    """A row of the plain list; it has no operating system."""
    row: dict[str, Any] = {
        "id": device.id,
        "uid": device.uid,
        "organizationId": device.organization,
        "locationId": device.location,
        "nodeClass": device.node_class,
        "nodeRoleId": device.role,
        "approvalStatus": device.approval,
        "offline": device.offline,
        "displayName": device.display_name or device.system_name,
        "systemName": device.system_name,
        "dnsName": device.dns_name,
        "created": device.created,
        "lastContact": device.last_contact,
        "lastUpdate": device.last_contact,
        "tags": device.tags,
        "maintenance": device.maintenance,
    }
    return {name: value for name, value in row.items() if name not in device.missing and value not in ("", {})}


def detailed_row(device: Device) -> dict[str, Any]:
    """A row of the detailed list, and a single device."""
    more: dict[str, Any] = {
        "ipAddresses": device.ip_addresses,
        "macAddresses": device.mac_addresses,
        "publicIP": device.public_ip,
        "deviceType": "AGENT_DEVICE",
        "os": {"name": device.os_name, "lastBootTime": device.last_boot, "needsReboot": device.needs_reboot},
        "system": {"manufacturer": "Dell Inc.", "model": device.model, "serialNumber": device.serial_number},
        "memory": {"capacity": 17179869184},
        "lastLoggedInUser": device.last_user,
    }
    return {**device_row(device), **{name: value for name, value in more.items() if name not in device.missing}}


def script_item(script: Script) -> dict[str, Any]:
    """An entry of a device's scripting options: a script has an id, a built-in action a uid."""
    named: dict[str, Any] = {"type": "ACTION", "uid": script.uid} if script.uid else {"type": "SCRIPT", "id": script.id}
    more = {"description": script.description, "architecture": ["64"], "categoryId": script.category}
    return {**named, "name": script.name, "language": script.language, **more}


def alert_row(alert: Alert) -> dict[str, Any]:
    """A triggered condition."""
    return {
        "uid": alert.uid,
        "deviceId": alert.device,
        "message": alert.message,
        "createTime": alert.created,
        "updateTime": alert.updated,
        "sourceType": alert.source_type,
        "sourceName": alert.source_name,
        "subject": alert.subject,
        "severity": alert.severity,
        "priority": alert.priority,
    }


def activity_row(activity: Activity) -> dict[str, Any]:
    """A line of the activity log."""
    row: dict[str, Any] = {
        "id": activity.id,
        "activityTime": activity.time,
        "deviceId": activity.device,
        "seriesUid": activity.series,
        "activityType": activity.type,
        "statusCode": activity.status_code,
        "status": activity.status_code.replace("_", " ").capitalize(),
        "activityResult": activity.result,
        "sourceName": activity.source_name,
        "subject": activity.subject,
        "type": activity.type.capitalize(),
        "data": activity.data,
    }
    return {name: value for name, value in row.items() if value != ""}
