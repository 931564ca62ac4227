"""A page on this machine to play with the networks: faces, drawings, photos.

``faces.py`` is what the face page computes, ``app.py`` the addresses and what they answer,
``guard.py`` who may ask and how often, ``connection.py`` and ``uploads.py`` how long it may take,
``server.py`` runs it all, ``static/`` is the page itself, without a build step.
"""
