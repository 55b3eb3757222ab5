"""What several benches share: the far side, a database, processes of others."""
