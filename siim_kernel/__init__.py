"""Offline competition package for SIIM-FISABIO-RSNA COVID-19 Detection."""
