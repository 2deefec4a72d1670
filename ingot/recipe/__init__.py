"""Recipes: what an image is made of. Pure: no AWS, no root, and no network but for ``ingot lock``.

::

    recipe.yaml ─ load ─► Recipe ─┬─ lock   ─► recipe.lock    (apt's signed index, once)
                                  ├─ digest ─► recipe digest  (the identity of the image)
                                  └─ compile ► bake spec      (ingot.spec, what the engine executes)
"""
