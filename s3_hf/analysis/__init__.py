"""Read a run directory and return plain tables: scores, mistakes, rows, quality, diversity and cost."""
