"""A whole day of a desk in a minute: real calls over loopback, recorded, stored, verified, opened."""
