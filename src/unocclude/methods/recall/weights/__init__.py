"""The networks that come with the package; model_cards/recall/ in the repository documents their training."""
