"""The central side: the custodian, retention and holds, time stamps."""
