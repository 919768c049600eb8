"""The network that comes with the package; model_cards/perception/ in the repository documents its training."""
