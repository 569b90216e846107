"""Where objects live: a directory, or any S3-compatible store."""
