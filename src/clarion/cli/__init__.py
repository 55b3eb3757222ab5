"""The command line: each command is a few lines; what it does happens in a server, or in the folder that it opens."""

from clarion.cli.app import main

__all__ = ["main"]
