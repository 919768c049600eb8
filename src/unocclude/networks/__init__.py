"""Architectures that neither diffusers nor transformers has, under the published checkpoints' own names.

Importing one of these modules imports torch; import them inside the function that needs them.
"""
