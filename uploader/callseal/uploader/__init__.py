"""The post: sealed recordings to central storage. It has no key."""
