"""The uses of a trained model, one file each; `FittedVAE` is their face."""
