"""What the suite needs to use scheduling: two technicians and an entry, as the examples name them."""

from server.conformance.bench import LocalBench, Rows

ANN = "7d0f2d1e-5a52-4a6f-9a51-0c7a5e1f1a01"
BEN = "7d0f2d1e-5a52-4a6f-9a51-0c7a5e1f1a02"
ENTRY = "5a2d8f38-6f3e-4a51-8f6c-2f1f5f7a9b01"

_ROLE = "INSERT INTO user_roles (tenant, user_id, role_id) SELECT $1, $2, role_id FROM roles WHERE tenant = $1"
_ENTRY = """
    INSERT INTO schedule_entries
        (tenant, entry_id, title, status, work_item_type, work_item_id, scheduled_start, scheduled_end)
    VALUES ($1, $2, 'Replace disk', 'scheduled', 'ticket', $2, '2027-03-01T14:00Z', '2027-03-01T15:00Z')
"""


def prepare(tenant: str, rows: Rows) -> None:
    """Hires two technicians, opens a ticket and books the first of them for it."""
    rows("INSERT INTO roles (tenant, role_name) VALUES ($1, 'Technician')", tenant)
    for id, name in ((ANN, "Ann"), (BEN, "Ben")):
        rows("INSERT INTO users (tenant, user_id, username, first_name) VALUES ($1, $2, $3, $3)", tenant, id, name)
        rows(_ROLE, tenant, id)
    rows("INSERT INTO tickets (tenant, ticket_id, ticket_number, title) VALUES ($1, $2, 'T-1', 'Disk')", tenant, ENTRY)
    rows(_ENTRY, tenant, ENTRY)
    rows("INSERT INTO schedule_entry_assignees (tenant, entry_id, user_id) VALUES ($1, $2, $3)", tenant, ENTRY, ANN)


def effects(rows: Rows) -> int:
    """Counts events: every change has one."""
    return int(rows("SELECT count(*) FROM outbox_events")[0][0])


BENCH = LocalBench(provider="scheduling", prepare=prepare, effects=effects)
