"""The paper: encrypt, sign, spool, verify."""
