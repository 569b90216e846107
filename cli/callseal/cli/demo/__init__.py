"""Calls of a desk and of a gateway: real ones over loopback, recorded, stored, verified, opened."""
