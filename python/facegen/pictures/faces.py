"""Files of faces with a manifest beside them: what is finished is known, and not made again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FacegenError
from facegen.pictures.manifest import Input, Manifest, settings_digest
from facegen.pictures.task import Made


class FaceResults:
    """Knows which files are finished, and notes those that are written.

    Parameters
    ----------
    folder
        Of the manifest.
    settings
        What faces depend on besides their latent vectors.
    share
        As for `Manifest`.
    """

    def __init__(
        self, folder: str, settings: Mapping[str, Any], share: tuple[int, int] = (0, 1)
    ) -> None:
        self._manifest = Manifest(folder, share)
        self._settings = settings_digest(settings)

    def finished(self, path: str, made_of: Input) -> bool:
        """The file is there and whole, made of just this and with these settings.

        Raises
        ------
        FacegenError
            It was made otherwise, or by no run that is known.
        """
        if not os.path.lexists(path):
            return False
        record = self._manifest.known(path)
        if record.input.sha256 != made_of.sha256 or record.settings != self._settings:
            raise FacegenError(
                f"{path}: exists, made of {record.input.source}, another network or by other "
                "options (--overwrite replaces it)"
            )
        return self._manifest.complete(record)

    def write(self, path: str, made_of: Input, data: bytes) -> None:
        """Write one file, and note it."""
        self._manifest.write(made_of, self._settings, Made({path: data}))

    def note(self, made_of: Input, outputs: Mapping[str, int]) -> None:
        """Note files (path -> bytes) that are about to take their names."""
        self._manifest.note(made_of, self._settings, outputs, {})

    def close(self) -> None:
        self._manifest.close()


def of_latent(name: str, latent: NDArray[np.float32]) -> Input:
    """What one face is made of; its name is for people."""
    return Input(name, latent.nbytes, 0, hashlib.sha256(latent.tobytes()).hexdigest())
