"""From texts to binary features: canonical form, words, views, vocabulary."""
