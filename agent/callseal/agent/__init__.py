"""The recorder: calls in, sealed recordings out."""
