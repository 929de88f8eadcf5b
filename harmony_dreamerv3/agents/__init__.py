"""One file for each published agent, read from top to bottom like its paper."""
