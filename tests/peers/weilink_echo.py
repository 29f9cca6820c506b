"""weilink: receives, answers each text, types; ends after `count` messages and prints what it read.

Arguments: base URL, home directory, count, then as JSON what a login would have left behind.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from weilink import WeiLink


def main(base_url: str, home: Path, count: int, credentials: dict[str, str]) -> None:
    session = home / "default"
    session.mkdir()
    (session / "token.json").write_text(json.dumps({**credentials, "base_url": base_url}))
    client = WeiLink(base_path=home)
    read: list[dict[str, object]] = []
    results: list[bool] = []
    while len(read) < count:
        for message in client.recv(timeout=5):
            kept = client.download(message).decode() if message.file else None
            read.append({"text": message.text, "from": message.from_user, "file": kept})
            client.send_typing(message.from_user)
            results.append(
                client.send(message.from_user, f"weilink heard: {message.text or 'a file'}").success
            )
            client.stop_typing(message.from_user)
    results.append(client.send(credentials["user_id"], file=b"a report", file_name="report.txt").success)
    client.close()
    print(json.dumps({"read": read, "results": results}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
