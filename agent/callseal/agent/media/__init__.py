"""The media engine: the sound of many calls, from UDP sockets to the recorder, in threads or processes."""
