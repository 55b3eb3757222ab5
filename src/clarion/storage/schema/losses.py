"""Who said no after what we sent, and what our messages came to, by day."""

from sqlalchemy import BigInteger, Double, Index, PrimaryKeyConstraint, Table, Text

from clarion.storage.schema.columns import column, metadata

# One row each time; `category` is empty for what is about a device, `device` is 0 for what is not.
loss = Table(
    "loss",
    metadata,
    column("project", BigInteger),
    column("at", BigInteger),
    column("person", BigInteger),
    column("kind", Text),
    column("category", Text),
    column("channel", Text),
    column("device", BigInteger),
    PrimaryKeyConstraint("project", "at", "person", "kind", "category", "channel", "device"),
    Index("loss_person", "person"),
    sqlite_with_rowid=False,
)

# Numbers of people, not people.
loss_count = Table(
    "loss_count",
    metadata,
    column("project", BigInteger),
    column("dimension", Text),
    column("day", BigInteger),
    column("name", Text),
    column("reached", BigInteger),
    column("delivered", BigInteger),
    column("tapped", BigInteger),
    column("lost", BigInteger),
    column("opt_outs", BigInteger),
    column("permissions", BigInteger),
    column("subscriptions", BigInteger),
    PrimaryKeyConstraint("project", "dimension", "day", "name"),
    sqlite_with_rowid=False,
)

loss_alert = Table(
    "loss_alert",
    metadata,
    column("project", BigInteger),
    column("dimension", Text),
    column("name", Text),
    column("since", BigInteger),
    column("reached", BigInteger),
    column("lost", BigInteger),
    column("usual_reached", BigInteger),
    column("usual_lost", BigInteger),
    column("ratio_low", Double),
    PrimaryKeyConstraint("project", "dimension", "name"),
)
