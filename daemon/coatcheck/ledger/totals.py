"""The totals of each project, kept by triggers, so that ``status`` costs the same after ten years as on day one.

``sent`` are Instances that left or are about to, ``studies`` those with a folder in the outbox. What the triggers say
is a step of the migrations: never change it, add another.
"""

from __future__ import annotations

import sqlite3

_TABLES = (
    """
    CREATE TABLE delivery_totals (
        project TEXT NOT NULL,
        state TEXT NOT NULL,
        deliveries INTEGER NOT NULL DEFAULT 0,
        folders INTEGER NOT NULL DEFAULT 0,
        sent INTEGER NOT NULL DEFAULT 0,
        duplicates INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (project, state)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE refusal_totals (
        project TEXT NOT NULL,
        reason TEXT NOT NULL,
        files INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (project, reason)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE project_totals (
        project TEXT PRIMARY KEY,
        studies INTEGER NOT NULL DEFAULT 0,
        last_delivery TEXT,
        dangling INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
)
_IS_OUT = "folder IS NOT NULL AND state IN ('released', 'done')"
_COUNT_ONCE = (
    """
    INSERT INTO delivery_totals
    SELECT project, state, COUNT(*), COUNT(folder), SUM((folder IS NOT NULL) * (instances - duplicates - refused)),
           SUM(duplicates)
    FROM deliveries JOIN studies ON studies.id = study_id GROUP BY project, state
    """,
    """
    INSERT INTO refusal_totals
    SELECT project, reason, SUM(files) FROM refusals WHERE state IN ('planned', 'quarantined') GROUP BY project, reason
    """,
    f"""
    INSERT INTO project_totals (project, studies, last_delivery)
    SELECT project, COUNT(DISTINCT study_id), MAX(changed)
    FROM deliveries JOIN studies ON studies.id = study_id WHERE {_IS_OUT} GROUP BY project
    """,
    """
    INSERT OR IGNORE INTO project_totals (project)
    SELECT DISTINCT project FROM dangling JOIN studies ON studies.id = study_id
    """,
    """
    UPDATE project_totals SET dangling = (
        SELECT COUNT(*) FROM dangling JOIN studies ON studies.id = study_id
        WHERE studies.project = project_totals.project)
    """,
)
# A trigger takes over how its statement deals with conflicts, so none of these relies on it.
_PROJECT = "(SELECT project FROM studies WHERE id = {row}.study_id)"
_NEW_PROJECT = _PROJECT.format(row="NEW")
_ROW_OF_STATE = f"INSERT OR IGNORE INTO delivery_totals (project, state) VALUES ({_NEW_PROJECT}, NEW.state)"
_ROW_OF_PROJECT = f"INSERT OR IGNORE INTO project_totals (project) VALUES ({_NEW_PROJECT})"
_ADD_DELIVERY = f"""
    UPDATE delivery_totals SET deliveries = deliveries {{sign}} 1,
        folders = folders {{sign}} ({{row}}.folder IS NOT NULL),
        sent = sent {{sign}} ({{row}}.folder IS NOT NULL) * ({{row}}.instances - {{row}}.duplicates - {{row}}.refused),
        duplicates = duplicates {{sign}} {{row}}.duplicates
    WHERE project = {_PROJECT} AND state = {{row}}.state
""".format
_IS_NEW = """
    NEW.state = 'released' AND OLD.state = 'staged' AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE study_id = NEW.study_id AND id <> NEW.id
        AND folder IS NOT NULL AND state IN ('released', 'done'))
"""
_ADD_OUT = f"""
    UPDATE project_totals
    SET studies = studies + ({_IS_NEW}), last_delivery = MAX(COALESCE(last_delivery, ''), NEW.changed)
    WHERE project = {_NEW_PROJECT} AND NEW.folder IS NOT NULL AND NEW.state IN ('released', 'done')
"""
_ROW_OF_REASON = "INSERT OR IGNORE INTO refusal_totals (project, reason) VALUES (NEW.project, NEW.reason)"
_ADD_REFUSAL = """
    UPDATE refusal_totals SET files = files {sign} {row}.files
    WHERE project = {row}.project AND reason = {row}.reason AND {row}.state IN ('planned', 'quarantined')
""".format
_ADD_DANGLING = f"UPDATE project_totals SET dangling = dangling {{sign}} 1 WHERE project = {_PROJECT}".format
_TRIGGERS = (
    ("delivery_made", "INSERT ON deliveries", (_ROW_OF_STATE, _ADD_DELIVERY(sign="+", row="NEW"))),
    (
        "delivery_changed",
        "UPDATE ON deliveries",
        (
            _ROW_OF_STATE,
            _ADD_DELIVERY(sign="-", row="OLD"),
            _ADD_DELIVERY(sign="+", row="NEW"),
            _ROW_OF_PROJECT,
            _ADD_OUT,
        ),
    ),
    ("refusal_made", "INSERT ON refusals", (_ROW_OF_REASON, _ADD_REFUSAL(sign="+", row="NEW"))),
    (
        "refusal_changed",
        "UPDATE OF state ON refusals",
        (_ADD_REFUSAL(sign="-", row="OLD"), _ADD_REFUSAL(sign="+", row="NEW")),
    ),
    ("dangling_made", "INSERT ON dangling", (_ROW_OF_PROJECT, _ADD_DANGLING(sign="+", row="NEW"))),
    ("dangling_gone", "DELETE ON dangling", (_ADD_DANGLING(sign="-", row="OLD"),)),
)


def make(connection: sqlite3.Connection) -> None:
    """The tables and triggers. What was recorded before is counted once, here."""
    for statement in (*_TABLES, *_COUNT_ONCE):
        connection.execute(statement)
    for name, event, statements in _TRIGGERS:
        connection.execute(f"CREATE TRIGGER {name} AFTER {event} BEGIN {';'.join(statements)}; END")
