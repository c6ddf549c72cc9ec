"""A module a command of `stockfreeze`, each with a click command named `command`."""
