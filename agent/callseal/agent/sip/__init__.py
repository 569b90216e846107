"""SIP (RFC 3261), server side: parsing, transactions and dialogs without sockets, and a shell around them."""
