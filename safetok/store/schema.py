"""The tables of the state, as steps that only go forward: step n takes a database from user_version n-1 to n."""

from __future__ import annotations

# Instants are RFC 3339 text in UTC, days are ISO text, `rest` and `info` are JSON. Booleans are 0 and 1.
_FIRST = (
    # A renewal's bytes stand in columns of their own, so that a list need not read them; the indices serve `unfinished`,
    # "did we issue this ourselves" and the history of one token or company.
    """CREATE TABLE renewals (
        id TEXT PRIMARY KEY, token_serial TEXT NOT NULL, authority TEXT NOT NULL, state TEXT NOT NULL, hold TEXT,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL, old_serial TEXT NOT NULL, mst TEXT, rest TEXT NOT NULL,
        running INTEGER NOT NULL, unfinished INTEGER NOT NULL, certificate_sha256 TEXT,
        old_certificate BLOB, request BLOB, answer BLOB, certificate BLOB, chain TEXT, confirmation BLOB) WITHOUT ROWID""",
    "CREATE INDEX renewals_unfinished ON renewals (token_serial, created_at) WHERE unfinished = 1",
    "CREATE UNIQUE INDEX renewals_running ON renewals (token_serial, old_serial) WHERE running = 1",
    "CREATE INDEX renewals_certificate ON renewals (certificate_sha256) WHERE certificate_sha256 IS NOT NULL",
    "CREATE INDEX renewals_token ON renewals (token_serial, created_at)",
    "CREATE INDEX renewals_time ON renewals (created_at)",
    """CREATE TABLE renewal_events (
        number INTEGER PRIMARY KEY, renewal TEXT NOT NULL, at TEXT NOT NULL, state TEXT NOT NULL, hold TEXT,
        reason TEXT NOT NULL)""",
    "CREATE INDEX renewal_events_renewal ON renewal_events (renewal, number)",
    """CREATE TABLE tokens (
        serial TEXT PRIMARY KEY, info TEXT NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE token_words (serial TEXT PRIMARY KEY, kind TEXT, note TEXT) WITHOUT ROWID""",
    """CREATE TABLE certificates (
        sha256 TEXT PRIMARY KEY, der BLOB NOT NULL, serial TEXT NOT NULL, subject TEXT NOT NULL, subject_name TEXT NOT NULL,
        subject_der BLOB NOT NULL, issuer TEXT NOT NULL, issuer_name TEXT NOT NULL, issuer_der BLOB NOT NULL, uids TEXT NOT NULL,
        not_before TEXT NOT NULL, not_after TEXT NOT NULL, key_type TEXT NOT NULL, key_bits INTEGER NOT NULL, spki BLOB NOT NULL,
        is_ca INTEGER NOT NULL, mst TEXT NOT NULL, company TEXT NOT NULL, first_seen TEXT NOT NULL)""",
    "CREATE INDEX certificates_serial ON certificates (serial)",
    "CREATE INDEX certificates_mst ON certificates (mst)",
    "CREATE INDEX certificates_company ON certificates (company, not_before)",
    """CREATE TABLE presences (
        token_serial TEXT NOT NULL, sha256 TEXT NOT NULL, cka_id BLOB NOT NULL, label TEXT NOT NULL, key TEXT NOT NULL,
        key_by_id_only INTEGER NOT NULL, first_seen TEXT NOT NULL, gone_at TEXT,
        PRIMARY KEY (token_serial, sha256)) WITHOUT ROWID""",
    "CREATE INDEX presences_certificate ON presences (sha256)",
    # Certificates that came by other means and await an answer (settled_at is null) or have had one.
    """CREATE TABLE appearances (
        sha256 TEXT PRIMARY KEY, token_serial TEXT NOT NULL, replaces TEXT, replaced_token TEXT, asked INTEGER NOT NULL,
        seen_at TEXT NOT NULL, settled_at TEXT, settled_how TEXT) WITHOUT ROWID""",
    "CREATE INDEX appearances_waiting ON appearances (seen_at) WHERE settled_at IS NULL",
    "CREATE TABLE contract_ends (sha256 TEXT PRIMARY KEY, day TEXT NOT NULL, stated_at TEXT) WITHOUT ROWID",
    "CREATE TABLE offers (sha256 TEXT PRIMARY KEY, body TEXT NOT NULL, checked_at TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE revocations (sha256 TEXT PRIMARY KEY, body TEXT NOT NULL, checked_at TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE registrations (
        number INTEGER PRIMARY KEY, certificate_sha256 TEXT NOT NULL, certificate TEXT NOT NULL, mst TEXT NOT NULL,
        agency TEXT NOT NULL, state TEXT NOT NULL, opened_at TEXT NOT NULL, updated_at TEXT, until TEXT, reason TEXT NOT NULL,
        superseded INTEGER NOT NULL DEFAULT 0, UNIQUE (certificate_sha256, agency))""",
    "CREATE INDEX registrations_serial ON registrations (certificate)",
    "CREATE INDEX registrations_mst ON registrations (mst)",
    "CREATE INDEX registrations_current ON registrations (number) WHERE superseded = 0",
    """CREATE TABLE registration_events (
        number INTEGER PRIMARY KEY, registration INTEGER NOT NULL REFERENCES registrations (number), at TEXT NOT NULL,
        what TEXT NOT NULL, before TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX registration_events_registration ON registration_events (registration, number)",
    "CREATE TABLE agencies_used (company TEXT, agency TEXT, used INTEGER NOT NULL, PRIMARY KEY (company, agency)) WITHOUT ROWID",
    """CREATE TABLE agencies_added (
        name TEXT PRIMARY KEY, title TEXT NOT NULL, wait_hours INTEGER NOT NULL, url TEXT NOT NULL, source TEXT NOT NULL,
        place INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE pin_attempts (
        number INTEGER PRIMARY KEY, token_serial TEXT NOT NULL, purpose TEXT NOT NULL, began_at TEXT NOT NULL, outcome TEXT)""",
    "CREATE INDEX pin_attempts_token ON pin_attempts (token_serial, number)",
)

