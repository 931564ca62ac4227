"""Files of faces with a manifest beside them: what is finished is known, and not made again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.errors import FacegenError
from facegen.pictures.manifest import Manifest
from facegen.pictures.record import Input, settings_digest
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
        self._folder, self._share = folder, share
        self._manifests: dict[str, Manifest] = {}
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
        manifest = self._manifest(path)
        record = manifest.known(path)
        if record.input.sha256 != made_of.sha256 or record.settings != self._settings:
            raise FacegenError(
                f"{path}: exists, made of {record.input.source}, another network or by other "
                "options (--overwrite replaces it)"
            )
        return manifest.complete(record)

    def write(self, path: str, made_of: Input, data: bytes) -> None:
        """Write one file, and note it."""
        self._manifest(path).write(made_of, self._settings, Made({path: data}))

    def note(self, path: str, made_of: Input, size: int) -> None:
        """Note a file of so many bytes that is about to take its name."""
        self._manifest(path).note(made_of, self._settings, {path: size}, {})

    def close(self) -> None:
        for manifest in self._manifests.values():
            manifest.close()

    def _manifest(self, path: str) -> Manifest:
        """That of the folder; a file that lies elsewhere (--save-latents) has one beside it."""
        folder = self._folder
        if os.path.relpath(path, folder).split(os.sep)[0] == os.pardir:
            folder = os.path.dirname(path) or os.curdir
        if folder not in self._manifests:
            self._manifests[folder] = Manifest(folder, self._share)
        return self._manifests[folder]


def of_latent(name: str, latent: NDArray[np.float32]) -> Input:
    """What one face is made of; its name is for people."""
    return Input(name, latent.nbytes, 0, hashlib.sha256(latent.tobytes()).hexdigest())
