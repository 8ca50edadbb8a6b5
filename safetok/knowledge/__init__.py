"""Facts of notices, laws and drivers as TOML with their sources, and their typed loader."""
