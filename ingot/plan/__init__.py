"""What a merge would do: recipes, images, infrastructure, rollout, cost."""
