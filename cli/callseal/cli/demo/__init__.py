"""Calls of a desk and of a gateway in a minute: real ones over loopback, recorded, stored, verified, opened."""
