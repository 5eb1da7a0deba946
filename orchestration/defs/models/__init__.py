"""Assets of the recommender: baselines, evaluation, the trained model, its index, and which version serves."""
