"""The words of the field: frozen dataclasses and pure functions. No I/O, no clock, no PKCS#11."""
