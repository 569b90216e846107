"""SDP (RFC 8866) as far as offers and answers of sound need it (RFC 3264), and keys for SRTP (RFC 4568)."""
