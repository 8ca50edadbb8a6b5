"""The CA endpoint: offers, CMP and dossier look-up. What to trust comes in as an argument."""
