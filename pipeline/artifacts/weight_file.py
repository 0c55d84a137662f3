"""Reading weights.safetensors from whoever made it: its bytes are checked before anything takes them apart.

Works without torch, since gathering start weights needs none.
"""

import hashlib
import re
from pathlib import Path

from pipeline.artifacts.card import CARD, WEIGHTS, read_card
from pipeline.errors import UserError

NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")  # of a tensor: dotted words, never a path
LARGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format
REMEDY = "make the checkpoint again with dvc repro"


def read_weight_file(folder: Path, name: str = WEIGHTS) -> bytes:
    """The content of `folder`/`name`, which is the one on the folder's card where there is a card.

    Raises:
        UserError: it is missing, its header claims an absurd size, or it is not the one on the card.
    """
    path = folder / name
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
            if size < 8 or header > min(LARGEST_HEADER, size - 8):  # told before a huge file is read
                problem = "not a safetensors file: its header does not fit; other formats can run code and are refused"
                raise UserError(problem, where=str(path), remedy=REMEDY)
            file.seek(0)
            content = file.read()
    except FileNotFoundError:
        raise UserError("the checkpoint has no weights", where=str(path), remedy=REMEDY) from None
    except OSError as error:
        raise UserError(f"the weights cannot be read: {error}", where=str(path), remedy=REMEDY) from None
    if (folder / CARD).is_file() and hashlib.sha256(content).hexdigest() != read_card(folder)["files"].get(name):
        raise UserError("the weights are not those on the card", where=str(path), remedy=REMEDY)
    return content