_SECOND = (
    # Where an agency has several services, the moment each of them was updated: {"khai": instant}.
    "ALTER TABLE registrations ADD COLUMN parts TEXT NOT NULL DEFAULT '{}'",
    # A dossier's state is what was recorded about it, step by step; the table itself says only whose it is.
    """CREATE TABLE dossiers (
        id TEXT PRIMARY KEY, authority TEXT NOT NULL, mst TEXT NOT NULL, name TEXT NOT NULL, certificate TEXT NOT NULL,
        token TEXT NOT NULL, situation TEXT NOT NULL, path TEXT NOT NULL, several INTEGER NOT NULL, started_at TEXT NOT NULL,
        certificate_since TEXT) WITHOUT ROWID""",
    """CREATE TABLE dossier_events (
        number INTEGER PRIMARY KEY, dossier TEXT NOT NULL REFERENCES dossiers (id), at TEXT NOT NULL, step TEXT NOT NULL,
        day TEXT NOT NULL, said TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX dossier_events_dossier ON dossier_events (dossier, number)",
    # What hooks were told: one row for each occurrence and executable, so that none is told twice and failures can be tried again.
    """CREATE TABLE hook_runs (
        number INTEGER PRIMARY KEY, event TEXT NOT NULL, occurrence TEXT NOT NULL, hook TEXT NOT NULL, told TEXT NOT NULL,
        at TEXT NOT NULL, outcome TEXT NOT NULL, attempts INTEGER NOT NULL, why TEXT NOT NULL,
        UNIQUE (event, occurrence, hook))""",
    "CREATE INDEX hook_runs_failed ON hook_runs (number) WHERE outcome != 'ok'",
)

STEPS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND)
VERSION = len(STEPS)
