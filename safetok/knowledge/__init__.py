"""Facts that a notice, a law or a maker states, as TOML with their sources, and their typed loader."""
