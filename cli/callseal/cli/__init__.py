"""The face: the commands that people type."""
