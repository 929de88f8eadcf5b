"""Scores of any origin -> `[runs, tasks]` -> tables, comparisons, figures, one page.

Only reads files: works where neither JAX nor the agent is installed. The way through the modules:
`load` (sources to runs) -> `protocol` (runs to one column of scores) -> `stats` -> `table`,
`compare`, `curves` -> `grid`, `figures`, `report`.
"""
