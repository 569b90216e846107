"""The central side: what is done where all recordings lie. Stamps for now; next comes the custodian."""
