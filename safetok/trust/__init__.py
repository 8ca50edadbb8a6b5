"""May this certificate be believed: path, OCSP, CRL, and the checks on a CA's answer."""
