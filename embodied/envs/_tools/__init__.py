"""What suites share: states, spaces, textures, look-up by name; no suites."""
