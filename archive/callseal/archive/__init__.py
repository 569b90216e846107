"""The central side. Empty for now: its first inhabitant will be the custodian."""
