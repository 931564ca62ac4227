"""A page on this machine to play with the networks: faces, drawings, photos, digits.

| file | what it is |
|---|---|
| ``app.py`` | the addresses, and the networks behind them |
| ``faces.py``, ``handles.py`` | what the face page computes, and what its sliders push |
| ``face_api.py`` | the addresses of faces |
| ``picture_api.py``, ``shelf.py`` | pictures that are sent once and asked for many things |
| ``drawing_api.py`` | drawings and digits, sent while they are drawn |
| ``jobs.py``, ``places.py`` | long work, told of line by line, and how much is done at once |
| ``query.py``, ``uploads.py`` | what comes in: numbers of an address, bodies |
| ``guard.py``, ``connection.py`` | who may ask, how often, how long it may take |
| ``server.py`` | runs it all |
| ``static/`` | the page itself, without a build step |
"""
