"""What is known of a cluster: `state` for judging it now, `history` for judging what was seen a moment ago."""
