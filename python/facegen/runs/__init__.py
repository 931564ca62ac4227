"""Long runs from file to file: read, computed, written and noted chunk by chunk.

| file | what it is |
|---|---|
| `stream` | what all of them share: chunks on all ranks, in order, in bounded memory |
| `faces`, `face_sources`, `face_results` | of seeds or latent vectors, as pictures or values |
| `face_text` | the course's faces: from text to text and one BMP |
| `bare_files` | the course's pictures: from one bare file to another |
| `lab_files` | pictures to the colorizer's bare files, and back |
| `network_rows`, `arrays` | of arrays or pictures through a network of any kind |

None of them knows a terminal: how far a run is goes to a `Progress`, and what there is to say of it
is in its attributes. Photos by the folder are done by `facegen.pictures`.
"""
