"""The use-cases: each takes a Context and returns one frozen result; nothing here prints."""
