"""Experiments as data: frozen dataclasses of strings, numbers and tuples."""
