"""A hub on this machine: the few addresses that huggingface_hub asks for a model's files."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SAM2 = "facebook/sam2.1-hiera-large"
BIG = np.random.default_rng(0).bytes(300_000)


class FakeHub:
    """`files`: content by repository and name; those over 1,000 bytes are told of as LFS, the others as git blobs.
    `gated`: repositories whose files are refused. `asked`: all requests, as (method, path, range). `stop_at`: a file's
    name, and the byte at which its download breaks off, once."""

    def __init__(self):
        self.files, self.gated, self.asked, self.stop_at = {}, set(), [], {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                hub.answer(self)

            do_GET = do_HEAD

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request):
        path = request.path.partition("?")[0]
        self.asked.append((request.command, request.path, request.headers.get("Range")))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            if match[1] not in self.files:
                return self.refuse(request, 404, "RepoNotFound")
            if match[2] not in (None, "main", COMMIT):
                return self.refuse(request, 404, "RevisionNotFound")
            return self.send(request, json.dumps(self.model(match[1])).encode())
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            content = self.files.get(match[1], {}).get(match[3])
            if content is None:
                return self.refuse(request, 404, "EntryNotFound")
            if match[1] in self.gated:
                return self.refuse(request, 403, "GatedRepo")
            etag = hashlib.sha256(content).hexdigest() if len(content) > 1000 else blob(content)
            return self.send(request, content, match[3], {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})
        if match := re.fullmatch(r"/plain/(.+)", path):
            return self.send(request, self.files["plain"][match[1]], match[1])
        return self.refuse(request, 404, "")

    def model(self, repository):
        siblings = []
        for name, content in self.files[repository].items():
            about = {"rfilename": name, "size": len(content), "blobId": blob(content)}
            if len(content) > 1000:
                digest = hashlib.sha256(content).hexdigest()
                about["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(about)
        return {
            "id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings, "private": False,
            "tags": ["license:test-1.0"], "gated": "auto" if repository in self.gated else False,
        }  # fmt: skip

    def refuse(self, request, status, code):
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def send(self, request, content, name="", headers=()):
        start = int(re.match(r"bytes=(\d+)-", request.headers.get("Range") or "bytes=0-")[1])
        request.send_response(206 if request.headers.get("Range") else 200)
        for key, value in dict(headers).items():
            request.send_header(key, value)
        request.send_header("Content-Length", str(len(content) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        if request.command == "GET":
            stop = self.stop_at.pop(name, len(content))
            request.wfile.write(content[start:stop])
            if stop < len(content):
                request.close_connection = True
                request.wfile.flush()


def blob(content):
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
