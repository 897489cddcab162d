"""What must never be shown: the secrets that the Kaggle client may use, and their removal from text."""

import base64
import json
import re
from pathlib import Path
from urllib.parse import quote

from siim_kernel.errors import DeliveryError

HIDDEN = "***"
SHORTEST = 6  # characters; a shorter "secret" would blot out ordinary words
FILES = ("access_token", "access_token.txt", "credentials.json", "kaggle.json")
_QUERY = re.compile(r"(https?://[^\s?'\")]+)\?[^\s'\")]+")  # signed addresses carry a right to write in their query


def config_folders(environment):
    """Where the Kaggle client looks for its files, the first one first."""
    home = Path(environment.get("HOME") or "~").expanduser()
    given = environment.get("KAGGLE_CONFIG_DIR")
    return [*([Path(given)] if given else []), home / ".kaggle", Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"]


def name_in_file(environment):
    """The user name in the kaggle.json that the client would read, None without one; nothing else of that file is kept or shown."""
    folders = config_folders(environment)
    given = folders[0] if environment.get("KAGGLE_CONFIG_DIR") else None
    path = (given or next((folder for folder in folders if folder.exists()), folders[-1])) / "kaggle.json"
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("username")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError):
        raise DeliveryError(f'{path} cannot be read as {{"username": ..., "key": ...}}; download it again from Kaggle') from None


def secrets_in(environment):
    """The tokens and keys that a Kaggle client with these environment variables can use, in every form that it may print."""
    found = {environment.get("KAGGLE_KEY", ""), environment.get("KAGGLE_API_TOKEN", "")}
    users = {environment.get("KAGGLE_USERNAME", "")}
    named = environment.get("KAGGLE_API_TOKEN", "")
    places = [folder / name for folder in config_folders(environment) for name in FILES]
    for place in [*places, *([Path(named)] if 0 < len(named) < 1000 else [])]:
        text = _text_of(place)
        values = _values(text)
        found |= {text, *(value for name, value in values if name != "username")}
        users |= {value for name, value in values if name == "username"}
    plain = {word for word in (secret.strip() for secret in found) if len(word) >= SHORTEST}
    basic = {base64.b64encode(f"{user}:{word}".encode()).decode() for user in users if user for word in plain}
    return tuple(sorted(plain | basic | {quote(word, safe="") for word in plain}, key=len, reverse=True))


def scrub(text, secrets):
    """`text` without any of the secrets, and without the query part of addresses."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return _QUERY.sub(rf"\1?{HIDDEN}", text)


def _text_of(path):
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError, ValueError):  # not to be read by the client either, so nothing that it could print
        return ""


def _values(text):
    """Pairs (name, value) of a JSON object's strings that may be secret; none where `text` is not one."""
    try:
        content = json.loads(text)
    except ValueError:
        return []
    return [(name, value) for name, value in content.items() if isinstance(value, str)] if isinstance(content, dict) else []
