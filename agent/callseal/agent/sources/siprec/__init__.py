"""The SIPREC source: a Session Recording Server beside a gateway."""
