"""Recipes of toy size for the tests of pretraining."""

from dataclasses import replace

from proj_heads.recipe import Recipe

TINY = Recipe(cnn_width=2, width=16, predictor=8, steps=7, batch=16)
SIMSIAM = replace(TINY, objective="simsiam", activation="swish", lr=0.05)
RECIPES = {
    "simclr": replace(TINY, depth=3, temperature=0.3, rotation=20.0),
    "simclr without norm": replace(TINY, activation="gelu", norm=False, alpha=0.5),
    "simsiam": SIMSIAM,
    "simsiam from a pseudo-collapsed start": replace(SIMSIAM, norm=False, alpha=0.1),
    "vicreg": replace(TINY, objective="vicreg"),
    "barlow": replace(TINY, objective="barlow"),
    "dino": replace(TINY, objective="dino", momentum=0.7, lr=3e-3),
    "dino without norm": replace(TINY, objective="dino", norm=False, momentum=0.7, lr=3e-3),
}
