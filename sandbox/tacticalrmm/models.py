"""Records of the simulated Tactical RMM server; the seed file has the same fields."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

AgentState = Literal["online", "offline", "overdue", "slow"]
Platform = Literal["windows", "linux", "darwin"]


@dataclass(slots=True)
class Settings:
    """Switches of the server.

    Attributes:
        time_scale: Real seconds per simulated second; 0.01 makes a wait of 5 s last 50 ms.
        nats: The bus: up; down (the server cannot connect); no_subscriber (nobody answers for a silent agent).
        nats_connect_seconds: How long the server tries to connect to a bus that is down.
        beta: Whether `/beta/v1/` exists.
        allowed_hosts: Host names the server answers for, without port.
        history_lag: Seconds between an agent's answer and its filled history row.
        history_limit: How many history rows are kept an agent.
        server_scripts: Whether scripts may run on the server itself.
        queue_workers: Whether queued bulk jobs are carried out, or only promised.
        login_per_minute: Anonymous calls to each login view an address may make in a minute; 0 means no limit.
        block_local_logon: Whether only superusers may log in with a password.
    """

    time_scale: float = 1.0
    nats: Literal["up", "down", "no_subscriber"] = "up"
    nats_connect_seconds: float = 4.0
    beta: bool = False
    allowed_hosts: list[str] = field(default_factory=lambda: ["127.0.0.1", "localhost", "api.example.test"])
    history_lag: float = 0.0
    history_limit: int = 1000
    server_scripts: bool = True
    queue_workers: bool = True
    login_per_minute: int = 10
    block_local_logon: bool = False


@dataclass(slots=True)
class Client:
    """A customer."""

    id: int
    name: str


@dataclass(slots=True)
class Site:
    """A place of a customer."""

    id: int
    name: str
    client: int


@dataclass(slots=True)
class Agent:
    """A managed machine.

    Attributes:
        id: Integer key; only short rows and the beta API show it.
        agent_id: The 40-letter identifier of the paths.
        state: online answers at once; offline and overdue never answer; slow starts at once but answers late.
        slow_seconds: How much later a slow agent answers.
        kills_at_limit: Whether the agent ends what runs longer than it may; if not, it runs to its end.
        installed: Software it reports when asked to refresh; `software` is what the server last stored.
    """

    id: int
    agent_id: str
    hostname: str
    site: int
    plat: Platform = "windows"
    state: AgentState = "online"
    slow_seconds: float = 30.0
    kills_at_limit: bool = True
    monitoring_type: Literal["server", "workstation"] = "workstation"
    description: str | None = None
    operating_system: str = "Windows 11 Pro, 64 bit v23H2 (build 22631.3447)"
    goarch: str | None = "amd64"
    version: str = "2.11.0"
    policy: int | None = None
    needs_reboot: bool = False
    maintenance_mode: bool = False
    logged_username: str = "-"
    public_ip: str = "203.0.113.25"
    local_ips: str = "10.20.0.5"
    cpu_model: list[str] = field(default_factory=lambda: ["Intel Core i5-1240P"])
    graphics: str = "No graphics cards"
    make_model: str = "Dell Latitude 5430"
    physical_disks: list[str] = field(default_factory=lambda: ["NVMe 476GB SSD"])
    serial_number: str = ""
    total_ram: int = 16
    time_zone: str = "UTC"
    boot_time: float = 1_780_000_000.0
    default_shell: str | None = None
    default_shell_custom: str = ""
    block_policy_inheritance: bool = False
    overdue_text_alert: bool = False
    overdue_email_alert: bool = False
    overdue_dashboard_alert: bool = False
    offline_time: int = 4
    overdue_time: int = 30
    check_interval: int = 120
    custom_fields: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    processes: list[dict[str, Any]] = field(default_factory=list)
    installed: list[dict[str, Any]] = field(default_factory=list)
    software: list[dict[str, Any]] | None = None

    @property
    def answers(self) -> bool:
        """Whether the agent is connected to the bus."""
        return self.state in {"online", "slow"}

    @property
    def status(self) -> str:
        """The server's own view: online, offline or overdue."""
        return "online" if self.answers else self.state


@dataclass(slots=True)
class Behaviour:
    """What a script or command does when it runs.

    Attributes:
        stdout: Text; `{args}`, `{env}` and `{hostname}` are replaced.
        seconds: How long it takes, in simulated seconds; 0 answers at once.
        by_args: Other behaviour when the first argument is this key.
        obey_args: Whether arguments such as `sleep=2`, `exit=3`, `stdout=x`, `stderr=x` decide what happens.
    """

    stdout: str = ""
    stderr: str = ""
    retcode: int = 0
    seconds: float = 0.0
    by_args: dict[str, Any] = field(default_factory=dict)
    obey_args: bool = False


@dataclass(slots=True)
class Script:
    """A stored script."""

    id: int
    name: str
    shell: Literal["powershell", "cmd", "python", "shell", "nushell", "deno"] = "powershell"
    description: str | None = ""
    script_type: Literal["userdefined", "builtin"] = "userdefined"
    args: list[str] | None = field(default_factory=list)
    category: str | None = None
    favorite: bool = False
    default_timeout: int = 90
    syntax: str | None = ""
    filename: str | None = None
    hidden: bool = False
    supported_platforms: list[str] | None = field(default_factory=list)
    run_as_user: bool = False
    env_vars: list[str] | None = field(default_factory=list)
    script_body: str = ""
    behaviour: Behaviour = field(default_factory=Behaviour)


@dataclass(slots=True)
class Role:
    """What a user may do; empty `clients` and `sites` mean everywhere."""

    name: str
    permissions: list[str] = field(default_factory=list)
    superuser: bool = False
    clients: list[int] = field(default_factory=list)
    sites: list[int] = field(default_factory=list)


@dataclass(slots=True)
class User:
    """An account; its password and TOTP secret are kept apart from the world."""

    name: str
    role: str | None = None
    active: bool = True
    totp: bool = False
    block_dashboard_login: bool = False


@dataclass(slots=True)
class ApiKey:
    """An API key by name; its value is kept apart from the world. `expiry` is epoch seconds."""

    name: str
    user: str
    expiry: float | None = None


@dataclass(slots=True)
class HistoryRow:
    """One script or command sent to an agent."""

    id: int
    agent: int
    username: str
    type: Literal["script_run", "cmd_run"]
    script: int | None = None
    script_name: str | None = None
    command: str = ""
    results: str | None = None
    script_results: dict[str, Any] | None = None
    collector_all_output: bool = False
    save_to_agent_note: bool = False
    custom_field: int | None = None
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
