"""Settings, business types, announcements."""
