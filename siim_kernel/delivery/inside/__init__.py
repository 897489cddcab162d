"""Scripts that run inside a rehearsal, where this package cannot be imported: each stands alone."""
