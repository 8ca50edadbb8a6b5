"""PKCS#11: drivers in worker processes, tokens, keys and certificates. The only importer of `pkcs11`."""
