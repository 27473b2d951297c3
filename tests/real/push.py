#!/usr/bin/env python3
"""Encrypts and signs pushes as WeChat does, with the `cryptography` package: a second implementation, which shares no
line with ours. Reads a JSON object a line, with token, key, appid, timestamp, nonce and message; writes one a line, with
the query and the body of the request. It exits 2 when the package is missing.
"""

import base64
import hashlib
import json
import os
import sys
import urllib.parse

try:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
except ImportError:
    sys.exit(2)


def encrypted(key, message, appid):
    plain = os.urandom(16) + len(message).to_bytes(4, "big") + message + appid.encode()
    padding = 32 - len(plain) % 32
    cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(cipher.update(plain + bytes([padding]) * padding) + cipher.finalize()).decode()


for line in sys.stdin:
    push = json.loads(line)
    encrypt = encrypted(base64.b64decode(push["key"] + "="), push["message"].encode(), push["appid"])
    signed = "".join(sorted([push["token"], push["timestamp"], push["nonce"], encrypt]))
    query = {"timestamp": push["timestamp"], "nonce": push["nonce"], "encrypt_type": "aes",
             "msg_signature": hashlib.sha1(signed.encode()).hexdigest()}
    body = f"<xml><AppId><![CDATA[{push['appid']}]]></AppId><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"
    print(json.dumps({"query": urllib.parse.urlencode(query), "body": body}))
