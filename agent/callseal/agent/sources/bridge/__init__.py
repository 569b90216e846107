"""The desk bridge: an in-path back-to-back user agent on the telephone's own machine.

pjsua2 runs in a child process of its own (`child`, `session`), because its licence, its assertions and
its threads shall touch nothing else. The service side (`source`) decides and records; the two talk in
messages (`protocol`) over a socket pair, and audio crosses in memory files (`memwav`) which the service
holds open too, so that nothing recorded is lost with the child.
"""
