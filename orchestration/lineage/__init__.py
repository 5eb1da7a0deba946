"""Which columns each column is made of, from the shop's raw ones to features and models."""
