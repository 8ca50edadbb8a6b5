"""Commands: parse, call one workflow, render. Nothing else prints."""
