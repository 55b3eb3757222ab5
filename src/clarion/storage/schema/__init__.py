"""The one description of the database, for both engines: tables, keys and the few indexes that a query needs.

Inside, everything is found by integer keys; public ids are text and live in unique indexes at the edge. All times are
milliseconds since the epoch, UTC. The table of users is called `person` because `user` is a reserved word in SQL.

There are no foreign keys: rows come and go by the million in batches, a check for each would cost more than the row,
and every deletion is one of a few verbs in the folder above. An index is paid for by every row: here is what a query
needs.
"""

from clarion.storage.schema.audiences import roster, roster_member
from clarion.storage.schema.campaigns import campaign
from clarion.storage.schema.columns import metadata, sqlite_metadata
from clarion.storage.schema.jobs import idempotency, stoppage, work, work_body
from clarion.storage.schema.losses import loss, loss_alert, loss_count
from clarion.storage.schema.people import consent, departed, device, handed_on, merged, person, person_preference
from clarion.storage.schema.projects import api_key, credential, definition, project
from clarion.storage.schema.push import push_broadcast, push_channel, push_device, push_message, push_node
from clarion.storage.schema.runs import automation_run
from clarion.storage.schema.trail import (
    decision,
    delivery,
    digest_item,
    event,
    event_known,
    experiment_winner,
    gate_record,
    notification,
    person_event,
    person_event_new,
    receipt,
    sent_content,
    sent_log,
)

__all__ = [
    "api_key",
    "automation_run",
    "campaign",
    "consent",
    "credential",
    "decision",
    "definition",
    "delivery",
    "departed",
    "device",
    "digest_item",
    "event",
    "event_known",
    "experiment_winner",
    "gate_record",
    "handed_on",
    "idempotency",
    "loss",
    "loss_alert",
    "loss_count",
    "merged",
    "metadata",
    "notification",
    "person",
    "person_event",
    "person_event_new",
    "person_preference",
    "project",
    "push_broadcast",
    "push_channel",
    "push_device",
    "push_message",
    "push_node",
    "receipt",
    "roster",
    "roster_member",
    "sent_content",
    "sent_log",
    "sqlite_metadata",
    "stoppage",
    "work",
    "work_body",
]
