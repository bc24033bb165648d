"""Records of the simulated NinjaOne instance; the seed file has the same fields.

Facts about the vendor come from its OpenAPI document (2.0.9-draft); what that leaves open is a setting.
"""

from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

Platform = Literal["WINDOWS", "MAC", "LINUX"]
Verdict = Literal["SUCCESS", "FAILURE", "UNSUPPORTED", "UNCOMPLETED"]
RunAnswer = Literal["empty", "id", "activity_id", "job_uid", "uuid", "integer"]


@dataclass(slots=True)
class Settings:
    """Switches of the instance.

    Attributes:
        time_scale: Real seconds per simulated second.
        expires_in: Life of an access token in seconds.
        rotation: What becomes of a refresh token that was used. off: it stays, the answer names none; overlap: it stays
            valid until the one that replaces it is used; strict: it ends at once.
        dead_grant: How the end of a refresh token is told.
        signed_in: User of the browser that opens the sign-in page; empty: nobody, a form is shown.
        consent: Whether that user agrees.
        oauth_alias: Whether `/oauth/...` works as `/ws/oauth/...` does.
        user_context_status: Status of `user_context_required`.
        reboot_needs_user: Whether reboots ask for a user's token too.
        run_answer: Body of an accepted script run.
        run_as_required: Whether a run without `runAs` is refused.
        uid_is_series: Whether a uid in that body is the `seriesUid` of the activities.
        activities: Whether what a device does is told.
        activity_lag: Seconds until an activity is told.
        page_size: Rows of a page when the request names no `pageSize`.
        throttle: What throttled requests get.
        throttle_times: How many are throttled; 0: all until switched off.
        retry_after: The seconds of `Retry-After`.
    """

    time_scale: float = 1.0
    expires_in: int = 3600
    rotation: Literal["off", "overlap", "strict"] = "overlap"
    dead_grant: Literal["invalid_grant", "invalid_token", "expired_token"] = "invalid_grant"
    signed_in: str = "admin"
    consent: bool = True
    oauth_alias: bool = True
    user_context_status: int = 403
    reboot_needs_user: bool = False
    run_answer: RunAnswer = "empty"
    run_as_required: bool = True
    uid_is_series: bool = True
    activities: bool = True
    activity_lag: float = 0.0
    page_size: int = 100
    throttle: Literal["off", "retry_after", "bare", "html"] = "off"
    throttle_times: int = 0
    retry_after: int = 1


@dataclass(slots=True)
class ApiApp:
    """A client app of the API.

    Attributes:
        secret: Whether token requests must carry the app's secret; native apps have none.
        redirect_uris: Where the sign-in may lead. Of loopback addresses the port does not count (RFC 8252, 7.3).
    """

    client_id: str
    name: str = ""
    grants: list[str] = field(default_factory=lambda: ["client_credentials"])
    scopes: list[str] = field(default_factory=lambda: ["monitoring", "management", "control"])
    secret: bool = True
    redirect_uris: list[str] = field(default_factory=lambda: ["http://127.0.0.1/", "http://localhost/"])


@dataclass(slots=True)
class User:
    """A technician. `active` False ends what was granted in the user's name."""

    name: str
    active: bool = True


@dataclass(slots=True)
class Organization:
    """A customer."""

    id: int
    name: str
    description: str = ""


@dataclass(slots=True)
class Device:
    """A managed device.

    Attributes:
        missing: Keys that are left out of every row; all are optional in the vendor's document.
    """

    id: int
    system_name: str
    organization: int
    node_class: str = "WINDOWS_WORKSTATION"
    display_name: str = ""
    dns_name: str = ""
    location: int = 1
    role: int = 1002
    offline: bool = False
    approval: Literal["PENDING", "STAGED", "APPROVED", "DECOMMISSIONED"] = "APPROVED"
    created: float = 1760000000.0
    last_contact: float = 1790000000.25
    uid: str = field(default_factory=lambda: str(uuid4()))
    ip_addresses: list[str] = field(default_factory=list)
    mac_addresses: list[str] = field(default_factory=list)
    public_ip: str = "198.51.100.7"
    os_name: str = "Windows 11 Professional Edition"
    needs_reboot: bool = False
    last_boot: float = 1789900000.0
    serial_number: str = ""
    model: str = "OptiPlex 7010"
    last_user: str = ""
    tags: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    maintenance: dict[str, object] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def platform(self) -> Platform:
        """The system that decides what may run on it."""
        if self.node_class.startswith("MAC"):
            return "MAC"
        return "LINUX" if self.node_class.startswith("LINUX") else "WINDOWS"


@dataclass(slots=True)
class Script:
    """A script of the library, or a built-in action of the vendor.

    Attributes:
        id: Of a script; 0 for an action.
        uid: Of an action; empty for a script.
        seconds: How long it runs.
        result: How it ends; empty: its end is never told.
        status_code: The lifecycle's last word.
    """

    name: str
    id: int = 0
    uid: str = ""
    language: str = "powershell"
    description: str = ""
    category: int = 1
    operating_systems: list[Platform] = field(default_factory=lambda: ["WINDOWS"])
    active: bool = True
    seconds: float = 0.0
    result: Verdict | Literal[""] = "SUCCESS"
    status_code: str = "COMPLETED"
    data: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Credential:
    """A stored credential that scripts may run as."""

    id: int
    name: str
    type: str = "BASIC"


@dataclass(slots=True)
class Alert:
    """A triggered condition.

    Attributes:
        lasting: Whether the condition still holds: a reset brings it back under another uid.
    """

    uid: str
    device: int
    message: str
    created: float = 1790000100.0
    updated: float = 1790000100.0
    source_type: str = "CONDITION_AGENT_DISK_FREE_SPACE"
    source_name: str = "Disk low"
    subject: str = "Disk"
    severity: str = "MAJOR"
    priority: str = "HIGH"
    lasting: bool = False


@dataclass(slots=True)
class Activity:
    """One line of the activity log; ids ascend over the whole account."""

    id: int
    device: int
    time: float
    series: str
    type: str
    status_code: str
    source_name: str
    subject: str = ""
    result: str = ""
    data: dict[str, object] = field(default_factory=dict)
