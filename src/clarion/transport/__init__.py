"""How messages travel: between processes, and out to the services of others."""
