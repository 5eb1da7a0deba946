"""The part of HashiCorp Vault's transit engine that the provider uses, over real HTTP and with real ciphers.

It stands in for a Vault that cannot be installed here; it is not Vault. Written from the documentation of the engine's API:
paths, fields, ciphertexts of the form ``vault:v<version>:<base64>``, context-derived keys (HKDF-SHA256 here), statuses and errors.
"""

import base64
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PATH = re.compile(r"/v1/transit/(datakey/plaintext|decrypt|rewrap)/([a-z-]+)")
_CIPHERTEXT = re.compile(r"vault:v(\d+):([A-Za-z0-9+/=]+)")


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Transit:
    """Named keys with versions; every operation needs a context, as with ``derived=true``."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.keys: dict[str, list[bytes]] = {"selvedge": [os.urandom(32)]}
        self.sealed = False
        self.asked: list[str] = []

    def rotate(self) -> None:
        self.keys["selvedge"].append(os.urandom(32))

    def answer(self, path: str, token: str | None, body: dict[str, Any]) -> dict[str, Any]:
        if self.sealed:
            raise RefusedError(503, "Vault is sealed")
        if token != self.token:
            raise RefusedError(403, "permission denied")
        found = _PATH.fullmatch(path)
        if not found:
            raise RefusedError(404, "no handler for route")
        operation, key = found.groups()
        self.asked.append(operation)
        if key not in self.keys:
            raise RefusedError(400, "encryption key not found")
        if not body.get("context"):
            raise RefusedError(
                400, "missing 'context' for key derivation; the key was created using a derived key"
            )
        context = base64.b64decode(body["context"], validate=True)
        if operation == "datakey/plaintext":
            plaintext = os.urandom(body["bits"] // 8)
            return {
                "plaintext": base64.b64encode(plaintext).decode(),
                "ciphertext": self._encrypt(key, context, plaintext),
            }
        plaintext = self._decrypt(key, context, body["ciphertext"])
        if operation == "rewrap":
            return {"ciphertext": self._encrypt(key, context, plaintext)}
        return {"plaintext": base64.b64encode(plaintext).decode()}

    def _cipher(self, key: str, version: int, context: bytes) -> AESGCM:
        material = self.keys[key][version - 1]
        return AESGCM(HKDF(SHA256(), 32, salt=None, info=context).derive(material))

    def _encrypt(self, key: str, context: bytes, plaintext: bytes) -> str:
        version, nonce = len(self.keys[key]), os.urandom(12)
        sealed = nonce + self._cipher(key, version, context).encrypt(nonce, plaintext, None)
        return f"vault:v{version}:{base64.b64encode(sealed).decode()}"

    def _decrypt(self, key: str, context: bytes, ciphertext: str) -> bytes:
        found = _CIPHERTEXT.fullmatch(ciphertext)
        if not found:
            raise RefusedError(400, "invalid ciphertext: no prefix")
        version, raw = int(found.group(1)), base64.b64decode(found.group(2))
        try:
            return self._cipher(key, version, context).decrypt(raw[:12], raw[12:], None)
        except (InvalidTag, IndexError):
            raise RefusedError(400, "cipher: message authentication failed") from None


@contextmanager
def serving(transit: Transit) -> Iterator[str]:
    """The server on loopback while the block runs; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                data = transit.answer(self.path, self.headers.get("X-Vault-Token"), body)
                status, document = 200, {"data": data}
            except RefusedError as refusal:
                status, document = refusal.status, {"errors": [str(refusal)]}
            raw = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Nothing is printed in tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
