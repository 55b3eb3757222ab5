"""What servers call, with a key that must not leave them (`sk_…`)."""
