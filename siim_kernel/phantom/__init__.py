"""A made competition: patients, findings, films."""
