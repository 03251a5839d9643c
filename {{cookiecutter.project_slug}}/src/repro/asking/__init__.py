"""Questions to annotators while an agent trains, and what the reward model learns from the answers."""
