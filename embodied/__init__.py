"""Everything around the agent: environments, replay, run loops, records, scores."""
