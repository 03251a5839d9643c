"""What was done in the environments: rollouts, replay, the returns of episodes, whole episodes played and filmed."""
