"""SIPREC: what gateways say of the calls that they copy (RFC 7866, RFC 7865), in all the ways they say it."""
