"""CMP as safetok speaks it (RFC 9810 over RFC 9811, profile RFC 9483, algorithms RFC 9481)."""
