"""safetok: renews certificates on USB tokens and keeps what every agency must learn afterwards."""

__version__ = "0.1.0"
