"""One file a provider: code that speaks to one kind of push service."""
