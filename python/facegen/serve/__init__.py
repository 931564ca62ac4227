"""A page on this machine to play with the networks: faces, drawings, photos, digits.

| file | what it is |
|---|---|
| ``app.py`` | the addresses, and the networks behind them |
| ``faces.py``, ``sliders.py`` | what the face page computes, and what its sliders do |
| ``face_api.py`` | the addresses of faces |
| ``picture_api.py``, ``shelf.py`` | pictures that are sent once and asked for many things |
| ``one_shot_api.py`` | work that is one request: drawings, digits, and photos for programs |
| ``picture_work.py``, ``models.py`` | what is computed of a picture, and the networks that do |
| ``jobs.py``, ``places.py`` | long work, told of line by line, and how much is done at once |
| ``query.py``, ``uploads.py``, ``incoming.py`` | what comes in: numbers, bodies, pictures |
| ``guard.py``, ``connection.py`` | who may ask, how often, how long it may take |
| ``prefix.py`` | the page below a path, for a proxy |
| ``server.py``, ``listening.py`` | runs it all, at which address |
| ``static/`` | the page itself, without a build step |
"""
