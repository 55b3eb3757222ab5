"""One file a step, numbered in order; `migrate.HEAD` names the last."""
