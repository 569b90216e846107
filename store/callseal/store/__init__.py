"""Where objects live: a directory now; S3 later."""
