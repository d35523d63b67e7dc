"""What is known of an answer before the network looks: `votes` has the formula, `wording` runs without torch."""
